//! The catalogue: tracks, neighbours, top lists, takedowns.

use actix_web::{HttpRequest, HttpResponse, web};

use super::find_track;
use crate::http::extract::Timing;
use crate::http::openapi::{Invalid, Missing, Unavailable};
use crate::http::problem::ApiError;
use crate::http::state::HttpState;
use crate::http::wire::{DEFAULT_LIMIT, Query, Scope, SimilarResponse, TopResponse, TrackView};

/// Tracks of a top list that is asked without a number.
const DEFAULT_TOP: u64 = 50;

/// One track.
#[utoipa::path(
    get, path = "/v1/tracks/{id}", tag = "catalogue", params(("id" = String, Path, description = "The track's id")),
    responses((status = 200, description = "What the catalogue says of it", body = TrackView), Missing)
)]
pub(in crate::http) async fn track(
    state: web::Data<HttpState>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let service = state.service();
    let track = find_track(service, &id)?;
    Ok(HttpResponse::Ok().json(TrackView::new(track, service.catalogue(), service.taken_down(track))))
}

/// The tracks that sound and are listened to most like this one.
#[utoipa::path(
    get, path = "/v1/tracks/{id}/similar", tag = "catalogue",
    params(
        ("id" = String, Path, description = "The track's id"),
        ("limit" = Option<u64>, Query, description = "Tracks wanted; absent: 20", minimum = 1, maximum = 100),
    ),
    responses((status = 200, description = "Nearest first", body = SimilarResponse), Missing, Unavailable)
)]
pub(in crate::http) async fn similar(
    state: web::Data<HttpState>,
    timing: Timing,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::parse(request.query_string())?;
    let limit = query.limit(DEFAULT_LIMIT)?;
    query.finish()?;
    let service = state.service();
    let track = find_track(service, &id)?;
    let hits = service.similar(track, limit, timing.deadline()).await?;
    Ok(HttpResponse::Ok().json(SimilarResponse::new(track, &hits, service.catalogue())))
}

/// Takes a track down, from the next request on.
#[utoipa::path(
    delete, path = "/v1/tracks/{id}", tag = "catalogue", params(("id" = String, Path, description = "The track's id")),
    responses((status = 204, description = "Not served any more"), Missing)
)]
pub(in crate::http) async fn take_down(
    state: web::Data<HttpState>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let service = state.service();
    service.take_down(find_track(service, &id)?);
    Ok(HttpResponse::NoContent().finish())
}

/// Takes a takedown back: the track is served again from the next request on. Takes no body; a track that the bundle
/// does not hold comes with the next bundle.
#[utoipa::path(
    put, path = "/v1/tracks/{id}", tag = "catalogue", params(("id" = String, Path, description = "The track's id")),
    responses((status = 204, description = "Served again"), Missing)
)]
pub(in crate::http) async fn restore(
    state: web::Data<HttpState>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let service = state.service();
    service.restore(find_track(service, &id)?);
    Ok(HttpResponse::NoContent().finish())
}

/// The most played tracks.
#[utoipa::path(
    get, path = "/v1/top", tag = "catalogue",
    params(
        ("scope" = Option<String>, Query, description = "`global` (also when absent) or `market:SE`",
         pattern = "^(global|market:[A-Z]{2})$"),
        ("limit" = Option<u64>, Query, description = "Tracks wanted; absent: 50", minimum = 1, maximum = 100),
    ),
    responses((status = 200, description = "Most played first", body = TopResponse), Invalid)
)]
pub(in crate::http) async fn top(state: web::Data<HttpState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let mut query = Query::parse(request.query_string())?;
    let (scope, limit) = (query.scope()?, query.limit(DEFAULT_TOP)?);
    query.finish()?;
    let service = state.service();
    let (scope, list) = match scope {
        Scope::Global => ("global".to_owned(), service.top(None)),
        Scope::Market(code) => match service.top(Some(&code)) {
            list if list.is_empty() => ("global".to_owned(), service.top(None)),
            list => (format!("market:{code}"), list),
        },
    };
    let served = list.into_iter().filter(|track| !service.taken_down(*track)).take(limit);
    Ok(HttpResponse::Ok().json(TopResponse::new(scope, served, service.catalogue())))
}
