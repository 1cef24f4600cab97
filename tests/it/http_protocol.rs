//! What the protocol promises, route by route.

use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use segue::pipeline::Criticality;
use serde_json::json;

use crate::http_support::{Small, ask, post};

fn get(path: &str) -> TestRequest {
    TestRequest::get().uri(path)
}

#[actix_web::test]
async fn next_tracks_has_the_documented_shape() {
    let service = Small::new();
    let body = json!({
        "user_id": "u1", "session_id": "s1", "limit": 2, "surface": "radio", "current_track_id": "t8",
        "seed_track_ids": ["t1"], "seed_artist_ids": [], "exclude_track_ids": ["t0", "gone"], "market": "ZZ",
        "allow_explicit": true, "discovery": 0.3, "diversity": 0.5, "target": {"tempo": 120, "energy": 0.7},
        "context": {"device": "car", "local_hour": 8, "activity": "commute"}, "explain": "trace", "seed": null,
    });
    let got = ask(&service, post("/v1/next-tracks", &body)).await;
    assert_eq!((got.status, got.header("x-segue-rung")), (200, "market_top"));
    let mut answer = got.json();
    assert!(answer["took_ms"].take().as_f64().is_some_and(|ms| ms >= 0.0));
    assert!(answer["trace"]["seed"].take().is_u64());
    let track = |position: usize| {
        json!({"track_id": format!("t{position}"), "artist_id": "a1", "title": "Song", "position": position, "score": 1.0,
               "source": "fallback", "reasons": []})
    };
    let expected = json!({
        "recommendation_id": "r-1", "bundle": "test.1", "rung": "market_top", "degraded": [], "session_intent": null,
        "tracks": [track(1), track(2)], "pool": {"retrieved": 0, "after_filters": 0, "ranked": 0}, "unknown_ids": 1,
        "trace": {"seed": null, "stages": [], "removed": []}, "took_ms": null,
    });
    assert_eq!(answer, expected);
    let trace = ask(&service, get("/v1/recommendations/r-1/trace")).await.json();
    assert_eq!((&trace["request"]["user_id"], &trace["answer"]["rung"]), (&json!("u1"), &json!("market_top")));
    assert_eq!(ask(&service, get("/v1/recommendations/r-2/trace")).await.status, 404);
}

#[actix_web::test]
async fn rank_takes_the_callers_list() {
    let got = ask(&Small::new(), post("/v1/rank", &json!({"user_id": "u1", "track_ids": ["t5", "gone", "t4"]}))).await;
    let ids: Vec<_> = got.json()["tracks"].as_array().unwrap().iter().map(|t| t["track_id"].clone()).collect();
    assert_eq!(ids, ["t5", "t4"]);
}

#[actix_web::test]
async fn a_client_can_only_shorten_the_budget() {
    let service = Small::new();
    let timed =
        |ms: &str| post("/v1/next-tracks", &json!({"user_id": "u1"})).insert_header(("X-Request-Timeout-Ms", ms));
    for (ms, most) in [("5", 5), ("1000000", 200)] {
        assert_eq!(ask(&service, timed(ms)).await.status, 200);
        let (_, terms) = service.asked.lock().unwrap().take().unwrap();
        assert!(terms.deadline.remaining() <= Duration::from_millis(most));
    }
    for bad in ["0", "-1", "soon", ""] {
        assert_eq!(ask(&service, timed(bad)).await.problem_fields(), ["X-Request-Timeout-Ms"]);
    }
}

#[actix_web::test]
async fn a_client_says_how_much_an_answer_matters() {
    let service = Small::new();
    let plain = || post("/v1/next-tracks", &json!({"user_id": "u1"}));
    let said = |what: &str| plain().insert_header(("X-Criticality", what));
    let cases = [
        (plain(), Criticality::Default),
        (said("default"), Criticality::Default),
        (said("Critical"), Criticality::Critical),
        (said("sheddable"), Criticality::Sheddable),
    ];
    for (request, expected) in cases {
        assert_eq!(ask(&service, request).await.status, 200);
        assert_eq!(service.asked.lock().unwrap().take().unwrap().1.criticality, expected);
    }
    assert_eq!(ask(&service, said("urgent")).await.problem_fields(), ["X-Criticality"]);
}

