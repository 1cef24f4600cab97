//! Drift is counted of what the ranker scored, where the bundle knows what training looked like.

use std::sync::Arc;

use segue::metrics::Metrics;
use segue::stages::observe::TraceStore;
use serde_json::json;

use crate::app_support::{TestApp, bundle, ids};

fn observers(app: &TestApp) -> Vec<String> {
    let metrics = Arc::new(Metrics::new().unwrap());
    let mut builder = app.engine.current().wiring().serving(&metrics, &TraceStore::new(&Default::default())).unwrap();
    builder.wiring().into_iter().filter(|stage| stage.starts_with("observe")).collect()
}

#[actix_web::test]
async fn drift_counts_answers_that_the_ranker_scored() {
    let app = TestApp::with_reference();
    let bundle = bundle(&app);
    let reference = bundle.reference.as_ref().unwrap();
    assert!(reference.answers > 10 && reference.rows > reference.answers, "{} {}", reference.answers, reference.rows);
    assert_eq!(observers(&app).last().map(String::as_str), Some("observe drift"));
    for user in ["a", "b", "c"] {
        let answer = app.next(json!({"user_id": user, "session_id": user, "limit": 5})).await;
        assert_eq!(answer["rung"], "full");
        app.rank(json!({"user_id": user, "session_id": user, "track_ids": ids(&answer)})).await;
    }
    assert_eq!(app.metric("segue_drift_answers"), 3, "a caller's own list is none of retrieval's");
    assert!(!app.service.metrics_text().contains("segue_drift_head_psi{"), "of three answers nothing is told");
}

#[actix_web::test]
async fn drift_is_not_told_without_a_reference() {
    let app = TestApp::new();
    assert!(bundle(&app).reference.is_none());
    app.next(json!({"user_id": "a", "limit": 5})).await;
    assert!(observers(&app).iter().all(|observer| observer != "observe drift"));
    assert_eq!(app.metric("segue_drift_answers"), 0);
}
