//! `POST /v1/events`: every event is answered for itself.

use std::sync::atomic::Ordering;

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use crate::http_support::{Small, ask, post};

fn event(id: &str) -> Value {
    json!({"event_id": id, "user_id": "u1", "session_id": "s1", "track_id": "t5", "type": "play_start",
           "client_ts": jiff::Timestamp::now().to_string()})
}

fn changed(id: &str, field: &str, value: Value) -> Value {
    let mut event = event(id);
    event[field] = value;
    event
}

/// What became of each event of a batch: its id, its status and the field at fault.
fn outcomes(reply: &Value) -> Vec<String> {
    let one = |result: &Value| {
        let text = |key: &str| result[key].as_str().unwrap_or("-").to_owned();
        [text("event_id"), text("status"), text("field")].join(" ")
    };
    reply["events"].as_array().unwrap().iter().map(one).collect()
}

#[actix_web::test]
async fn a_malformed_event_does_not_cost_the_others() {
    let mut nameless = event("e3");
    nameless.as_object_mut().unwrap().remove("user_id");
    let batch = json!({"events": [
        event("e1"),
        event("e1"),
        nameless,
        changed("e4", "mood", json!("good")),
        changed("e5", "type", json!("sneeze")),
        changed("e6", "played_ms", json!(-1)),
        changed("e7", "session_id", json!("x".repeat(129))),
        json!(5),
        json!([["e9"]]),
        changed("e10", "client_ts", json!("2526-01-01T00:00:00Z")),
        changed("e11", "client_ts", json!("1870-01-01T00:00:00Z")),
        changed("e12", "client_ts", json!("yesterday")),
        changed("e13", "context", json!({"market": "Sweden"})),
        event("e14"),
    ]});
    let got = ask(&Small::new(), post("/v1/events", &batch)).await;
    let reply = got.json();
    let one = |at: usize| {
        let result = &reply["events"][at];
        let text = |key: &str| result[key].as_str().unwrap_or("-").to_owned();
        [text("event_id"), text("status"), text("field")].join(" ")
    };
    let expected = [
        "e1 accepted -",
        "e1 duplicate -",
        "e3 rejected user_id",
        "e4 rejected mood",
        "e5 rejected type",
        "e6 rejected played_ms",
        "e7 rejected session_id",
        "- rejected -",
        "- rejected -",
        "e10 rejected client_ts",
        "e11 rejected client_ts",
        "e12 rejected client_ts",
        "e13 rejected context.market",
        "e14 accepted -",
    ];
    let results: Vec<_> = (0..expected.len()).map(one).collect();
    assert_eq!((got.status, results), (202, expected.map(str::to_owned).to_vec()));
    assert_eq!([&reply["accepted"], &reply["duplicate"], &reply["rejected"]], [2, 1, 11]);
}

#[actix_web::test]
async fn batches_are_bounded() {
    let batch = |n: usize| json!({"events": (0..n).map(|at| event(&format!("e{at}"))).collect::<Vec<_>>()});
    let service = Small::new();
    assert_eq!(ask(&service, post("/v1/events", &batch(500))).await.status, 202);
    assert_eq!(ask(&service, post("/v1/events", &batch(501))).await.problem_fields(), ["events"]);
    assert_eq!(ask(&service, post("/v1/events", &json!({"events": []}))).await.json()["accepted"], 0);
    assert_eq!(ask(&service, post("/v1/events", &json!({}))).await.problem_fields(), ["events"]);
    assert_eq!(ask(&service, post("/v1/events", &json!({"events": {}}))).await.problem_fields(), ["events"]);
}

#[actix_web::test]
async fn a_failed_log_says_send_again() {
    let service = Small::new();
    service.overloaded.store(true, Ordering::Relaxed);
    let got = ask(&service, post("/v1/events", &json!({"events": [event("e1")]}))).await;
    assert_eq!(
        (got.status, got.header("retry-after"), &got.json()["type"]),
        (503, "1", &json!("urn:segue:problem:not-stored"))
    );
    assert!(!String::from_utf8_lossy(&got.body).contains("disk full"));
    service.overloaded.store(false, Ordering::Relaxed);
    assert_eq!(ask(&service, post("/v1/events", &json!({"events": [event("e1")]}))).await.json()["accepted"], 1);
}

fn lines(body: impl Into<String>) -> TestRequest {
    TestRequest::post()
        .uri("/v1/events")
        .insert_header(("content-type", "application/x-ndjson"))
        .set_payload(body.into())
}

#[actix_web::test]
async fn a_broken_line_is_one_rejected_event() {
    let body = format!(
        "{}\r\n\n{{\"event_id\":\n  \n[1]\n{}\n\u{0}\n{}",
        event("e1"),
        changed("e2", "mood", json!(1)),
        event("e3")
    );
    let got = ask(&Small::new(), lines(body)).await;
    let reply = got.json();
    let results = outcomes(&reply);
    let expected =
        ["e1 accepted -", "- rejected -", "- rejected -", "e2 rejected mood", "- rejected -", "e3 accepted -"];
    assert_eq!((got.status, results), (202, expected.map(str::to_owned).to_vec()));
    assert!(reply["events"][1]["reason"].as_str().unwrap().starts_with("the line is not JSON"), "{reply}");
    assert_eq!(ask(&Small::new(), lines("")).await.json()["accepted"], 0);
    let many: String = (0..501).map(|at| format!("{}\n", event(&format!("e{at}")))).collect();
    assert_eq!(ask(&Small::new(), lines(many)).await.problem_fields(), ["events"]);
}

