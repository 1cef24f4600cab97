//! For operators.

use actix_web::{HttpResponse, web};

use crate::domain::Knobs;
use crate::http::extract::Body;
use crate::http::openapi::BodyProblems;
use crate::http::problem::ApiError;
use crate::http::state::HttpState;
use crate::http::wire::check_knobs;

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
