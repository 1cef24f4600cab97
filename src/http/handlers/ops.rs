//! Probes, metrics, the API's document and the console.

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use crate::http::openapi::{NotReady, document_json};
use crate::http::problem::ApiError;
use crate::http::state::HttpState;

/// Paths that a listener for operators has too.
pub(in crate::http) const PATHS: [&str; 4] = ["/healthz", "/livez", "/readyz", "/metrics"];

const CONSOLE: &str = include_str!("../console.html");

/// The console talks to its own origin only.
const CONSOLE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                              connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'";

/// What a probe reads.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(in crate::http) struct Status<'a> {
    /// `ok` or `ready`.
    status: &'a str,
    /// Version of the bundle that answers.
    bundle: &'a str,
}

/// Is the process alive?
#[utoipa::path(
    get, path = "/healthz", tag = "operations", responses((status = 200, description = "It is", body = Status))
)]
pub(in crate::http) async fn healthz(state: web::Data<HttpState>) -> HttpResponse {
    HttpResponse::Ok().json(Status { status: "ok", bundle: state.service().current().version() })
}

/// The same as `/healthz`, by the name that Kubernetes uses.
#[utoipa::path(
    get, path = "/livez", tag = "operations", responses((status = 200, description = "It is", body = Status))
)]
pub(in crate::http) async fn livez(state: web::Data<HttpState>) -> HttpResponse {
    healthz(state).await
}

/// Should requests be sent here?
#[utoipa::path(
    get, path = "/readyz", tag = "operations",
    responses((status = 200, description = "They should", body = Status), NotReady)
)]
pub(in crate::http) async fn readyz(state: web::Data<HttpState>) -> Result<HttpResponse, ApiError> {
    if state.drain().probe() {
        return Err(ApiError::ShuttingDown);
    }
    let service = state.service();
    if !service.ready() {
        return Err(ApiError::NotReady);
    }
    Ok(HttpResponse::Ok().json(Status { status: "ready", bundle: service.current().version() }))
}

/// Metrics in Prometheus' text format.
#[utoipa::path(
    get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "All metrics", body = String, content_type = "text/plain"))
)]
pub(in crate::http) async fn metrics(state: web::Data<HttpState>) -> HttpResponse {
    HttpResponse::Ok().content_type(crate::metrics::CONTENT_TYPE).body(state.service().metrics_text())
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))
)]
pub(in crate::http) async fn openapi() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document_json())
}

/// A console to try recommendations with, for people.
#[utoipa::path(
    get, path = "/", tag = "operations",
    responses((status = 200, description = "A page without external resources", body = String, content_type = "text/html"))
)]
pub(in crate::http) async fn console() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, CONSOLE_POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(CONSOLE)
}
