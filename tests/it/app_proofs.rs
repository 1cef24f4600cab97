//! Plays that count for others: those of what was served, where answers are signed.

use actix_web::test::TestRequest;
use segue::config::FeedbackConfig;
use segue::security::new_secret;
use serde_json::{Value, json};

use crate::app_support::{TestApp, finished, ids};
use crate::http_support::post;

/// Plays of a track, the bundle's and those since.
fn plays(app: &TestApp, track: &str) -> f32 {
    let row = app.service.current().catalogue().find(track).unwrap();
    let mut found = 0.0;
    app.engine.current().state().completions().plays(std::iter::once(row), |_, plays| found = plays);
    found
}

fn unproven(app: &TestApp, reason: &str) -> u64 {
    app.metric(&format!("segue_events_unproven_total{{reason=\"{reason}\"}}"))
}

/// What a play of a track that names an answer adds for others.
async fn adds(app: &TestApp, user: &str, track: &str, id: Option<&str>) -> f32 {
    let before = plays(app, track);
    let mut end = finished(user, &format!("session of {user}"), track);
    end["recommendation_id"] = json!(id);
    app.accept(vec![end]).await;
    plays(app, track) - before
}

#[actix_web::test]
async fn only_plays_of_what_was_served_count_for_others() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), new_secret()).unwrap();
    let app = TestApp::with(|config| {
        config.signals.feedback = FeedbackConfig { secret_file: Some(secret.path().into()), ..FeedbackConfig::off() };
    });
    let answer = app.next(json!({"user_id": "u1", "session_id": "s1", "limit": 5})).await;
    let (signed, served) = (answer["recommendation_id"].as_str().unwrap(), ids(&answer));
    let (bare, _) = signed.split_once('.').unwrap();
    let other = app.tracks(|_| true).into_iter().find(|track| !served.contains(track)).unwrap();

    assert_eq!(adds(&app, "u1", &served[0], Some(signed)).await, 1.0);
    assert_eq!(adds(&app, "u1", &served[1], None).await, 0.0);
    assert_eq!(adds(&app, "u1", &served[1], Some(bare)).await, 0.0, "that is no secret");
    assert_eq!(adds(&app, "u1", &other, Some(signed)).await, 0.0);
    assert_eq!(adds(&app, "u2", &served[1], Some(signed)).await, 0.0, "somebody else's answer");
    let counts = ["unnamed", "forged", "not_served", "expired"].map(|reason| unproven(&app, reason));
    assert_eq!(counts, [1, 2, 1, 0]);
    let session = app.get("/v1/sessions/session of u1".replace(' ', "%20").as_str()).await;
    assert_eq!(session["plays"], 4, "all of them are the listener's own");

    // Both forms of the id name the answer.
    for id in [signed, bare] {
        let trace: Value = app.get(&format!("/v1/recommendations/{id}/trace")).await;
        assert_eq!(trace["answer"]["recommendation_id"], bare);
        let explained = app.ask(post("/v1/explain", &json!({"track_id": other, "recommendation_id": id}))).await;
        assert_eq!(explained.status, 200, "{id}");
        let again = app.ask(post(&format!("/v1/recommendations/{id}/replay"), &json!({}))).await;
        assert_eq!(again.status, 200, "{id}");
    }
    assert_eq!(app.status(TestRequest::get(), "/v1/recommendations/r-1.x/trace").await, 404);
}

#[actix_web::test]
async fn a_list_that_the_caller_brought_proves_nothing() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), new_secret()).unwrap();
    let app = TestApp::with(|config| {
        config.signals.feedback = FeedbackConfig { secret_file: Some(secret.path().into()), ..FeedbackConfig::off() };
    });
    let answer = app.rank(json!({"user_id": "u1", "track_ids": ["t1", "t2", "t3", "t4", "t6", "t8"]})).await;
    let (id, ranked) = (answer["recommendation_id"].as_str().unwrap(), ids(&answer));
    assert!(id.starts_with("c-"), "{id}");
    assert_eq!(adds(&app, "u1", &ranked[0], Some(id)).await, 0.0);
    assert_eq!(unproven(&app, "forged"), 0, "its id is kept, for the feature log");
}

#[actix_web::test]
async fn without_a_secret_ids_are_as_they_were() {
    let app = TestApp::new();
    let answer = app.next(json!({"user_id": "u1", "limit": 5})).await;
    assert_eq!(answer["recommendation_id"].as_str().unwrap().len(), "r-".len() + 26);
}
