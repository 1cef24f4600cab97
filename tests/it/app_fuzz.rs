//! Random requests to every route of the real application: never a 5xx, always a problem document for what is refused.

use std::fmt::Write as _;

use actix_web::http::Method;
use actix_web::rt::System;
use actix_web::test::{self, TestRequest};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use segue::http::{Audience, Endpoint, app, endpoints};
use serde_json::json;

use crate::app_support::{TestApp, answered, ids};
use crate::http_fuzz::{PATHS, any_json, bodies};
use crate::http_support::{Got, post, read};

/// Random requests to one route.
const CASES: u32 = 120;

/// A part of a path or a query, percent-encoded: known ids, and bytes that break things.
fn part() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec!["t1", "t149", "u1", "s1", "limit", "scope", "5", "market:SE", "r-1"]);
    prop_oneof![
        known.prop_map(|text| text.as_bytes().to_vec()),
        ".{1,12}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 1..160),
    ]
    .prop_map(|bytes| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "%{byte:02X}").unwrap();
            text
        })
    })
}

/// A query string: none, pairs, or anything.
fn query() -> impl Strategy<Value = String> {
    let pairs = prop::collection::vec((part(), part()), 1..3)
        .prop_map(|pairs| pairs.iter().fold("?".to_owned(), |text, (key, value)| format!("{text}{key}={value}&")));
    prop_oneof![Just(String::new()), pairs, part().prop_map(|text| format!("?{text}"))]
}

fn body(endpoint: &Endpoint) -> BoxedStrategy<String> {
    match PATHS.iter().position(|path| *path == endpoint.path) {
        Some(at) => bodies(at).boxed(),
        None if endpoint.method == "PUT" => {
            let knobs = json!({"blend": {"complete": 1, "skip": 0.5, "like": 0.1}, "popularity_penalty": 0.3, "skip_penalty": 0.2,
                               "artist_window": 3});
            prop_oneof![Just(knobs.to_string()), any_json().prop_map(|value| value.to_string())].boxed()
        }
        None => prop_oneof![Just(String::new()), ".{0,20}"].boxed(),
    }
}

fn check(got: &Got) -> Result<(), TestCaseError> {
    prop_assert!(got.status < 500, "status {}", got.status);
    if got.status >= 400 {
        got.problem_fields();
    }
    prop_assert!(!got.header("x-request-id").is_empty());
    Ok(())
}

#[test]
fn no_request_breaks_the_application() {
    let tested = TestApp::new();
    let system = System::new();
    let app = app(std::sync::Arc::clone(&tested.service), std::sync::Arc::default(), Audience::Everyone);
    let app = system.block_on(test::init_service(app));
    for endpoint in endpoints() {
        let method = Method::from_bytes(endpoint.method.as_bytes()).unwrap();
        let mut runner = TestRunner::new(Config { cases: CASES, ..Config::default() });
        let outcome = runner.run(&(part(), query(), body(&endpoint)), |(id, query, body)| {
            let uri = format!("{}{query}", endpoint.path.replace("{id}", &id));
            let request = TestRequest::with_uri(&uri).method(method.clone());
            let request = request.insert_header(("content-type", "application/json")).set_payload(body);
            check(&system.block_on(async { read(test::call_service(&app, request.to_request()).await).await }))
        });
        outcome.unwrap_or_else(|fault| panic!("{} {}: {fault}", endpoint.method, endpoint.path));
    }
    // Still at work: every lane lives, and a plain question gets a plain answer.
    for user in 0..8 {
        let asked = json!({"user_id": format!("after-{user}"), "limit": 10});
        let answer = answered(system.block_on(tested.ask(post("/v1/next-tracks", &asked))));
        assert_eq!((&answer["rung"], ids(&answer).len()), (&json!("full"), 10));
    }
}
