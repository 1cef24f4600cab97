//! Requests asked again.

use std::sync::Arc;

use actix_web::test::TestRequest;
use segue::app::Wiring;
use segue::bundle::Bundle;
use segue::features::StateStore;
use segue::pipeline::{Deadline, Rehearsal};
use segue::replay::{Capture, CaptureError, CapturedAnswer, MadeWith};
use segue::stages::observe::CatalogueMoment;
use serde_json::{Value, json};

use crate::app_rules::rules;
use crate::app_support::{TestApp, finished, ids, post_replay, skip};

/// A listener with a past and a session, and their answers to some requests.
async fn answers(app: &TestApp) -> Vec<Value> {
    app.past("u1", [3, 4, 8]).await;
    let mut answers = Vec::new();
    for (at, track) in ["t20", "t33", "t51"].into_iter().enumerate() {
        let body =
            json!({"user_id": "u1", "session_id": "s1", "limit": 20, "discovery": 0.6, "current_track_id": track});
        answers.push(app.next(body).await);
        app.accept(vec![finished("u1", "s1", track), skip("u1", "s1", &format!("t{}", 60 + at))]).await;
    }
    answers
}

#[actix_web::test]
async fn an_answer_comes_out_again_whatever_happened_since() {
    let app = TestApp::new();
    for answer in answers(&app).await {
        let got = post_replay(&app, &answer, json!({})).await;
        let replayed = got.json();
        assert_eq!(got.status, 200, "{replayed}");
        assert_eq!((&replayed["reproduced"], &replayed["overlap_at_20"]), (&json!(true), &json!(1.0)));
        assert_eq!(ids(&replayed["answer"]), ids(&answer));
        assert!(replayed["tracks"].as_array().unwrap().iter().all(|track| track["change"] == "same"));
    }
    assert_eq!(app.metric("segue_answer_rungs_total{rung=\"full\"}"), 3, "replays are no answers");
}

#[actix_web::test]
async fn other_weights_show_what_moved_and_why() {
    let app = TestApp::new();
    let answer = answers(&app).await.remove(0);
    let knobs = json!({"blend": {"complete": 0.0, "skip": 0.0, "like": 5.0}, "popularity_penalty": 0.0, "skip_penalty": 0.0,
        "artist_window": 1});
    let got = post_replay(&app, &answer, json!({"knobs": knobs, "diversity": 0.0, "limit": 10})).await;
    let replayed = got.json();
    assert_eq!((got.status, &replayed["reproduced"]), (200, &json!(true)), "{replayed}");
    let (before, after) = (ids(&answer), ids(&replayed["answer"]));
    assert_eq!(after.len(), 10);
    let mut changes = std::collections::BTreeSet::new();
    for track in replayed["tracks"].as_array().unwrap() {
        let at = |list: &[String]| list.iter().position(|id| track["track_id"] == id.as_str()).map(|at| at + 1);
        assert_eq!((&track["before"], &track["after"]), (&json!(at(&before)), &json!(at(&after))));
        assert_eq!(track["change"] == "same", track.get("why").is_none(), "{track}");
        changes.insert(track["change"].as_str().unwrap().to_owned());
    }
    assert!(changes.contains("left"), "{changes:?}");
    assert!(replayed["rank_biased_overlap"].as_f64().unwrap() < 1.0);
    let wrong = post_replay(&app, &answer, json!({"limit": 0, "seed": 1})).await;
    assert_eq!(wrong.problem_fields(), ["limit"]);
    let gone = json!({"recommendation_id": "r-gone"});
    assert_eq!(post_replay(&app, &gone, json!({})).await.status, 404);
}

#[actix_web::test]
async fn what_changed_is_named_where_an_answer_does_not_come_out_again() {
    let app = TestApp::new();
    let answer = answers(&app).await.remove(0);
    let first = ids(&answer)[0].clone();
    let gone = app.ask(TestRequest::delete().uri(&format!("/v1/tracks/{first}"))).await;
    assert!(gone.status < 300);
    let got = post_replay(&app, &answer, json!({})).await;
    let problem = got.json();
    assert_eq!((got.status, problem["type"].as_str().unwrap()), (409, "urn:segue:problem:not-reproduced"));
    assert!(problem["detail"].as_str().unwrap().contains("tracks were taken down"), "{problem}");
    let other = post_replay(&app, &answer, json!({"seed": 9})).await.json();
    assert_eq!(other["reproduced"], false);
    assert_eq!(other["changed"], json!(["catalogue: tracks were taken down or restored"]));
}

#[actix_web::test]
async fn rules_that_changed_since_are_named() {
    let app = TestApp::new();
    let answer = answers(&app).await.remove(0);
    let block = rules(&format!("[[rules]]\nname='b'\naction='block'\ntracks=['{}']\n", ids(&answer)[0]));
    app.engine.set_rules(&block);
    let problem = post_replay(&app, &answer, json!({})).await.json();
    assert_eq!(problem["type"], "urn:segue:problem:not-reproduced");
    assert!(problem["detail"].as_str().unwrap().contains("configuration: [rules]"), "{problem}");
    // A capture tells the rules of then, and one of an answer since those of now.
    app.next(json!({"user_id": "u2", "limit": 5})).await;
    let captures = app.engine.current().captures(99);
    let told = |of: &[_]| segue::config::rules_digest(of);
    let of = |user: &str| {
        let own = captures.iter().find(|capture| capture.request.user_id.as_str() == user);
        own.unwrap().made_with.config["rules"].clone()
    };
    assert_eq!((of("u1"), of("u2")), (told(&[]), told(&block)));
    app.engine.set_rules(&[]);
    let replayed = post_replay(&app, &answer, json!({})).await;
    assert_eq!((replayed.status, &replayed.json()["reproduced"]), (200, &json!(true)), "the rules of then hold again");
}

/// What `GET /admin/captures` gives comes out bit for bit in another process, which has the bundle alone.
#[actix_web::test]
async fn captured_requests_come_out_again_elsewhere() {
    let app = TestApp::new();
    let answers = answers(&app).await;
    let got = app.ask(TestRequest::get().uri("/admin/captures")).await;
    assert_eq!((got.status, got.header("content-type")), (200, "application/x-ndjson"));
    let text = String::from_utf8(got.body).unwrap();
    let captures: Vec<Capture> = text.lines().map(|line| Capture::parse(line).unwrap()).collect();
    assert_eq!(captures.len(), answers.len());
    let config = app.engine.config();
    let bundle = Arc::new(
        Bundle::load(&app.engine.current().bundle().directory, config, &crate::app_support::runtime()).unwrap(),
    );
    let now = MadeWith::of(&bundle, config, CatalogueMoment::default());
    let state = Arc::new(StateStore::new(&config.state, &config.signals));
    let mut pipeline = Wiring::new(config, bundle, state).rehearsing().unwrap().build();
    for capture in captures {
        assert!(capture.made_with.changes(&now).is_empty());
        let recorded = Some(Arc::new(capture.recorded(&now).unwrap()));
        let rehearsal = Rehearsal { recorded, watch: vec![] };
        let request = Arc::new(capture.request.clone());
        let (_, answer) = pipeline.rehearse(request, capture.knobs, &Deadline::never(), capture.width, rehearsal);
        assert!(CapturedAnswer::of(&answer).equals(&capture.answer), "{}", capture.recommendation_id);
        let mut other = now.clone();
        other.files.insert("tracks.parquet".into(), "another".into());
        assert!(matches!(capture.recorded(&other), Err(CaptureError::OtherCatalogue(_))));
    }
    assert!(matches!(Capture::parse("{}"), Err(CaptureError::Malformed(_))));
}
