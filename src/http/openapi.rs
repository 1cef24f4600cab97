//! The OpenAPI document, from the handlers and the wire types.

use std::sync::OnceLock;

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::handlers::{admin, events, listeners, ops, recommend, tracks};
use super::problem::Problem;

/// Collects every documented handler.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Segue",
        description = "What should this listener hear next? JSON, snake_case, opaque string ids; unknown fields are \
                       refused; every error is a problem document (RFC 9457); `X-Request-Id` is taken and returned. A server \
                       that has API keys asks for one: 401 without, 403 where it does not allow the route, 429 with \
                       `Retry-After` beyond its client's rate."
    ),
    // A server without keys asks for none.
    security((), ("api_key" = [])),
    modifiers(&ApiKeys),
    // What `IntoResponses` refers to is not collected by itself.
    components(schemas(Problem)),
    paths(
        recommend::next_tracks,
        recommend::rank,
        recommend::explain,
        recommend::replay,
        recommend::trace,
        events::ingest,
        listeners::session,
        listeners::erase,
        tracks::track,
        tracks::put,
        tracks::take_down,
        tracks::similar,
        tracks::top,
        admin::bundles,
        admin::activate,
        admin::roll_back,
        admin::captures,
        admin::knobs,
        admin::set_knobs,
        ops::healthz,
        ops::livez,
        ops::readyz,
        ops::metrics,
        ops::openapi,
        ops::console,
    )
)]
struct Document;

/// Says how API keys are shown.
struct ApiKeys;

impl Modify for ApiKeys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("api_key", bearer);
    }
}

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The document as JSON; built once.
pub(super) fn document_json() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    // Without parts that are not strings as map keys there is nothing that serializing could refuse.
    TEXT.get_or_init(|| serde_json::to_string(&document()).unwrap_or_default())
}

/// Problems of a route that takes a body.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only read by the document's macros")]
pub(super) enum BodyProblems {
    /// The body is not JSON, or `errors` names the fields that are wrong.
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid(Problem),
    /// The body did not arrive in time.
    #[response(status = 408, content_type = "application/problem+json")]
    TooSlow(Problem),
    /// The body is larger than `server.body_limit_bytes`.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body is of a media type that is not taken.
    #[response(status = 415, content_type = "application/problem+json")]
    WrongType(Problem),
}

/// Problems of a route that asks the engine.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only read by the document's macros")]
pub(super) enum Unavailable {
    /// Overloaded or shutting down: come back after `Retry-After` seconds, or go to another node.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// Problems of a route with parameters only.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only read by the document's macros")]
pub(super) enum Invalid {
    /// A parameter is wrong; `errors` names it.
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid(Problem),
}

/// Problems of a route with an id in its path.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only read by the document's macros")]
pub(super) enum Missing {
    /// The id or a parameter is wrong; `errors` names it.
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid(Problem),
    /// There is no such thing.
    #[response(status = 404, content_type = "application/problem+json")]
    Missing(Problem),
}

/// Problems of a route that asks an earlier request again.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only read by the document's macros")]
pub(super) enum NotAgain {
    /// No such answer is kept.
    #[response(status = 404, content_type = "application/problem+json")]
    Missing(Problem),
    /// What it came from was not kept, or the answer does not come out again; the text names what changed.
    #[response(status = 409, content_type = "application/problem+json")]
    Changed(Problem),
}

/// Problems of a route that swaps the bundle.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only read by the document's macros")]
pub(super) enum NotSwapped {
    /// There is no such bundle.
    #[response(status = 404, content_type = "application/problem+json")]
    Missing(Problem),
    /// Another swap is running, or there is nothing to swap to.
    #[response(status = 409, content_type = "application/problem+json")]
    NotNow(Problem),
    /// It is damaged, failed its self-test, or breaks the guardrail; `report` says what was found.
    #[response(status = 422, content_type = "application/problem+json")]
    Refused(Problem),
    /// The server's own disk or threads.
    #[response(status = 500, content_type = "application/problem+json")]
    Failed(Problem),
}

/// Problems of the readiness probe.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only read by the document's macros")]
pub(super) enum NotReady {
    /// Not ready yet, or shutting down.
    #[response(status = 503, content_type = "application/problem+json")]
    NotReady(Problem),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn documents_every_route_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(document_json()).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let documented: BTreeSet<_> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().keys().map(move |m| (path.clone(), m.to_uppercase()))
            })
            .collect();
        let routed: BTreeSet<_> =
            crate::http::endpoints().iter().map(|e| (e.path.to_owned(), e.method.to_owned())).collect();
        assert_eq!(documented, routed);
    }

    #[test]
    fn every_reference_has_its_schema() {
        let text = document_json();
        let document: serde_json::Value = serde_json::from_str(text).unwrap();
        for name in text.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document["components"]["schemas"].get(name).is_some(), "{name} is referred to, but not there");
        }
        assert_eq!(document["components"]["schemas"]["NextTracksRequest"]["additionalProperties"], false);
    }
}
