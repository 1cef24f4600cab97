//! Why a track is, or is not, in an answer.

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use crate::app_support::{TestApp, id_set, ids};
use crate::http_support::post;

async fn explain(app: &TestApp, body: Value) -> Value {
    let got = app.ask(post("/v1/explain", &body)).await;
    assert_eq!(got.status, 200, "{}", String::from_utf8_lossy(&got.body));
    got.json()
}

#[actix_web::test]
async fn every_track_has_the_outcome_that_the_answer_shows() {
    let app = TestApp::with(|config| config.retrieval.two_tower = 20);
    app.past("u1", [3, 4, 8]).await;
    let asked = json!({"user_id": "u1", "limit": 10, "seed": 7, "market": "SE", "exclude_track_ids": ["t40"]});
    let with = |track: &str| {
        let mut body = asked.clone();
        body["track_id"] = json!(track);
        body
    };
    let list = ids(&app.next(asked.clone()).await);
    let mut seen = std::collections::BTreeMap::new();
    for row in 0..crate::app_support::bundle(&app).catalogue.len() {
        let track = format!("t{row}");
        let why = explain(&app, with(&track)).await;
        let outcome = why["outcome"].as_str().unwrap().to_owned();
        let place = list.iter().position(|id| *id == track).map(|at| at + 1);
        assert_eq!(outcome == "served", place.is_some(), "{why}");
        match outcome.as_str() {
            "served" => assert_eq!(why["place"], place.unwrap()),
            "filtered" => {
                let expected: &[&str] = match (&why["stage"], app.track(&track)) {
                    (stage, _) if stage == "excluded" => &["t40"],
                    (stage, track) if stage == "licence" => {
                        assert!(track.available_until_ms.is_some());
                        continue;
                    }
                    _ => continue,
                };
                assert!(expected.contains(&track.as_str()), "{why}");
            }
            "not_retrieved" => {
                let near = &why["similarity"];
                assert_eq!((&near["of"], why["proposed_by"].as_array().unwrap().len()), (&json!(150), 0));
                assert!((1..=150).contains(&near["rank"].as_u64().unwrap()));
            }
            "ranked" => assert!(why["place"].as_u64().unwrap() > 10, "{why}"),
            "displaced" => assert!(why["way"]["steps"].as_array().unwrap().len() > 3, "{why}"),
            other => panic!("{other}"),
        }
        *seen.entry(outcome).or_insert(0) += 1;
    }
    assert_eq!(seen["served"], list.len());
    assert!(["filtered", "ranked"].iter().all(|outcome| seen.contains_key(*outcome)), "{seen:?}");
    let unknown = explain(&app, with("gone")).await;
    assert_eq!((&unknown["outcome"], &unknown["track_id"]), (&json!("unknown"), &json!("gone")));
    // Nothing was served and nothing noted by asking.
    assert_eq!(app.metric("segue_answer_rungs_total{rung=\"full\"}"), 1);
}

#[actix_web::test]
async fn an_answer_is_explained_as_it_was_given() {
    let app = TestApp::new();
    app.past("u1", [3, 4, 8]).await;
    let answer = app.next(json!({"user_id": "u1", "session_id": "s1", "limit": 10})).await;
    let id = answer["recommendation_id"].as_str().unwrap();
    // What the session got since would be filtered now.
    for (at, track) in ids(&answer).iter().enumerate() {
        let why = explain(&app, json!({"recommendation_id": id, "track_id": track})).await;
        assert_eq!((&why["outcome"], &why["place"]), (&json!("served"), &json!(at + 1)), "{why}");
        let now = json!({"user_id": "u1", "session_id": "s1", "limit": 10, "track_id": track});
        let why = explain(&app, now).await;
        assert_eq!((&why["outcome"], &why["stage"]), (&json!("filtered"), &json!("served_before")), "{why}");
    }
    let gone = app.ask(post("/v1/explain", &json!({"recommendation_id": "r-gone", "track_id": "t1"}))).await;
    assert_eq!(gone.status, 404);
    let wrong = app.ask(post("/v1/explain", &json!({"user_id": "u1", "limit": 0, "track_id": "t1"}))).await;
    assert_eq!(wrong.problem_fields(), ["limit"]);
}

#[actix_web::test]
async fn a_trace_shows_the_way_of_every_track_and_what_filters_removed() {
    let app = TestApp::new();
    app.past("u1", [3, 4, 8]).await;
    let answer = app.next(json!({"user_id": "u1", "limit": 10, "market": "FR"})).await;
    let id = answer["recommendation_id"].as_str().unwrap();
    let trace = app.get(&format!("/v1/recommendations/{id}/trace")).await;
    assert_eq!(trace["replayable"], true);
    let reports = trace["answer"]["trace"]["stages"].as_array().unwrap();
    let removed = trace["answer"]["trace"]["removed"].as_array().unwrap();
    for report in reports.iter().filter(|report| report["kind"] == "filter") {
        let count = report["candidates_in"].as_u64().unwrap() - report["candidates_out"].as_u64().unwrap();
        let told = removed.iter().find(|one| one["filter"] == report["stage"]);
        assert_eq!(told.map_or(0, |told| told["track_ids"].as_array().unwrap().len() as u64), count.min(10));
    }
    let served = id_set(&answer);
    assert!(
        removed
            .iter()
            .flat_map(|one| one["track_ids"].as_array().unwrap())
            .all(|id| !served.contains(id.as_str().unwrap()))
    );
    for (at, track) in trace["answer"]["tracks"].as_array().unwrap().iter().enumerate() {
        let steps = track["way"]["steps"].as_array().unwrap();
        assert_eq!((&steps[0]["stage"], steps.len()), (&json!("mmoe"), 9));
        assert_eq!(steps[0]["score"], track["way"]["blended"]);
        let last = &steps[8];
        assert_eq!(
            (&last["stage"], &last["place"], &last["score"]),
            (&json!("rules"), &json!(at + 1), &track["score"])
        );
        assert!(track["reasons"].is_array(), "found when the trace is asked for");
    }
}

#[actix_web::test]
async fn without_tracing_nothing_is_kept() {
    let app = TestApp::with(|config| (config.trace.recent_mib, config.trace.sample_every) = (0, 0));
    let answer = app.next(json!({"user_id": "u1", "limit": 10, "explain": "trace"})).await;
    assert!(answer["tracks"][0]["way"]["steps"].is_array(), "who asks for a trace gets it in the answer");
    let path = format!("/v1/recommendations/{}/trace", answer["recommendation_id"].as_str().unwrap());
    assert_eq!(app.status(TestRequest::get(), &path).await, 404);
    let app = TestApp::with(|config| config.trace.state = false);
    let answer = app.next(json!({"user_id": "u1", "limit": 10})).await;
    let body = json!({"recommendation_id": answer["recommendation_id"], "track_id": "t1"});
    let got = app.ask(post("/v1/explain", &body)).await;
    assert_eq!((got.status, got.json()["type"].as_str().unwrap()), (409, "urn:segue:problem:not-replayable"));
}
