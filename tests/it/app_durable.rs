//! What a restart and a kill leave of events.

use std::path::Path;
use std::process::Command;

use actix_web::test::TestRequest;
use segue::config::EventStore;
use serde_json::{Value, json};

use crate::app_support::{TestApp, event, skip};

fn durable(dir: &Path) -> TestApp {
    TestApp::with(|config| {
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
