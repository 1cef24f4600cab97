//! Many clients at once on two lanes: answers stay well formed, nothing is lost or counted twice.

use std::collections::HashSet;
use std::sync::Arc;

use actix_web::rt::{System, spawn};
use serde_json::json;

use crate::app_support::{TestApp, finished, id_set, ids, skip};

/// Threads that parse HTTP.
const WORKERS: usize = 4;
/// Sessions of each worker, all at work at once.
const SESSIONS: usize = 6;
/// Requests of each session, each followed by a batch of events.
const ROUNDS: usize = 8;
/// Tracks of an answer.
const LIMIT: usize = 5;

/// One listener: asks, skips the first track and finishes the second; sends the batch twice.
async fn listen(app: Arc<TestApp>, user: String) {
    let session = format!("s-{user}");
    let mut heard = HashSet::new();
    for round in 0..ROUNDS {
        let answer = app.next(json!({"user_id": user, "session_id": session, "limit": LIMIT})).await;
        assert!(answer["rung"] == "full" || answer["rung"] == "reduced", "{answer}");
        let tracks = ids(&answer);
        assert_eq!(tracks.len(), LIMIT);
        assert!(tracks.iter().all(|id| heard.insert(id.clone())), "round {round} of {session} repeats a track");
        let batch = vec![skip(&user, &session, &tracks[0]), finished(&user, &session, &tracks[1])];
        app.accept(batch.clone()).await;
        assert_eq!(app.send(batch).await["duplicate"], 2);
    }
    let view = app.get(&format!("/v1/sessions/{session}")).await;
    let counters = ["plays", "skips", "completes"].map(|key| view[key].as_u64().unwrap() as usize);
    assert_eq!(counters, [2 * ROUNDS, ROUNDS, ROUNDS]);
    let served: HashSet<_> =
        view["served_track_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    assert_eq!(served, heard, "the session knows what was served to it");
}

async fn worker(app: Arc<TestApp>, worker: usize) {
    let listeners = (0..SESSIONS).map(|n| spawn(listen(Arc::clone(&app), format!("u{worker}-{n}"))));
    for listener in listeners.collect::<Vec<_>>() {
        listener.await.unwrap();
    }
}

#[test]
fn many_sessions_at_once() {
    let app = Arc::new(TestApp::new());
    std::thread::scope(|scope| {
        let workers = (0..WORKERS).map(|n| {
            let app = Arc::clone(&app);
            scope.spawn(move || System::new().block_on(worker(app, n)))
        });
        for thread in workers.collect::<Vec<_>>() {
            thread.join().unwrap();
        }
    });
    let sessions = WORKERS * SESSIONS;
    let asked = (sessions * ROUNDS) as u64;
    let counts = |name: &str| app.metric(name);
    let rungs = ["full", "reduced"].map(|rung| counts(&format!("segue_answer_rungs_total{{rung=\"{rung}\"}}")));
    assert_eq!(rungs.iter().sum::<u64>(), asked);
    assert_eq!(counts("segue_http_requests_total{route=\"/v1/next-tracks\",status=\"200\"}"), asked);
    assert_eq!(counts("segue_http_requests_total{route=\"/v1/events\",status=\"202\"}"), 2 * asked);
    assert_eq!(counts("segue_events_received_total{status=\"accepted\"}"), 2 * asked);
    assert_eq!(counts("segue_events_received_total{status=\"duplicate\"}"), 2 * asked);
    assert_eq!(counts("segue_stage_outcomes_total{outcome=\"ok\",stage=\"mmoe\"}"), asked);
    assert_eq!(counts("segue_state_sessions"), sessions as u64);
    assert_eq!(counts("segue_state_profiles"), sessions as u64);
    let refused = "segue_http_overload_refused_total{criticality=\"default\"}";
    assert_eq!(["segue_lanes_queue_length", refused].map(counts), [0; 2]);
}

#[test]
fn takedowns_and_weights_change_under_load() {
    let app = Arc::new(TestApp::new());
    let system = System::new();
    let before = system.block_on(app.next(json!({"user_id": "u", "limit": 100})));
    let doomed = ids(&before)[..10].to_vec();
    let catalogue = &crate::app_support::bundle(&app).catalogue;
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            System::new().block_on(async {
                for round in 0..60 {
                    app.next(json!({"user_id": format!("u{round}"), "limit": 20})).await;
                }
            });
        });
        for (at, id) in doomed.iter().enumerate() {
            let doomed = &catalogue.track(catalogue.find(id).unwrap()).track_id;
            system.block_on(app.service.take_down(doomed)).unwrap();
            let mut knobs = app.service.knobs();
            knobs.blend.skip = at as f32;
            app.service.set_knobs(knobs).unwrap();
            let next = id_set(&system.block_on(app.next(json!({"user_id": "u", "limit": 100}))));
            assert!(ids(&before)[..=at].iter().all(|gone| !next.contains(gone)), "effective on the next request");
        }
        asking.join().unwrap();
    });
    assert_eq!(app.service.knobs().blend.skip, 9.0);
}
