//! Answers looked at from outside: traces, the caller's own list, metrics, weights.

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use crate::app_support::{TestApp, ids};

/// The stages of the funnel in the order in which they report.
const STAGES: [&str; 33] = [
    "rule_set",
    "session",
    "profile",
    "user_vector",
    "intent",
    "rule_pins",
    "two_tower",
    "session_artists",
    "sequential_rules",
    "own_tracks",
    "popular",
    "fresh",
    "exploration",
    "rule",
    "played_in_session",
    "served_before",
    "excluded",
    "disliked",
    "blocked_artist",
    "market",
    "explicit",
    "licence",
    "taken_down",
    "same_recording",
    "mmoe",
    "skip_penalty",
    "satiation",
    "popularity_penalty",
    "dpp",
    "explore",
    "separation",
    "transitions",
    "rules",
];

fn stages(trace: &Value) -> Vec<&str> {
    trace["stages"].as_array().unwrap().iter().map(|stage| stage["stage"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn every_answer_can_be_traced() {
    let app = TestApp::new();
    let body = json!({"user_id": "u1", "session_id": "s1", "limit": 7, "market": "SE", "seed": 11, "explain": "trace",
        "exclude_track_ids": ["t1", "gone"], "surface": "radio"});
    let answer = app.next(body).await;
    assert_eq!(stages(&answer["trace"]), STAGES);
    let id = answer["recommendation_id"].as_str().unwrap();
    let recorded = app.get(&format!("/v1/recommendations/{id}/trace")).await;
    assert_eq!(recorded["answer"]["trace"], answer["trace"]);
    for field in ["recommendation_id", "bundle", "rung", "pool", "unknown_ids"] {
        assert_eq!(recorded["answer"][field], answer[field], "{field}");
    }
    assert_eq!(recorded["answer"]["tracks"], answer["tracks"], "reasons too");
    let asked = &recorded["request"];
    assert_eq!((&asked["user_id"], &asked["session_id"], &asked["seed"]), (&json!("u1"), &json!("s1"), &json!(11)));
    assert_eq!((&asked["exclude_track_ids"], &asked["unknown_ids"]), (&json!(["t1"]), &json!(1)));
    // The counts of a stage are those that the next one begins with.
    let reports = answer["trace"]["stages"].as_array().unwrap();
    assert!(reports.windows(2).all(|pair| pair[0]["candidates_out"] == pair[1]["candidates_in"]), "{reports:?}");
    assert_eq!(reports[12]["candidates_out"], answer["pool"]["retrieved"]);
    assert_eq!(reports[23]["candidates_out"], answer["pool"]["after_filters"]);
    assert_eq!(app.status(TestRequest::get(), "/v1/recommendations/r-gone/trace").await, 404);
}

#[actix_web::test]
async fn ranking_orders_the_callers_list_and_serves_nothing() {
    let app = TestApp::new();
    app.past("u1", [3, 4, 8]).await;
    let own = ["t20", "t21", "t21", "t32", "t34", "gone", "t37"];
    let body = json!({"user_id": "u1", "session_id": "s1", "track_ids": own});
    let ranked = app.rank(body.clone()).await;
    assert_eq!((&ranked["rung"], &ranked["unknown_ids"]), (&json!("full"), &json!(1)));
    let mut listed = ids(&ranked);
    let tracks = ranked["tracks"].as_array().unwrap();
    assert!(tracks.is_sorted_by(|a, b| a["score"].as_f64() >= b["score"].as_f64()), "by score alone: {ranked}");
    assert!(tracks.iter().all(|track| track["source"] == "caller" && track["scores"].is_object()));
    listed.sort();
    assert_eq!(listed, ["t20", "t21", "t32", "t34", "t37"]);
    assert_eq!(app.status(TestRequest::get(), "/v1/sessions/s1").await, 404, "nothing was served");
    assert_eq!(ids(&app.rank(body).await).len(), 5);
    let nothing = app.rank(json!({"user_id": "u1", "track_ids": ["gone"]})).await;
    assert_eq!(nothing["tracks"], json!([]), "no other track stands in for the caller's");
}

#[actix_web::test]
async fn metrics_count_what_was_answered() {
    let app = TestApp::new();
    for _ in 0..3 {
        app.next(json!({"user_id": "u1", "limit": 10})).await;
    }
    app.rank(json!({"user_id": "u1", "track_ids": ["t20", "t21"]})).await;
    let got = app.ask(TestRequest::get().uri("/metrics")).await;
    assert_eq!((got.status, got.header("content-type").starts_with("text/plain")), (200, true));
    for stage in STAGES {
        let retriever = STAGES[5..13].contains(&stage);
        let runs = if retriever { 3 } else { 4 };
        let name = format!("segue_stage_outcomes_total{{outcome=\"ok\",stage=\"{stage}\"}}");
        assert_eq!(app.metric(&name), runs, "{stage}");
        assert_eq!(app.metric(&format!("segue_stage_duration_seconds_count{{stage=\"{stage}\"}}")), runs, "{stage}");
    }
    assert!(app.metric("segue_stage_candidates_out_total{stage=\"two_tower\"}") > 30);
    assert_eq!(app.metric("segue_answer_rungs_total{rung=\"full\"}"), 4);
    assert_eq!(app.metric("segue_answer_tracks_total{source=\"caller\"}"), 2);
    assert_eq!(app.metric("segue_http_requests_total{route=\"/v1/next-tracks\",status=\"200\"}"), 3);
    assert_eq!(app.metric("segue_lanes"), 2);
    assert_eq!(app.metric("segue_bundle_tracks"), 150);
}

#[actix_web::test]
async fn weights_count_from_the_next_request() {
    let app = TestApp::with(|config| {
        (config.knobs.artist_window, config.rerank.album_window) = (1, 1);
        config.rerank.satiation.strength = 0.0;
    });
    app.past("u1", [3, 4, 8]).await;
    let weigh = |complete: f32, skip: f32, like: f32| {
        json!({"blend": {"complete": complete, "skip": skip, "like": like}, "popularity_penalty": 0.3, "skip_penalty": 0.2,
               "artist_window": 1})
    };
    let put = async |knobs: &Value| app.ask(TestRequest::put().uri("/admin/knobs").set_json(knobs)).await;
    let ask = async || {
        app.next(json!({"user_id": "u1", "limit": 50, "diversity": 0, "discovery": 0, "surface": "chart"})).await
    };
    assert_eq!(app.get("/admin/knobs").await["artist_window"], 1);
    let before = ids(&ask().await);
    for (weights, task, sign) in
        [([1.0, 0.0, 0.0], "complete", 1.0), ([0.0, 0.0, 10.0], "like", 1.0), ([0.0, 1.0, 0.0], "skip", -1.0)]
    {
        let got = put(&weigh(weights[0], weights[1], weights[2])).await;
        assert_eq!((got.status, got.json()), (200, app.get("/admin/knobs").await));
        let after = ask().await;
        let by_task = |track: &Value| sign * track["scores"][task].as_f64().unwrap();
        let tracks = after["tracks"].as_array().unwrap();
        assert!(tracks.is_sorted_by(|a, b| by_task(a) >= by_task(b)), "{task} alone decides: {after}");
    }
    assert_ne!(ids(&ask().await), before);
    let refused = put(&weigh(-1.0, 0.0, 0.0)).await;
    assert_eq!(refused.problem_fields(), ["blend.complete"]);
    assert_eq!(app.get("/admin/knobs").await["blend"]["skip"], 1.0, "what was refused changed nothing");
}
