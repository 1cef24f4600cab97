//! What a restart and a kill leave of events.

use std::path::Path;
use std::process::Command;

use actix_web::test::TestRequest;
use segue::archive::{read_erasures, read_hours};
use segue::config::EventStore;
use segue::http::{Signals, bind};
use segue::store;
use serde_json::{Value, json};

use crate::app_support::{TestApp, event, skip};

fn durable(dir: &Path) -> TestApp {
    TestApp::with(|config| {
        config.server.listen = ([127, 0, 0, 1], 0).into();
        config.events.store = EventStore::Disk;
        config.events.data_dir = dir.to_owned();
    })
}

#[actix_web::test]
async fn a_restart_forgets_nothing_and_counts_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (sent, app) = (vec![event("u1", "s1", "play_start", "t3"), skip("u1", "s1", "t3")], durable(dir.path()));
    app.accept(sent.clone()).await;
    app.accept(vec![skip("u2", "s2", "t4")]).await;
    let before = app.get("/v1/sessions/s1").await;
    drop(app);
    let app = durable(dir.path());
    assert_eq!(app.get("/v1/sessions/s1").await, before);
    assert_eq!(app.send(sent).await["duplicate"], 2);
    assert_eq!(app.status(TestRequest::delete(), "/v1/users/u1").await, 204);
    drop(app);
    let app = durable(dir.path());
    assert_eq!(app.status(TestRequest::get(), "/v1/sessions/s1").await, 404, "an erased listener comes not back");
    assert_eq!(app.get("/v1/sessions/s2").await["plays"], 1);
}

#[actix_web::test]
async fn a_server_exports_each_event_once() {
    let dir = tempfile::tempdir().unwrap();
    let (data, archive) = (dir.path().join("data"), dir.path().join("archive"));
    let exporting = || {
        TestApp::with(|config| {
            config.events.store = EventStore::Disk;
            config.events.data_dir = data.clone();
            config.events.export.dir = Some(archive.clone());
        })
    };
    let app = exporting();
    app.accept(vec![event("u1", "s1", "play_start", "t3"), skip("u1", "s1", "t3")]).await;
    drop(app);
    let app = exporting();
    app.accept(vec![skip("u2", "s2", "t4")]).await;
    assert_eq!(app.status(TestRequest::delete(), "/v1/users/u1").await, 204);
    drop(app);
    drop(exporting());
    let archive = store::open(&archive).unwrap();
    let events = read_hours(&archive).unwrap().flat_map(|hour| hour.unwrap().events);
    let mut listeners: Vec<_> = events.map(|event| event.user_id.to_string()).collect();
    listeners.sort();
    assert_eq!(listeners, ["u1", "u1", "u2"]);
    assert_eq!(read_erasures(&archive).unwrap().len(), 1);
}

/// Three of the kills that `scripts/test-crash` makes by the hundred.
#[test]
fn killed_under_load_the_server_loses_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut run = Command::new(root.join("scripts/test-crash"));
    let done = run.args(["3", "--binary", env!("CARGO_BIN_EXE_segue")]).output().expect("python3");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(said.lines().last(), Some("lost 0, repeated 0"));
}

#[test]
fn the_log_can_be_looked_into() {
    let dir = tempfile::tempdir().unwrap();
    let segue = |args: &[&str]| {
        let mut run = Command::new(env!("CARGO_BIN_EXE_segue"));
        let done = run.args(["events"]).args(args).arg("--data-dir").arg(dir.path()).output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    let (code, _, error) = segue(&["tail"]);
    assert!(code == Some(1) && error.contains("no event log here"), "{error}");
    actix_web::rt::System::new().block_on(async {
        let app = durable(dir.path());
        app.accept(vec![event("u1", "s1", "play_start", "t3"), skip("u1", "s1", "t3")]).await;
        let (code, lines, _) = segue(&["tail", "--last", "1"]);
        let line: Value = serde_json::from_str(&lines).unwrap();
        assert_eq!(
            (code, &line["type"], &line["at"], &line["played_ms"]),
            (Some(0), &json!("skip"), &json!(1), &json!(3_000))
        );
    });
    let (code, said, _) = segue(&["stats"]);
    assert!(code == Some(0) && said.contains("offsets 0 to 2") && said.contains("2 events, 0 erased"), "{said}");
}

/// Runs `segue events dead-letters`; what it said and complained of.
fn dead_letters(dir: &Path, args: &[&str]) -> (String, String) {
    let mut run = Command::new(env!("CARGO_BIN_EXE_segue"));
    let done = run.args(["events", "dead-letters"]).args(args).arg("--data-dir").arg(dir).output().unwrap();
    (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap())
}

#[test]
fn refused_events_are_kept_and_can_be_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let listed = || -> Vec<Value> {
        dead_letters(dir.path(), &["list", "--json"])
            .0
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    assert!(dead_letters(dir.path(), &["list"]).1.contains("no event was ever refused here"));
    actix_web::rt::System::new().block_on(async {
        let app = durable(dir.path());
        let mut broken = skip("u2", "s2", "t4");
        broken["mood"] = json!("good");
        let batch = vec![skip("u1", "s1", "t3"), skip("u1", "s1", "coming"), broken.clone()];
        for _ in 0..2 {
            app.send(batch.clone()).await;
        }
        let kept = listed();
        let seen: Vec<_> =
            kept.iter().map(|k| (k["user_id"].clone(), k["place"].clone(), k["times"].clone())).collect();
        assert_eq!(seen, [(json!("u1"), json!(1), json!(2)), (json!("u2"), json!(2), json!(2))]);
        assert!(kept[0]["reason"].as_str().unwrap().contains("no track \"coming\""), "{kept:?}");
        assert_eq!(serde_json::from_str::<Value>(kept[1]["body"].as_str().unwrap()).unwrap(), broken);
        assert_eq!(app.metric("segue_events_dead_letters_total{origin=\"request\"}"), 4);
        let mut track = app.get("/v1/tracks/t3").await;
        (track["track_id"], track["recording_id"]) = (json!("coming"), json!("coming"));
        let put = TestRequest::put().uri("/v1/tracks/coming").set_json(track);
        assert_eq!(app.ask(put).await.status, 201);
        let bound = bind(app.service.clone()).unwrap();
        let (address, stopper) = (bound.address().unwrap().to_string(), bound.stopper());
        let server = actix_web::rt::spawn(bound.run(Signals::listen()));
        let path = dir.path().to_owned();
        let replay = move || dead_letters(&path, &["replay", "--to", &address]);
        let (said, error) = actix_web::web::block(replay).await.unwrap();
        assert_eq!(said, "1 taken, 1 refused again, 0 too long to be kept whole\n", "{error}");
        stopper.stop();
        server.await.unwrap().unwrap();
        let replayed: Vec<_> = listed().iter().map(|kept| kept["replayed_ms"].is_null()).collect();
        assert_eq!((replayed, app.get("/v1/sessions/s1").await["skips"].clone()), (vec![false, true], json!(2)));
        assert_eq!(app.status(TestRequest::delete(), "/v1/users/u2").await, 204);
        assert_eq!(listed().len(), 1, "an erased listener's letters go too");
    });
}
