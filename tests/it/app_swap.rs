//! Another bundle in the place of the one that is served.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::test::TestRequest;
use segue::config::{Config, EventStore};
use segue::domain::{SessionId, SessionState, UserId, UserProfile};
use serde_json::{Value, json};

use crate::app_support::{OTHER, SAME, TestApp, answered, ids, skip};
use crate::http_support::{Got, post};

/// Over a directory of the bundles `bundle` (served), [`SAME`] and [`OTHER`]; nothing is judged.
fn app(change: impl FnOnce(&mut Config)) -> TestApp {
    TestApp::among_others(|config| {
        (config.guardrail.requests, config.guardrail.metrics) = (0, Vec::new());
        change(config);
    })
}

fn on_disk(dir: &Path) -> impl FnOnce(&mut Config) {
    let data_dir = dir.to_owned();
    move |config| (config.events.store, config.events.data_dir) = (EventStore::Disk, data_dir)
}

async fn activate(app: &TestApp, name: &str, body: Value) -> Got {
    app.ask(post(&format!("/admin/bundles/{name}/activate"), &body)).await
}

/// A swap that must happen.
async fn swapped(app: &TestApp, name: &str) -> Value {
    let got = activate(app, name, json!({})).await;
    assert_eq!(got.status, 200, "{}", String::from_utf8_lossy(&got.body));
    got.json()
}

async fn rolled_back(app: &TestApp) -> Value {
    let got = app.ask(post("/admin/bundles/rollback", &json!({}))).await;
    assert_eq!(got.status, 200, "{}", String::from_utf8_lossy(&got.body));
    got.json()
}

async fn served(app: &TestApp) -> String {
    app.get("/healthz").await["bundle"].as_str().unwrap().to_owned()
}

/// What is known of listeners, without what was served to them: that is no event.
fn known(app: &TestApp, users: usize) -> Vec<(SessionState, UserProfile)> {
    let serving = app.engine.current();
    let one = |user: usize| {
        let session = serving.state().session(&SessionId::new(format!("s{user}")).unwrap(), 0);
        let session = SessionState { served: vec![], served_ms: 0, ..SessionState::clone(&session) };
        (session, UserProfile::clone(&serving.state().profile(&UserId::new(format!("u{user}")).unwrap())))
    };
    (0..users).map(one).collect()
}

#[actix_web::test]
async fn the_state_goes_on_with_the_same_tracks_and_is_built_anew_with_others() {
    let app = app(|_| {});
    let before = app.next(json!({"user_id": "u0", "session_id": "s0"})).await;
    app.accept(vec![skip("u0", "s0", &ids(&before)[0]), skip("u0", "s0", &ids(&before)[1])]).await;
    let id = before["recommendation_id"].as_str().unwrap().to_owned();
    let same = swapped(&app, SAME).await;
    assert_eq!(
        (&same["same_state"], &same["swapped"], &same["to"]["name"]),
        (&json!(true), &json!(true), &json!(SAME))
    );
    assert_eq!((served(&app).await.as_str(), app.get("/v1/sessions/s0").await["plays"].clone()), (SAME, json!(2)));
    let trace = app.get(&format!("/v1/recommendations/{id}/trace")).await;
    assert_eq!(trace["answer"]["bundle"], before["bundle"], "rows are the same, so it is still told, by its bundle");
    let other = swapped(&app, OTHER).await;
    assert_eq!((&other["same_state"], &other["events"]), (&json!(false), &json!(2)));
    assert_eq!((served(&app).await.as_str(), app.get("/v1/sessions/s0").await["plays"].clone()), (OTHER, json!(2)));
    assert_eq!(app.status(TestRequest::get(), &format!("/v1/recommendations/{id}/trace")).await, 404);
    let skipped = app.get("/v1/sessions/s0").await;
    let window: Vec<_> = skipped["recent"].as_array().unwrap().iter().map(|play| play["track_id"].clone()).collect();
    assert!(window.contains(&json!(ids(&before)[0])), "rows are those of the new catalogue: {skipped}");
    app.next(json!({"user_id": "u0", "session_id": "s0"})).await;
    assert_eq!(app.metric("segue_bundle_swaps_total{outcome=\"activated\"}"), 2);
}

