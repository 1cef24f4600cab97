//! API keys through the real router.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use segue::config::{KeyConfig, MostCritical, Scope};
use segue::http::endpoints;
use segue::pipeline::Criticality;
use segue::security::NewKey;
use serde_json::json;

use crate::http_support::{Got, Small, ask, post};

fn key(client: &str, scopes: &[Scope]) -> (String, KeyConfig) {
    let NewKey { key, hash } = NewKey::generate();
    let (per_second, burst, criticality) = (None, None, MostCritical::Critical);
    (key, KeyConfig { client: client.into(), hash, scopes: scopes.to_vec(), per_second, burst, criticality })
}

fn next_tracks() -> TestRequest {
    post("/v1/next-tracks", &json!({"user_id": "u1"}))
}

fn with_key(request: TestRequest, key: &str) -> TestRequest {
    request.insert_header(("Authorization", format!("Bearer {key}")))
}

fn kind(got: &Got) -> String {
    got.problem_fields();
    got.json()["type"].as_str().unwrap().trim_start_matches("urn:segue:problem:").to_owned()
}

#[actix_web::test]
async fn only_a_known_key_is_let_in() {
    let (web, configured) = key("web", &[Scope::Read]);
    let service = Small::with_keys(&[configured]);
    assert_eq!(ask(&service, with_key(next_tracks(), &web)).await.status, 200);
    let lower = next_tracks().insert_header(("authorization", format!("bearer  {web}")));
    assert_eq!(ask(&service, lower).await.status, 200);
    let stranger = NewKey::generate().key;
    let refused = [
        next_tracks(),
        with_key(next_tracks(), &stranger),
        with_key(next_tracks(), ""),
        next_tracks().insert_header(("Authorization", web.clone())),
        next_tracks().insert_header(("Authorization", format!("Basic {web}"))),
    ];
    for request in refused {
        let got = ask(&service, request).await;
        assert_eq!((got.status, kind(&got).as_str()), (401, "unauthorized"));
        assert_eq!(got.header("www-authenticate"), "Bearer");
    }
    let callers = service.callers.lock().unwrap().clone();
    assert_eq!(callers, ["web admitted", "web admitted", "unknown", "unknown", "unknown", "unknown", "unknown"]);
}

#[actix_web::test]
async fn every_route_asks_for_its_scope_and_no_other() {
    let scopes = [Scope::Read, Scope::Ingest, Scope::Admin];
    let keys = scopes.map(|scope| key(scope.as_str(), &[scope]));
    let service = Small::with_keys(&keys.clone().map(|(_, configured)| configured));
    for endpoint in endpoints() {
        let path = endpoint.path.replace("{id}", "t1");
        let request = || TestRequest::with_uri(&path).method(Method::from_bytes(endpoint.method.as_bytes()).unwrap());
        let without = ask(&service, request()).await.status;
        assert_eq!(without == 401, endpoint.scope.is_some(), "{endpoint:?}: {without}");
        for (scope, (key, _)) in scopes.iter().zip(&keys) {
            let status = ask(&service, with_key(request(), key)).await.status;
            let forbidden = endpoint.scope.is_some_and(|needed| needed != *scope);
            assert_eq!(status == 403, forbidden, "{endpoint:?} with {scope:?}: {status}");
            assert_ne!(status, 401);
        }
    }
    let got = ask(&service, with_key(TestRequest::get().uri("/admin/knobs"), &keys[0].0)).await;
    assert!(got.json()["detail"].as_str().unwrap().contains("`admin`") && kind(&got) == "forbidden");
}

#[actix_web::test]
async fn what_there_is_not_is_told_to_everybody() {
    let service = Small::with_keys(&[key("web", &[Scope::Read]).1]);
    assert_eq!(ask(&service, TestRequest::get().uri("/v1/nothing")).await.status, 404);
    assert_eq!(ask(&service, TestRequest::patch().uri("/v1/tracks/t1")).await.status, 405);
}

#[actix_web::test]
async fn a_client_beyond_its_rate_is_told_when_to_come_back() {
    let (web, configured) = key("web", &[Scope::Read]);
    let slow = KeyConfig { per_second: Some(0.01), burst: Some(2), ..configured };
    let service = Small::with_keys(&[slow]);
    for _ in 0..2 {
        assert_eq!(ask(&service, with_key(next_tracks(), &web)).await.status, 200);
    }
    let got = ask(&service, with_key(next_tracks(), &web)).await;
    let after: u64 = got.header("retry-after").parse().unwrap();
    assert_eq!((got.status, kind(&got).as_str()), (429, "rate-limited"));
    assert!((1..=100).contains(&after), "{after}");
    let callers = service.callers.lock().unwrap().clone();
    assert_eq!(callers, ["web admitted", "web admitted", "web rate_limited"]);
}

#[actix_web::test]
async fn a_key_bounds_how_much_its_requests_matter() {
    let (batch, configured) = key("batch", &[Scope::Read]);
    let claims = |what: &str| with_key(next_tracks(), &batch).insert_header(("X-Criticality", what));
    let cases = [
        (MostCritical::Sheddable, Criticality::Sheddable, Criticality::Sheddable),
        (MostCritical::Default, Criticality::Default, Criticality::Default),
        (MostCritical::Critical, Criticality::Default, Criticality::Critical),
    ];
    for (criticality, silent, critical) in cases {
        let service = Small::with_keys(&[KeyConfig { criticality, ..configured.clone() }]);
        for (request, expected) in [
            (with_key(next_tracks(), &batch), silent),
            (claims("critical"), critical),
            (claims("sheddable"), Criticality::Sheddable),
        ] {
            assert_eq!(ask(&service, request).await.status, 200);
            assert_eq!(service.asked.lock().unwrap().take().unwrap().1.criticality, expected, "{criticality:?}");
        }
    }
}
