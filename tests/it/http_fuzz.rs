//! Random bodies to every route that takes one: never a 5xx, never a panic, always JSON.

use std::sync::Arc;

use actix_web::rt::System;
use actix_web::test as web;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use segue::http::{Audience, Service, app};
use serde_json::{Map, Value, json};

use crate::http_support::{Small, post_text, read};

/// Routes that take a body of their own.
pub(crate) const PATHS: [&str; 3] = ["/v1/next-tracks", "/v1/rank", "/v1/events"];

/// Valid bodies, one a path.
fn valid(path: usize) -> Value {
    let shared = json!({
        "user_id": "u1", "session_id": "s1", "limit": 5, "surface": "radio", "current_track_id": "t8", "seed_track_ids": ["t1"],
        "seed_artist_ids": ["a1"], "exclude_track_ids": ["t0"], "market": "SE", "allow_explicit": true, "discovery": 0.3,
        "diversity": 0.5, "target": {"tempo": 120, "energy": 0.7}, "explain": "trace", "seed": 1,
        "context": {"device": "car", "local_hour": 8, "activity": "commute"},
    });
    match path {
        0 => shared,
        1 => {
            let mut body = shared;
            body["track_ids"] = json!(["t1", "t2"]);
            body
        }
        _ => json!({"events": [{
            "event_id": "e1", "user_id": "u1", "session_id": "s1", "track_id": "t5", "type": "skip", "position_ms": 15_300,
            "duration_ms": 201_000, "played_ms": 15_000, "reason_start": "auto", "reason_end": "skip",
            "client_ts": "2026-01-01T00:00:00Z", "context": {},
        }]}),
    }
}

/// Any JSON, with the values that break things more often than chance would have it.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec!["", "t1", "u1", "\u{0}", "2026-01-01T00:00:00Z", "skip", "SE", "ü/.."])
            .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((field(), inner), 0..6)
                .prop_map(|pairs| pairs.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

fn field() -> impl Strategy<Value = String> {
    let known = ["user_id", "limit", "events", "track_ids", "context", "target", "event_id", "type", "client_ts"];
    prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), "[a-z]{0,6}"]
}

/// The places in a document, each as the way from the root.
fn places(value: &Value, way: &str, found: &mut Vec<String>) {
    found.push(way.to_owned());
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| places(inner, &format!("{way}/{key}"), found)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(at, inner)| places(inner, &format!("{way}/{at}"), found))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A valid body with one value replaced, or one field added.
fn mutated(path: usize) -> impl Strategy<Value = String> {
    (any::<prop::sample::Index>(), any_json(), field(), any::<bool>()).prop_map(move |(place, new, key, add)| {
        let mut body = valid(path);
        let mut ways = Vec::new();
        places(&body, "", &mut ways);
        match body.pointer_mut(&ways[place.index(ways.len())]) {
            Some(Value::Object(map)) if add => {
                map.insert(key, new);
            }
            Some(target) => *target = new,
            None => unreachable!("every way was found in this body"),
        }
        body.to_string()
    })
}

/// A valid body, cut or with one character replaced.
fn broken(path: usize) -> impl Strategy<Value = String> {
    (any::<prop::sample::Index>(), any::<char>(), any::<bool>()).prop_map(move |(place, new, cut)| {
        let mut text: Vec<char> = valid(path).to_string().chars().collect();
        let at = place.index(text.len());
        if cut {
            text.truncate(at);
        } else {
            text[at] = new;
        }
        text.into_iter().collect()
    })
}

/// Bodies for the route at this place of [`PATHS`]: any JSON, nearly valid ones, broken ones, text.
pub(crate) fn bodies(at: usize) -> impl Strategy<Value = String> {
    prop_oneof![any_json().prop_map(|value| value.to_string()), mutated(at), broken(at), ".{0,40}"]
}

#[test]
fn no_body_breaks_a_route() {
    let service: Arc<dyn Service> = Small::new();
    let system = System::new();
    let app = system.block_on(web::init_service(app(service, Arc::default(), Audience::Everyone)));
    for (at, path) in PATHS.into_iter().enumerate() {
        let mut runner = TestRunner::new(Config { cases: 1_000, ..Config::default() });
        let outcome = runner.run(&bodies(at), |body| {
            let got = system
                .block_on(async { read(web::call_service(&app, post_text(path, body).to_request()).await).await });
            prop_assert!(got.status < 500, "status {}", got.status);
            prop_assert!(serde_json::from_slice::<Value>(&got.body).is_ok());
            if got.status >= 400 {
                got.problem_fields();
            }
            Ok(())
        });
        outcome.unwrap_or_else(|fault| panic!("{path}: {fault}"));
        let body = valid(at).to_string();
        let got =
            system.block_on(async { read(web::call_service(&app, post_text(path, body).to_request()).await).await });
        assert!(got.status < 300, "the body that is mutated must be valid: {}", String::from_utf8_lossy(&got.body));
    }
}