#[actix_web::test]
async fn a_rollback_goes_back_and_once_more_forward() {
    let dir = tempfile::tempdir().unwrap();
    let app = app(on_disk(dir.path()));
    let first = served(&app).await;
    assert_eq!(app.ask(post("/admin/bundles/rollback", &json!({}))).await.status, 409, "nothing was served before");
    assert_eq!(activate(&app, "bundle", json!({})).await.status, 409, "it is served");
    for unknown in ["none", ".hidden", "..", "%2e%2e%2fetc"] {
        assert_eq!(activate(&app, unknown, json!({})).await.status, 404, "{unknown}");
    }
    app.accept(vec![skip("u0", "s0", "t3")]).await;
    swapped(&app, OTHER).await;
    let list = app.get("/admin/bundles").await;
    assert_eq!((&list["serves"]["name"], &list["previous"]), (&json!(OTHER), &json!("bundle")));
    assert_eq!((&list["previous_is_loaded"], &list["swapping"]), (&json!(true), &json!(false)));
    assert!(list["available"].as_array().unwrap().iter().any(|one| one["name"] == SAME), "{list}");
    app.accept(vec![skip("u0", "s0", "t4")]).await;
    let back = rolled_back(&app).await;
    assert_eq!((served(&app).await, &back["guardrail"], &back["events"]), (first, &Value::Null, &json!(1)));
    assert_eq!(app.get("/v1/sessions/s0").await["plays"], 2, "what came meanwhile counts");
    app.accept(vec![skip("u0", "s0", "t6")]).await;
    rolled_back(&app).await;
    assert_eq!((served(&app).await.as_str(), app.get("/v1/sessions/s0").await["plays"].clone()), (OTHER, json!(3)));
    assert_eq!(app.status(TestRequest::delete(), "/v1/users/u0").await, 204);
    rolled_back(&app).await;
    assert_eq!(app.status(TestRequest::get(), "/v1/sessions/s0").await, 404, "an erased listener comes not back");
    assert_eq!(app.metric("segue_bundle_swaps_total{outcome=\"rolled_back\"}"), 3);
}

#[actix_web::test]
async fn changes_of_the_catalogue_come_along() {
    let dir = tempfile::tempdir().unwrap();
    for durable in [false, true] {
        let app = app(|config| {
            if durable {
                on_disk(dir.path())(config)
            }
        });
        let put = async |id: &str| {
            let mut track = app.get("/v1/tracks/t3").await;
            (track["track_id"], track["recording_id"]) = (json!(id), json!(id));
            let put = TestRequest::put().uri(&format!("/v1/tracks/{id}")).set_json(track);
            assert_eq!(app.ask(put).await.status, 201);
        };
        let down = async |id: &str| app.get(&format!("/v1/tracks/{id}")).await["taken_down"] == true;
        put("n1").await;
        put("n2").await;
        for id in ["t4", "t5", "n2"] {
            assert_eq!(app.status(TestRequest::delete(), &format!("/v1/tracks/{id}")).await, 204);
        }
        app.accept(vec![skip("u0", "s0", "n1")]).await;
        for name in [SAME, OTHER] {
            swapped(&app, name).await;
            assert!(down("t4").await && down("t5").await && down("n2").await && !down("n1").await, "{name}");
            assert_eq!(app.get("/v1/sessions/s0").await["recent"][0]["track_id"], "n1");
        }
        assert_eq!(app.status(TestRequest::put(), "/v1/tracks/t5").await, 204);
        put("n3").await;
        rolled_back(&app).await;
        assert!(down("t4").await && !down("t5").await && !down("n3").await && down("n2").await);
    }
}

#[actix_web::test]
async fn a_restart_serves_what_was_activated_last() {
    let dir = tempfile::tempdir().unwrap();
    let start = || app(on_disk(dir.path()));
    // Bundles go with the last application that uses their directory.
    let _directory = app(|_| {});
    let first = start();
    let configured = served(&first).await;
    first.accept(vec![skip("u0", "s0", "t3")]).await;
    swapped(&first, OTHER).await;
    first.accept(vec![skip("u0", "s0", "t4")]).await;
    let before = known(&first, 1);
    drop(first);
    let again = start();
    assert_eq!((served(&again).await.as_str(), known(&again, 1)), (OTHER, before));
    rolled_back(&again).await;
    assert_eq!((served(&again).await, again.get("/v1/sessions/s0").await["plays"].clone()), (configured, json!(2)));
    drop(again);
    let named = TestApp::among_others(|config| {
        on_disk(dir.path())(config);
        config.bundle = Some(SAME.into());
    });
    assert_eq!(served(&named).await, SAME, "the configuration names another one now");
}

#[actix_web::test]
async fn what_is_damaged_or_fails_its_test_is_refused_and_nothing_changes() {
    let app = app(|_| {});
    let first = served(&app).await;
    let damaged = app.copied(OTHER, "damaged");
    let file = damaged.join("item_vectors.bin");
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    fs::write(&file, bytes).unwrap();
    let got = activate(&app, "damaged", json!({"override_reason": "I want it"})).await;
    assert_eq!(got.status, 422);
    assert!(got.json()["detail"].as_str().unwrap().contains("item_vectors.bin"), "{}", got.json());
    assert_eq!((served(&app).await, app.metric("segue_bundle_swaps_total{outcome=\"refused\"}")), (first, 1));
    swapped(&app, SAME).await;
    fs::remove_dir_all(damaged).unwrap();

    let nothing_found = TestApp::among_others(|config| {
        let quotas = &mut config.retrieval;
        (quotas.two_tower, quotas.popular, quotas.own_tracks, quotas.session_artists) = (0, 0, 0, 0);
        (quotas.sequential_rules, quotas.fresh, quotas.exploration) = (0, 0, 0);
    });
    let got = activate(&nothing_found, OTHER, json!({"override_reason": "I want it"})).await;
    let report = got.json()["report"].clone();
    assert_eq!((got.status, &report["swapped"], &report["guardrail"]), (422, &json!(false), &Value::Null));
    let faults = report["self_test"]["faults"].as_array().unwrap();
    assert!(faults[0].as_str().unwrap().contains("expected full"), "{report}");
}

