//! For operators.

use actix_web::{HttpResponse, web};

use crate::app::{Bundles, SwapReport};
use crate::domain::Knobs;
use crate::http::extract::Body;
use crate::http::openapi::{BodyProblems, NotSwapped};
use crate::http::problem::ApiError;
use crate::http::state::HttpState;
use crate::http::wire::{ActivateRequest, check_knobs};

/// The weights in force.
#[utoipa::path(
    get, path = "/admin/knobs", tag = "admin",
    responses((status = 200, description = "Blend and re-ranking", body = Knobs))
)]
pub(in crate::http) async fn knobs(state: web::Data<HttpState>) -> HttpResponse {
    HttpResponse::Ok().json(state.service().knobs())
}

/// Changes the weights from the next request on, until the process ends. All of them must be given; `explore` absent is true.
#[utoipa::path(
    put, path = "/admin/knobs", tag = "admin", request_body = Knobs,
    responses((status = 200, description = "The weights now in force", body = Knobs), BodyProblems)
)]
pub(in crate::http) async fn set_knobs(
    state: web::Data<HttpState>,
    body: Body<Knobs>,
) -> Result<HttpResponse, ApiError> {
    check_knobs(&body.0)?;
    let service = state.service();
    service.set_knobs(body.0).map_err(|message| ApiError::field("body", message))?;
    tracing::info!(knobs = ?body.0, "knobs changed");
    Ok(HttpResponse::Ok().json(service.knobs()))
}

/// The bundle that is served, the one that a rollback goes back to, and those that can be activated.
#[utoipa::path(
    get, path = "/admin/bundles", tag = "admin",
    responses((status = 200, description = "Bundles", body = Bundles))
)]
pub(in crate::http) async fn bundles(state: web::Data<HttpState>) -> Result<HttpResponse, ApiError> {
    let bundles = state.service().bundles().await.ok_or(ApiError::Internal)?;
    Ok(HttpResponse::Ok().json(bundles))
}

/// Serves another bundle of `bundles.dir`, answered when it is served. It is loaded beside the one that is served, must pass
/// its self-test and the guardrail, and is put in place between two requests; whatever goes wrong, all is as it was.
///
/// A client that goes away does not stop it. With `override_reason` what the guardrail says is logged and does not count.
#[utoipa::path(
    post, path = "/admin/bundles/{name}/activate", tag = "admin", request_body = ActivateRequest,
    params(("name" = String, Path, description = "The bundle's directory in `bundles.dir`")),
    responses((status = 200, description = "It is served", body = SwapReport), BodyProblems, NotSwapped)
)]
pub(in crate::http) async fn activate(
    state: web::Data<HttpState>,
    name: web::Path<String>,
    body: Body<ActivateRequest>,
) -> Result<HttpResponse, ApiError> {
    let despite = body.0.validate()?;
    let report = state.service().activate(name.clone(), despite).await;
    Ok(HttpResponse::Ok().json(report.map_err(|fault| ApiError::swap(fault, &name))?))
}

/// Serves the bundle again that was served before this one, without asking the guardrail. Once more goes forward again.
#[utoipa::path(
    post, path = "/admin/bundles/rollback", tag = "admin",
    responses((status = 200, description = "It is served", body = SwapReport), NotSwapped)
)]
pub(in crate::http) async fn roll_back(state: web::Data<HttpState>) -> Result<HttpResponse, ApiError> {
    let report = state.service().roll_back().await;
    Ok(HttpResponse::Ok().json(report.map_err(|fault| ApiError::swap(fault, ""))?))
}

/// Most captures of one answer.
const MOST_CAPTURES: usize = 10_000;

/// Kept requests with what they read of the live state, one JSON object a line: what `segue replay` takes. At most 10,000.
#[utoipa::path(
    get, path = "/admin/captures", tag = "admin",
    responses((status = 200, description = "Captured requests", content_type = "application/x-ndjson", body = String))
)]
pub(in crate::http) async fn captures(state: web::Data<HttpState>) -> HttpResponse {
    let captures = state.service().captures(MOST_CAPTURES).await;
    // A capture that cannot be written would hold a number that JSON has not; the others are whole.
    let lines = captures.iter().filter_map(|capture| serde_json::to_string(capture).ok());
    HttpResponse::Ok().content_type("application/x-ndjson").body(lines.map(|line| line + "\n").collect::<String>())
}
