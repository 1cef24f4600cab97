//! What a session seems to be for, through the whole application.

use segue::config::IntentConfig;
use segue::domain::BlendWeights;
use serde_json::{Value, json};

use crate::app_support::{TestApp, bundle, finished, post_replay};

fn ask() -> Value {
    json!({"user_id": "u1", "session_id": "s1", "limit": 20, "seed": 5})
}

/// An application whose every intent turns all dials, after some plays.
async fn turning(intents: bool) -> TestApp {
    let plain = TestApp::new();
    let bundle = bundle(&plain);
    let labels: Vec<String> =
        bundle.prototypes.as_ref().unwrap().labels().iter().map(|(label, _)| label.to_string()).collect();
    let turn = |label: String| IntentConfig {
        label,
        blend: Some(BlendWeights { complete: 0.0, skip: 0.0, like: 10.0 }),
        discovery: Some(1.0),
        diversity: Some(1.0),
    };
    let app = match intents {
        true => TestApp::with(|config| config.intents = labels.into_iter().map(turn).collect()),
        false => plain,
    };
    app.past("u1", [3, 4, 8]).await;
    app.accept(["t20", "t21", "t22", "t23"].map(|track| finished("u1", "s1", track)).to_vec()).await;
    app
}

#[actix_web::test]
async fn an_answer_tells_what_its_session_may_be_for() {
    let app = turning(false).await;
    let answer = app.next(ask()).await;
    let intent = &answer["session_intent"];
    let mixture = intent["mixture"].as_array().unwrap();
    let shares: Vec<f64> = mixture.iter().map(|part| part["share"].as_f64().unwrap()).collect();
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-4 && shares.is_sorted_by(|a, b| a >= b), "{intent}");
    assert_eq!(mixture[0]["label"], intent["label"]);
    assert!((0.0..=1.0).contains(&intent["confidence"].as_f64().unwrap()));
    let new = app.next(json!({"user_id": "u1", "session_id": "s2", "limit": 5})).await;
    assert!(new["session_intent"]["mixture"].is_null(), "nothing was played in it: {new}");
}

#[actix_web::test]
async fn what_intents_turn_comes_out_again() {
    let (plain, turned) = (turning(false).await, turning(true).await);
    let answer = turned.next(ask()).await;
    let before = plain.next(ask()).await;
    assert_eq!(before["session_intent"], answer["session_intent"]);
    let replayed = post_replay(&turned, &answer, json!({})).await;
    assert_eq!((replayed.status, &replayed.json()["reproduced"]), (200, &json!(true)));
}