#[actix_web::test]
async fn request_ids_come_back() {
    let service = Small::new();
    let got = ask(&service, get("/healthz").insert_header(("X-Request-Id", "abc"))).await;
    assert_eq!(got.header("x-request-id"), "abc");
    let got = ask(&service, get("/nowhere").insert_header(("X-Request-Id", "not an id"))).await;
    assert_eq!(got.header("x-request-id").len(), 26);
    got.problem_fields();
}

#[actix_web::test]
async fn refusals_say_when_to_come_back() {
    let service = Small::new();
    service.overloaded.store(true, Ordering::Relaxed);
    for request in [post("/v1/next-tracks", &json!({"user_id": "u1"})), get("/v1/tracks/t1/similar")] {
        let got = ask(&service, request).await;
        // 1.5 s, up to three times as long.
        let after: u64 = got.header("retry-after").parse().unwrap();
        assert!(got.status == 503 && (2..=5).contains(&after), "{after}");
        got.problem_fields();
    }
    service.down.store(true, Ordering::Relaxed);
    assert_eq!(ask(&service, get("/readyz")).await.status, 503);
    assert_eq!(ask(&service, get("/healthz")).await.status, 200);
}

#[actix_web::test]
async fn unknown_paths_and_methods_are_problems() {
    let service = Small::new();
    let got = ask(&service, get("/v1/next")).await;
    assert_eq!((got.status, got.problem_fields().len()), (404, 0));
    let got = ask(&service, TestRequest::patch().uri("/v1/tracks/t1")).await;
    assert_eq!((got.status, got.header("allow")), (405, "GET, PUT, DELETE"));
    got.problem_fields();
    let observed = service.observed.lock().unwrap().clone();
    assert_eq!(observed, [("unmatched".into(), 404), ("/v1/tracks/{id}".into(), 405)]);
}

#[actix_web::test]
async fn refusals_of_the_http_library_are_problems_too() {
    let got = ask(&Small::new(), get("/openapi.json").insert_header(("Accept-Encoding", "identity;q=0"))).await;
    assert_eq!((got.status, got.problem_fields().len()), (406, 0));
}

#[actix_web::test]
async fn tracks_are_read_taken_down_and_restored() {
    let service = Small::new();
    let track = ask(&service, get("/v1/tracks/odd%2Fid%20%C3%BC")).await.json();
    assert_eq!((&track["track_id"], &track["taken_down"]), (&json!("odd/id ü"), &json!(false)));
    assert_eq!(ask(&service, TestRequest::delete().uri("/v1/tracks/t3")).await.status, 204);
    assert_eq!(ask(&service, get("/v1/tracks/t3")).await.json()["taken_down"], true);
    let top = ask(&service, get("/v1/top?scope=market:SE")).await.json();
    assert_eq!(
        top,
        json!({"scope": "market:SE", "tracks": [{"position": 1, "track_id": "t1", "artist_id": "a1", "title": "Song"}]})
    );
    assert_eq!(ask(&service, TestRequest::put().uri("/v1/tracks/t3")).await.status, 204);
    assert_eq!(ask(&service, get("/v1/tracks/t3")).await.json()["taken_down"], false);
    assert_eq!(ask(&service, get("/v1/top?scope=market:ZZ&limit=3")).await.json()["scope"], "global");
    let similar = ask(&service, get("/v1/tracks/t1/similar?limit=3")).await.json();
    assert_eq!(similar["tracks"].as_array().unwrap().len(), 3);
}