#[actix_web::test]
async fn a_bundle_that_answers_otherwise_is_refused_unless_somebody_says_why() {
    let app = TestApp::among_others(|config| {
        config.guardrail.most_turnover = 0.0;
        config.guardrail.metrics.clear();
    });
    let first = served(&app).await;
    for user in 0..30 {
        app.next(json!({"user_id": format!("u{user}"), "session_id": format!("s{user}"), "limit": 20})).await;
    }
    let same = swapped(&app, SAME).await;
    assert_eq!((&same["guardrail"]["requests"], &same["guardrail"]["turnover"]), (&json!(30), &json!(0.0)));
    let got = activate(&app, OTHER, json!({})).await;
    assert_eq!(got.status, 422, "{}", String::from_utf8_lossy(&got.body));
    let report = got.json()["report"].clone();
    assert!(report["guardrail"]["turnover"].as_f64().unwrap() > 0.0, "{report}");
    assert!(report["guardrail"]["breaches"][0].as_str().unwrap().contains("guardrail.most_turnover"), "{report}");
    assert_eq!(served(&app).await, SAME);
    assert_eq!(activate(&app, OTHER, json!({"override_reason": ""})).await.problem_fields(), ["override_reason"]);
    let got = activate(&app, OTHER, json!({"override_reason": "new towers"})).await;
    assert_eq!((got.status, &got.json()["override_reason"]), (200, &json!("new towers")));
    assert_eq!(app.metric("segue_bundle_swaps_total{outcome=\"overridden\"}"), 1);
    assert_ne!(served(&app).await, first);
}

/// What `scripts/test-swap` does a thousand times.
#[actix_web::test]
async fn swaps_under_load_lose_nothing_and_count_nothing_twice() {
    const USERS: usize = 4;
    const BATCHES: usize = 30;
    let dir = tempfile::tempdir().unwrap();
    let (_directory, app) = (app(|_| {}), app(on_disk(dir.path())));
    let done = AtomicBool::new(false);
    let versions = [served(&app).await, SAME.to_owned(), OTHER.to_owned()];
    let counts: BTreeMap<usize, u64> = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            actix_web::rt::System::new().block_on(async {
                while !done.load(Ordering::Relaxed) {
                    let asked = post("/v1/next-tracks", &json!({"user_id": "u0", "session_id": "s0", "limit": 20}));
                    let answer = answered(app.ask(asked).await);
                    assert!(versions.iter().any(|version| answer["bundle"] == version.as_str()));
                    assert!(!ids(&answer).is_empty());
                    app.get("/v1/tracks/t3/similar").await;
                }
            });
        });
        let sending: Vec<_> = (0..USERS)
            .map(|user| {
                let app = &app;
                scope.spawn(move || {
                    actix_web::rt::System::new().block_on(async {
                        let (name, session) = (format!("u{user}"), format!("s{user}"));
                        for batch in 0..BATCHES {
                            let track = |at: usize| format!("t{}", (batch * 7 + at * 3 + user) % 140);
                            let events: Vec<_> = (0..3).map(|at| skip(&name, &session, &track(at))).collect();
                            app.accept(events.clone()).await;
                            assert_eq!(app.send(events).await["duplicate"], 3);
                        }
                    });
                })
            })
            .collect();
        let swapping = scope.spawn(|| {
            actix_web::rt::System::new().block_on(async {
                for name in [SAME, OTHER, "bundle"] {
                    swapped(&app, name).await;
                    rolled_back(&app).await;
                    rolled_back(&app).await;
                }
            });
        });
        sending.into_iter().for_each(|thread| thread.join().unwrap());
        swapping.join().unwrap();
        done.store(true, Ordering::Relaxed);
        asking.join().unwrap();
        let plays = known(&app, USERS).into_iter().map(|(session, _)| u64::from(session.plays));
        plays.enumerate().collect()
    });
    assert_eq!(counts, (0..USERS).map(|user| (user, 3 * BATCHES as u64)).collect());
    let straight = known(&app, USERS);
    let last = served(&app).await;
    drop(app);
    for file in fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()) {
        if file.file_name().unwrap().to_str().unwrap().starts_with("state.") {
            fs::remove_file(file).unwrap();
        }
    }
    let again = self::app(on_disk(dir.path()));
    assert_eq!(served(&again).await, last);
    assert_eq!(known(&again, USERS), straight, "a replay of the whole log ends in the same state, bit for bit");
}
