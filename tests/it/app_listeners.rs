//! What is held about a listener: sessions, and erasure.

use actix_web::test::TestRequest;
use serde_json::json;

use crate::app_support::{TestApp, event, finished, id_set, skip};

#[actix_web::test]
async fn a_session_shows_what_happened_in_it() {
    let app = TestApp::new();
    assert_eq!(app.status(TestRequest::get(), "/v1/sessions/s1").await, 404);
    let served = app.next(json!({"user_id": "u1", "session_id": "s1", "limit": 3})).await;
    let fresh = app.get("/v1/sessions/s1").await;
    assert!(fresh["user_id"].is_null() && fresh["started_at"].is_null(), "no event yet: {fresh}");
    let newest_first = fresh["served_track_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned());
    assert_eq!(newest_first.collect::<std::collections::HashSet<_>>(), id_set(&served));
    app.accept(vec![
        event("u1", "s1", "play_start", "t3"),
        finished("u1", "s1", "t3"),
        event("u1", "s1", "like", "t3"),
        skip("u1", "s1", "t4"),
        event("u1", "s1", "play_start", "t5"),
    ])
    .await;
    let view = app.get("/v1/sessions/s1").await;
    assert_eq!((&view["session_id"], &view["user_id"]), (&json!("s1"), &json!("u1")));
    assert_eq!((&view["plays"], &view["completes"], &view["skips"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!((&view["current"]["track_id"], &view["recent"][0]["track_id"]), (&json!("t5"), &json!("t4")));
    assert_eq!((&view["recent"][1]["liked"], &view["recent"][1]["played_fraction"]), (&json!(true), &json!(1.0)));
    assert!(view["started_at"].is_string() && view["last_event_at"].is_string());
    let metrics = app.service.metrics_text();
    assert!(metrics.contains("\nsegue_state_sessions 1\n") && metrics.contains("\nsegue_state_profiles 1\n"));
}

#[actix_web::test]
async fn erasure_forgets_a_listener_and_nobody_else() {
    let app = TestApp::new();
    let ask = async |user: &str| {
        app.next(json!({"user_id": user, "limit": 100, "explain": "reasons", "context": {"local_hour": 8}})).await
    };
    for user in ["u1", "u2"] {
        app.past(user, [3, 4, 8]).await;
        let session = format!("s-{user}");
        app.accept(vec![event(user, &session, "dislike", "t9"), skip(user, &session, "t12")]).await;
    }
    let (one, two) = (ask("u1").await, ask("u2").await);
    assert!(!id_set(&one).contains("t9"));
    let trace = |answer: &serde_json::Value| {
        format!("/v1/recommendations/{}/trace", answer["recommendation_id"].as_str().unwrap())
    };
    assert_eq!(app.status(TestRequest::delete(), "/v1/users/u1").await, 204);
    for path in ["/v1/sessions/s-u1", "/v1/sessions/past-of-u1", &trace(&one)] {
        assert_eq!(app.status(TestRequest::get(), path).await, 404, "{path}");
    }
    for path in ["/v1/sessions/s-u2", "/v1/sessions/past-of-u2", &trace(&two)] {
        assert_eq!(app.status(TestRequest::get(), path).await, 200, "{path}");
    }
    assert_eq!(app.status(TestRequest::delete(), "/v1/users/u1").await, 404, "nothing is held any more");
    let after = ask("u1").await;
    let stranger = ask("stranger").await;
    let named = |answer: &serde_json::Value| {
        let told = answer["tracks"].as_array().unwrap().iter().flat_map(|t| t["reasons"].as_array().unwrap());
        told.filter(|reason| reason.as_str().is_some_and(|r| r.starts_with("similar_to") || r.contains("artist")))
            .count()
    };
    assert!(named(&one) > 0 && named(&after) == 0, "nothing that was played is a reason any more");
    assert_eq!(id_set(&after), id_set(&stranger), "answered as one who was never here");
    assert_eq!(app.status(TestRequest::get(), &trace(&after)).await, 200, "what comes later is kept again");
    assert!(!id_set(&ask("u2").await).contains("t9"));
}