#[actix_web::test]
async fn tracks_are_added_and_replaced() {
    let service = Small::new();
    let put =
        async |path: &str, body: &serde_json::Value| ask(&service, TestRequest::put().uri(path).set_json(body)).await;
    let body = |title: &str| json!({"title": title, "artist": {"artist_id": "a1", "name": "Artist"}});
    let added = put("/v1/tracks/new%20one", &body("Song")).await;
    assert_eq!((added.status, &added.json()["track_id"]), (201, &json!("new one")));
    let mut told = ask(&service, get("/v1/tracks/new%20one")).await.json();
    told["title"] = json!("Other");
    let replaced = put("/v1/tracks/new%20one", &told).await;
    assert_eq!((replaced.status, &replaced.json()["title"]), (200, &json!("Other")));
    assert_eq!(put("/v1/tracks/t9", &json!({"title": "Song"})).await.problem_fields(), ["artist"]);
    assert_eq!(put("/v1/tracks/t9", &told).await.problem_fields(), ["track_id"]);
    assert_eq!(put("/v1/tracks/t9", &body("odd")).await.problem_fields(), ["track"]);
    let full = put("/v1/tracks/t9", &body("full")).await;
    assert_eq!((full.status, full.header("retry-after")), (507, ""));
    let broken = put("/v1/tracks/t9", &body("broken")).await;
    assert_eq!((broken.status, broken.header("retry-after")), (503, "1"));
    let text = TestRequest::put().uri("/v1/tracks/t9").insert_header(("content-type", "text/plain")).set_payload("x");
    assert_eq!(ask(&service, text).await.status, 415);
}

#[actix_web::test]
async fn listeners_are_shown_and_forgotten() {
    let service = Small::new();
    assert_eq!(ask(&service, get("/v1/sessions/s1")).await.json()["plays"], 0);
    assert_eq!(ask(&service, get("/v1/sessions/s2")).await.status, 404);
    assert_eq!(ask(&service, TestRequest::delete().uri("/v1/users/u1")).await.status, 204);
    assert_eq!(ask(&service, TestRequest::delete().uri("/v1/users/u2")).await.status, 404);
}

#[actix_web::test]
async fn knobs_change_within_their_ranges() {
    let service = Small::new();
    let mut knobs = ask(&service, get("/admin/knobs")).await.json();
    knobs["artist_window"] = json!(7);
    let put = |body: &serde_json::Value| TestRequest::put().uri("/admin/knobs").set_json(body);
    assert_eq!(ask(&service, put(&knobs)).await.status, 200);
    assert_eq!(ask(&service, get("/admin/knobs")).await.json()["artist_window"], 7);
    knobs["blend"]["skip"] = json!(11);
    assert_eq!(ask(&service, put(&knobs)).await.problem_fields(), ["blend.skip"]);
    assert_eq!(ask(&service, put(&json!({}))).await.problem_fields(), ["blend"]);
}

#[actix_web::test]
async fn every_documented_route_is_answered_and_nothing_else() {
    let service = Small::new();
    for endpoint in segue::http::endpoints() {
        let path = endpoint.path.replace("{id}", "t1");
        let method = Method::from_bytes(endpoint.method.as_bytes()).unwrap();
        let got = ask(&service, TestRequest::with_uri(&path).method(method)).await;
        let kind = (got.status >= 400).then(|| got.json()["type"].clone());
        assert!(kind != Some(json!("urn:segue:problem:no-route")) && got.status != 405, "{endpoint:?}");
    }
    let document = ask(&service, get("/openapi.json")).await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
}

#[actix_web::test]
async fn the_console_needs_nothing_from_elsewhere() {
    let got = ask(&Small::new(), get("/")).await;
    let page = String::from_utf8(got.body.clone()).unwrap();
    assert!(got.header("content-type").starts_with("text/html") && page.contains("/v1/next-tracks"));
    for external in ["http://", "https://", "src=\"//", "href=\"//", "@import"] {
        assert!(!page.contains(external), "the page refers to {external}");
    }
}

#[actix_web::test]
async fn answers_are_compressed_on_request() {
    let got = ask(&Small::new(), get("/openapi.json").insert_header(("Accept-Encoding", "gzip"))).await;
    assert_eq!((got.header("content-encoding"), &got.body[..2]), ("gzip", &[0x1f, 0x8b][..]));
    let got = ask(&Small::new(), get("/metrics")).await;
    assert_eq!((got.header("content-encoding"), &*got.body), ("", &b"segue_up 1\n"[..]));
}
