//! Bad input: each is refused with a problem document that names the field, and nothing breaks.

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use crate::http_support::{Small, ask, post, post_text};

/// `{"user_id":"u1"}` with one more field.
fn with(field: &str, value: Value) -> Value {
    let mut body = json!({"user_id": "u1"});
    body[field] = value;
    body
}

#[actix_web::test]
async fn wrong_fields_are_named() {
    let long = "x".repeat(129);
    let cases = [
        (json!({}), "user_id"),
        (json!([]), "body"),
        (json!("u1"), "body"),
        (json!({"user_id": ""}), "user_id"),
        (json!({"user_id": 5}), "user_id"),
        (json!({"user_id": long}), "user_id"),
        (json!({"user_id": "a\u{0}b"}), "user_id"),
        (with("colour", json!("red")), "colour"),
        (with("limit", json!(0)), "limit"),
        (with("limit", json!(101)), "limit"),
        (with("limit", json!(1_000_000_000)), "limit"),
        (with("limit", json!(1e9)), "limit"),
        (with("limit", json!(-1)), "limit"),
        (with("limit", json!("20")), "limit"),
        (with("discovery", json!(1.01)), "discovery"),
        (with("diversity", json!(-1e300)), "diversity"),
        (with("seed", json!(-1)), "seed"),
        (with("seed", json!(0.5)), "seed"),
        (with("market", json!("Sweden")), "market"),
        (with("market", json!("se")), "market"),
        (with("explain", json!("all")), "explain"),
        (with("allow_explicit", json!("yes")), "allow_explicit"),
        (with("seed_track_ids", json!(["t1", 5])), "seed_track_ids[1]"),
        (with("seed_track_ids", json!("t1")), "seed_track_ids"),
        (with("exclude_track_ids", json!([long])), "exclude_track_ids[0]"),
        (with("target", json!({"tempo": 1e30})), "target.tempo"),
        (with("target", json!({"loudness": 1})), "target.loudness"),
        (with("context", json!({"device": "toaster"})), "context.device"),
        (with("context", json!({"local_hour": 24})), "context.local_hour"),
        (with("context", json!({"local_hour": -1})), "context.local_hour"),
    ];
    let service = Small::new();
    for (body, field) in cases {
        let got = ask(&service, post("/v1/next-tracks", &body)).await;
        assert_eq!((got.status, got.problem_fields()), (400, vec![field.to_owned()]), "{body}");
    }
}

#[actix_web::test]
async fn numbers_that_json_cannot_hold_are_refused() {
    let service = Small::new();
    for text in ["NaN", "Infinity", "-Infinity", "1e999", "0x10", "01"] {
        let got =
            ask(&service, post_text("/v1/next-tracks", format!(r#"{{"user_id":"u1","discovery":{text}}}"#))).await;
        assert_eq!(got.status, 400, "{text}");
        got.problem_fields();
    }
}

#[actix_web::test]
async fn what_is_not_json_is_refused() {
    let service = Small::new();
    let deep = "[".repeat(100_000);
    let nested = format!(r#"{{"user_id":{}"#, "{\"a\":".repeat(100_000));
    for text in ["", "{", "nul", "{\"user_id\":\"u1\"}}", "\u{0}", &deep, &nested] {
        let got = ask(&service, post_text("/v1/next-tracks", text)).await;
        assert_eq!(got.status, 400, "{}", &text[..text.len().min(20)]);
        got.problem_fields();
    }
    let bytes = TestRequest::post().uri("/v1/next-tracks").insert_header(("content-type", "application/json"));
    let got = ask(&service, bytes.set_payload(vec![b'"', 0xff, 0xfe, b'"'])).await;
    assert_eq!(got.status, 400);
}

#[actix_web::test]
async fn other_media_types_are_refused() {
    let service = Small::new();
    let body = r#"{"user_id":"u1"}"#;
    let bare = || TestRequest::post().uri("/v1/next-tracks").set_payload(body);
    let cases = [
        (bare(), 415),
        (bare().insert_header(("content-type", "text/plain")), 415),
        (bare().insert_header(("content-type", "application/json")).insert_header(("content-encoding", "gzip")), 415),
        (bare().insert_header(("content-type", "application/json; charset=utf-8")), 200),
    ];
    for (request, status) in cases {
        assert_eq!(ask(&service, request).await.status, status);
    }
}

#[actix_web::test]
async fn what_is_too_large_is_refused() {
    let service = Small::new();
    for path in ["/v1/next-tracks", "/v1/events", "/v1/rank"] {
        let got = ask(&service, post_text(path, format!("\"{}\"", "x".repeat(10 << 20)))).await;
        assert_eq!(got.status, 413, "{path}");
        got.problem_fields();
    }
    let many = |n: usize| with("exclude_track_ids", json!(vec!["t"; n]));
    for n in [1_001, 100_000] {
        let got = ask(&service, post("/v1/next-tracks", &many(n))).await;
        assert_eq!((got.status, got.problem_fields()), (400, vec!["exclude_track_ids".to_owned()]), "{n}");
    }
    assert_eq!(ask(&service, post("/v1/next-tracks", &many(1_000))).await.status, 200);
}

#[actix_web::test]
async fn wrong_paths_and_queries_are_named() {
    let service = Small::new();
    let long = format!("/v1/tracks/{}", "x".repeat(129));
    let cases = [
        ("/v1/tracks/t1/similar?limit=0", 400, "limit"),
        ("/v1/tracks/t1/similar?limit=1000000000", 400, "limit"),
        ("/v1/tracks/t1/similar?depth=3", 400, "depth"),
        ("/v1/top?scope=nowhere", 400, "scope"),
        ("/v1/top?limit=5&limit=6", 400, "limit"),
        (&long, 400, "id"),
        ("/v1/sessions/%00", 400, "id"),
        ("/v1/tracks/nope", 404, ""),
    ];
    for (path, status, field) in cases {
        let got = ask(&service, TestRequest::get().uri(path)).await;
        assert_eq!((got.status, got.problem_fields().concat()), (status, field.to_owned()), "{path}");
    }
}

#[actix_web::test]
async fn what_nobody_knows_is_no_fault() {
    let body = json!({
        "user_id": "nobody", "session_id": "none", "market": "ZZ", "current_track_id": "gone", "seed_track_ids": ["gone"],
        "seed_artist_ids": ["gone"], "exclude_track_ids": ["gone"],
    });
    let got = ask(&Small::new(), post("/v1/next-tracks", &body)).await;
    assert_eq!((got.status, &got.json()["unknown_ids"]), (200, &json!(4)));
}
