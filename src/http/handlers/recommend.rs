//! Recommendations and their traces.

use std::sync::Arc;

use actix_web::{HttpResponse, web};

use super::{now_ms, unknown};
use crate::app::Asked;
use crate::domain::{Answer, RecommendationId, Request};
use crate::http::RUNG;
use crate::http::extract::{Body, Timing};
use crate::http::openapi::{BodyProblems, Missing, NotAgain, Unavailable};
use crate::http::problem::ApiError;
use crate::http::service::{ServedBundle, Service};
use crate::http::state::HttpState;
use crate::http::wire::{
    ExplainRequest, ExplainResponse, NextTracksRequest, NextTracksResponse, RankRequest, RecordedTrace, ReplayRequest,
    ReplayResponse, WhichAnswer,
};

/// What should this listener hear next?
///
/// There is always an answer while the node takes requests; `rung` says how good it is.
#[utoipa::path(
    post, path = "/v1/next-tracks", tag = "recommendations", request_body = NextTracksRequest,
    params(
        ("X-Request-Timeout-Ms" = Option<u64>, Header, description = "Shortens the time budget"),
        ("X-Criticality" = Option<String>, Header, description = "critical, default or sheddable: who is refused first under overload"),
    ),
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
    let (bundle, longest) = (state.service().current(), state.service().config().server.max_list_len);
    let request = body.0.validate(bundle.catalogue(), longest, now_ms())?;
    answer(state.service(), &*bundle, timing, request).await
}

/// In which order should this listener hear these tracks?
///
/// The caller's own candidates instead of retrieval; filters, ranking and re-ranking are those of `/v1/next-tracks`.
#[utoipa::path(
    post, path = "/v1/rank", tag = "recommendations", request_body = RankRequest,
    params(
        ("X-Request-Timeout-Ms" = Option<u64>, Header, description = "Shortens the time budget"),
        ("X-Criticality" = Option<String>, Header, description = "critical, default or sheddable: who is refused first under overload"),
    ),
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
    let (bundle, longest) = (state.service().current(), state.service().config().server.max_list_len);
    let request = body.0.validate(bundle.catalogue(), longest, now_ms())?;
    answer(state.service(), &*bundle, timing, request).await
}

async fn answer(
    service: &dyn Service,
    bundle: &dyn ServedBundle,
    timing: Timing,
    request: Request,
) -> Result<HttpResponse, ApiError> {
    let request = Arc::new(request);
    let answer = bundle.next_tracks(Arc::clone(&request), timing.terms()).await?;
    let signed = signed(service, bundle, &request, &answer);
    let mut body = NextTracksResponse::new(&answer, bundle.catalogue(), bundle.version(), request.explain);
    body.recommendation_id = signed.as_ref().unwrap_or(body.recommendation_id);
    body.unknown_ids = request.unknown_ids;
    body.took_ms = timing.took_ms();
    Ok(HttpResponse::Ok().insert_header((RUNG, answer.rung.as_str())).json(&body))
}

/// The id of an answer with the proof of what it proposed to whom, where events must prove that.
fn signed(
    service: &dyn Service,
    bundle: &dyn ServedBundle,
    request: &Request,
    answer: &Answer,
) -> Option<RecommendationId> {
    let ids = answer.tracks.iter().map(|served| bundle.catalogue().track(served.track).track_id.as_str());
    service.signer().map(|signer| signer.sign(&answer.recommendation_id, &request.user_id, ids))
}

/// The id of an answer in a path, as the server keeps it.
fn path_id(id: &str) -> Result<RecommendationId, ApiError> {
    RecommendationId::new(id).map(|id| id.without_proof()).map_err(|error| ApiError::path_id(&error))
}

/// Why is, or is not, this track in the answer?
///
/// The request runs through the same pipeline, with nobody noticing, and what becomes of the track is told: not retrieved
/// (with its similarity and its rank among all tracks), filtered (by which filter), ranked below the list, or displaced by
/// which stage.
#[utoipa::path(
    post, path = "/v1/explain", tag = "recommendations", request_body = ExplainRequest,
    params(
        ("X-Request-Timeout-Ms" = Option<u64>, Header, description = "Shortens the time budget"),
        ("X-Criticality" = Option<String>, Header, description = "critical, default or sheddable: who is refused first under overload"),
    ),
    responses(
        (status = 200, description = "Why", body = ExplainResponse),
        BodyProblems, NotAgain, Unavailable,
    )
)]
pub(in crate::http) async fn explain(
    state: web::Data<HttpState>,
    timing: Timing,
    body: Body<ExplainRequest>,
) -> Result<HttpResponse, ApiError> {
    let bundle = state.service().current();
    let (track_id, which) = body.0.split()?;
    let (asked, id) = match which {
        WhichAnswer::Recorded(id) => (Asked::Recorded(id.without_proof()), id.to_string()),
        WhichAnswer::Now(request) => {
            let longest = state.service().config().server.max_list_len;
            (Asked::Now(Arc::new(request.validate(bundle.catalogue(), longest, now_ms())?)), String::new())
        }
    };
    let (track_id, version) = (track_id.as_str(), bundle.version());
    let Some(track) = bundle.catalogue().find(track_id) else {
        return Ok(HttpResponse::Ok().json(ExplainResponse::unknown(track_id, version)));
    };
    let explained = bundle.explain(asked, track, timing.terms()).await;
    let explained = explained.map_err(|error| ApiError::rehearsal(error, &id))?;
    Ok(HttpResponse::Ok().json(ExplainResponse::new(track_id, version, &explained)))
}

/// What would the same request have been answered with other weights?
///
/// Runs the request again with the state and the weights of then, and whatever the body changes, with nobody noticing. With
/// `{}` the answer must come out bit for bit; where it does not, the problem names what changed.
#[utoipa::path(
    post, path = "/v1/recommendations/{id}/replay", tag = "recommendations", request_body = ReplayRequest,
    params(("id" = String, Path, description = "The answer's `recommendation_id`")),
    responses(
        (status = 200, description = "The answer, and how its list differs", body = ReplayResponse),
        BodyProblems, NotAgain, Unavailable,
    )
)]
pub(in crate::http) async fn replay(
    state: web::Data<HttpState>,
    id: web::Path<String>,
    timing: Timing,
    body: Body<ReplayRequest>,
) -> Result<HttpResponse, ApiError> {
    let id = path_id(&id)?;
    let changes = body.0.validate()?;
    let bundle = state.service().current();
    let replayed = bundle.replay(&id, changes, timing.terms()).await;
    let replayed = replayed.map_err(|error| ApiError::replay(error, id.as_str()))?;
    Ok(HttpResponse::Ok().json(ReplayResponse::new(&replayed, bundle.catalogue(), bundle.version())))
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
    let id = path_id(&id)?;
    let bundle = state.service().current();
    let traced = bundle.trace(id.as_str()).ok_or_else(|| unknown("kept recommendation", id.as_str()))?;
    Ok(HttpResponse::Ok().json(RecordedTrace::new(&traced, bundle.catalogue())))
}