#[actix_web::test]
async fn a_clock_a_year_off_is_corrected_where_it_is_told() {
    let now = jiff::Timestamp::now();
    let last_year = now - jiff::SignedDuration::from_hours(365 * 24);
    let batch = json!({"events": [changed("e1", "client_ts", json!(last_year.to_string()))]});
    let told = |sent: &str| post("/v1/events", &batch).insert_header(("X-Sent-At-Ms", sent));
    let service = Small::new();
    assert_eq!(ask(&service, post("/v1/events", &batch)).await.json()["rejected"], 1, "a year old");
    assert_eq!(ask(&service, told(&last_year.as_millisecond().to_string())).await.json()["accepted"], 1);
    assert_eq!(ask(&service, told("yesterday")).await.problem_fields(), ["X-Sent-At-Ms"]);
    assert_eq!(ask(&service, told("-9223372036854775808")).await.json()["rejected"], 1);
}

/// A field of a Protobuf message that holds bytes, written without the library that reads it.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = match bytes.len() {
        short @ ..128 => vec![short as u8],
        long => vec![(long & 127) as u8 | 128, u8::try_from(long >> 7).unwrap()],
    };
    [vec![number << 3 | 2], length, bytes.to_vec()].concat()
}

/// An event of `docs/events.proto` in a batch; `kind` is its type's number.
fn message(id: &str, kind: u8) -> Vec<u8> {
    let now = jiff::Timestamp::now().to_string();
    let texts = [(2, id), (3, "u1"), (4, "s1"), (5, "t5"), (13, now.as_str())];
    let event = texts.map(|(number, text)| field(number, text.as_bytes())).concat();
    field(1, &[event, vec![6 << 3, kind]].concat())
}

fn protobuf(media_type: &str, body: Vec<u8>) -> TestRequest {
    TestRequest::post().uri("/v1/events").insert_header(("content-type", media_type)).set_payload(body)
}

#[actix_web::test]
async fn events_come_as_protobuf_too() {
    let broken = field(1, &[field(2, b"e3"), vec![6 << 3 | 2, 1, 0]].concat());
    let body =
        [message("e1", 1), message("e2", 99), broken, message("e4", 0), message("e1", 1), message("e5", 3)].concat();
    let got = ask(&Small::new(), protobuf("application/x-protobuf", body)).await;
    let reply = got.json();
    let results = outcomes(&reply);
    let expected =
        ["e1 accepted -", "e2 rejected type", "e3 rejected -", "e4 rejected type", "e1 duplicate -", "e5 accepted -"];
    assert_eq!((got.status, results), (202, expected.map(str::to_owned).to_vec()));
    let reason = |at: usize| reply["events"][at]["reason"].as_str().unwrap();
    assert!(reason(1).starts_with("unknown variant `99`, expected one of `play_start`"), "{reply}");
    assert!(reason(2).starts_with("the message is not an event of docs/events.proto: "), "{reply}");
    assert_eq!(reason(3), "missing field `type`");
    assert_eq!(ask(&Small::new(), protobuf("application/protobuf", message("e1", 1))).await.json()["accepted"], 1);
    assert_eq!(ask(&Small::new(), protobuf("application/protobuf", Vec::new())).await.json()["accepted"], 0);
}

#[actix_web::test]
async fn protobuf_keeps_the_bounds_of_a_body() {
    let service = Small::with(|server| server.body_limit_bytes = 1 << 16);
    let batch = |n: usize| (0..n).flat_map(|at| message(&format!("e{at}"), 1)).collect::<Vec<_>>();
    let send = |body: Vec<u8>| ask(&service, protobuf("application/x-protobuf", body));
    assert_eq!(send(batch(500)).await.status, 202);
    assert_eq!(send(batch(501)).await.problem_fields(), ["events"]);
    assert_eq!(send(b"\x0a\x00".repeat(1 << 15)).await.problem_fields(), ["events"], "as many as fit");
    let too_long = send([batch(1), field(15, &[0; 1 << 13]).repeat(8)].concat()).await;
    assert_eq!((too_long.status, &too_long.json()["type"]), (413, &json!("urn:segue:problem:body-too-large")));
    let cut = send(b"\x0a\x05abc".to_vec()).await;
    assert_eq!((cut.status, &cut.json()["type"]), (400, &json!("urn:segue:problem:malformed-protobuf")));
    // What would grow when it is unpacked is not unpacked.
    let packed = protobuf("application/x-protobuf", batch(1)).insert_header(("content-encoding", "gzip"));
    assert_eq!(ask(&service, packed).await.status, 415);
    assert_eq!(ask(&service, protobuf("application/x-protobuf; charset=x", batch(1))).await.status, 202);
    assert_eq!(ask(&service, protobuf("application/octet-stream", batch(1))).await.status, 415);
}
