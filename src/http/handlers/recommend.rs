//! Recommendations and their traces.

use std::sync::Arc;

use actix_web::{HttpResponse, web};

use super::{now_ms, unknown};
use crate::domain::{RecommendationId, Request};
use crate::http::RUNG;
use crate::http::extract::{Body, Timing};
use crate::http::openapi::{BodyProblems, Missing, Unavailable};
use crate::http::problem::ApiError;
use crate::http::state::HttpState;
use crate::http::wire::{NextTracksRequest, NextTracksResponse, RankRequest, RecordedTrace};

/// What should this listener hear next?
///
/// There is always an answer while the node takes requests; `rung` says how good it is.
#[utoipa::path(
    post, path = "/v1/next-tracks", tag = "recommendations", request_body = NextTracksRequest,
    params(("X-Request-Timeout-Ms" = Option<u64>, Header, description = "Shortens the time budget")),
    responses(
        (status = 200, description = "Tracks, best first", body = NextTracksResponse,
         headers(("X-Segue-Rung" = String, description = "The rung of the fallback ladder"))),
        BodyProblems, Unavailable,
    )
)]
pub(in crate::http) async fn next_tracks(
    state: web::Data<HttpState>,
    timing: Timing,
    body: Body<NextTracksRequest>,
) -> Result<HttpResponse, ApiError> {
    let service = state.service();
    let request = body.0.validate(service.catalogue(), service.config().server.max_list_len, now_ms())?;
    answer(&state, timing, request).await
}

/// In which order should this listener hear these tracks?
///
/// The caller's own candidates instead of retrieval; filters, ranking and re-ranking are those of `/v1/next-tracks`.
#[utoipa::path(
    post, path = "/v1/rank", tag = "recommendations", request_body = RankRequest,
    params(("X-Request-Timeout-Ms" = Option<u64>, Header, description = "Shortens the time budget")),
    responses(
        (status = 200, description = "The given tracks that may be served, best first", body = NextTracksResponse,
         headers(("X-Segue-Rung" = String, description = "The rung of the fallback ladder"))),
        BodyProblems, Unavailable,
    )
)]
pub(in crate::http) async fn rank(
    state: web::Data<HttpState>,
    timing: Timing,
    body: Body<RankRequest>,
) -> Result<HttpResponse, ApiError> {
    let service = state.service();
    let request = body.0.validate(service.catalogue(), service.config().server.max_list_len, now_ms())?;
    answer(&state, timing, request).await
}

async fn answer(state: &HttpState, timing: Timing, request: Request) -> Result<HttpResponse, ApiError> {
    let service = state.service();
    let request = Arc::new(request);
    let answer = service.next_tracks(Arc::clone(&request), timing.deadline()).await?;
    let mut body = NextTracksResponse::new(&answer, service.catalogue(), service.bundle_version(), request.explain);
    body.unknown_ids = request.unknown_ids;
    body.took_ms = timing.took_ms();
    Ok(HttpResponse::Ok().insert_header((RUNG, answer.rung.as_str())).json(&body))
}

/// How did this answer come about?
#[utoipa::path(
    get, path = "/v1/recommendations/{id}/trace", tag = "recommendations",
    params(("id" = String, Path, description = "The answer's `recommendation_id`")),
    responses((status = 200, description = "Question, answer and every stage", body = RecordedTrace), Missing)
)]
pub(in crate::http) async fn trace(
    state: web::Data<HttpState>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = RecommendationId::new(id.as_str()).map_err(|error| ApiError::path_id(&error))?;
    let service = state.service();
    let traced = service.trace(id.as_str()).ok_or_else(|| unknown("kept recommendation", id.as_str()))?;
    Ok(HttpResponse::Ok().json(RecordedTrace::new(&traced, service.catalogue())))
}
