//! The catalogue: tracks, neighbours, top lists, takedowns.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::find_track;
use crate::domain::TrackId;
use crate::http::extract::{Body, Timing};
use crate::http::openapi::{BodyProblems, Invalid, Missing, Unavailable};
use crate::http::problem::{ApiError, Problem};
use crate::http::service::Service;
use crate::http::state::HttpState;
use crate::http::wire::{DEFAULT_LIMIT, PutTrack, Query, Scope, SimilarResponse, TopResponse, TrackView};

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
    let bundle = state.service().current();
    let track = find_track(&*bundle, &id)?;
    Ok(HttpResponse::Ok().json(TrackView::new(track, bundle.catalogue(), bundle.taken_down(track))))
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
    let bundle = state.service().current();
    let track = find_track(&*bundle, &id)?;
    let hits = bundle.similar(track, limit, timing.terms()).await?;
    Ok(HttpResponse::Ok().json(SimilarResponse::new(track, &hits, bundle.catalogue())))
}

/// Takes a track down. Once answered, no request that comes is served it; that survives a restart.
#[utoipa::path(
    delete, path = "/v1/tracks/{id}", tag = "catalogue", params(("id" = String, Path, description = "The track's id")),
    responses((status = 204, description = "Not served any more"), Missing, Unavailable)
)]
pub(in crate::http) async fn take_down(
    state: web::Data<HttpState>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let service = state.service();
    service.take_down(&known(service, &id)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Adds a track, or replaces what is known of it. Once answered, every request can find it, by what the item tower says of
/// its artist, genre, age and sound; that survives a restart. Without a body: takes a takedown back.
#[utoipa::path(
    put, path = "/v1/tracks/{id}", tag = "catalogue", params(("id" = String, Path, description = "The track's id")),
    request_body(content = Option<PutTrack>, description = "The fields of `GET /v1/tracks/{id}`"),
    responses(
        (status = 201, description = "Added: its id was new", body = TrackView),
        (status = 200, description = "As told", body = TrackView),
        (status = 204, description = "Served again"),
        (status = 507, description = "As many tracks were added as may be: build the next bundle", body = Problem,
         content_type = "application/problem+json"),
        BodyProblems, Missing, Unavailable,
    )
)]
pub(in crate::http) async fn put(
    state: web::Data<HttpState>,
    id: web::Path<String>,
    body: Result<Body<PutTrack>, ApiError>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let service = state.service();
    if !has_body(&request) {
        service.restore(&known(service, &id)?).await?;
        return Ok(HttpResponse::NoContent().finish());
    }
    let id = TrackId::new(&*id).map_err(|error| ApiError::path_id(&error))?;
    let is_new = service.put_track(body?.0.track(id.clone())?).await?;
    let bundle = service.current();
    let track = find_track(&*bundle, id.as_str())?;
    let mut response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(TrackView::new(track, bundle.catalogue(), bundle.taken_down(track))))
}

/// The id of a track that there is.
fn known(service: &dyn Service, id: &str) -> Result<TrackId, ApiError> {
    let bundle = service.current();
    Ok(bundle.catalogue().track(find_track(&*bundle, id)?).track_id.clone())
}

/// Whether the client says that it sends something.
fn has_body(request: &HttpRequest) -> bool {
    let headers = request.headers();
    headers.contains_key(header::CONTENT_TYPE)
        || headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
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
    let bundle = state.service().current();
    let (scope, list) = match scope {
        Scope::Global => ("global".to_owned(), bundle.top(None)),
        Scope::Market(code) => match bundle.top(Some(&code)) {
            list if list.is_empty() => ("global".to_owned(), bundle.top(None)),
            list => (format!("market:{code}"), list),
        },
    };
    let served = list.into_iter().filter(|track| !bundle.taken_down(*track)).take(limit);
    Ok(HttpResponse::Ok().json(TopResponse::new(scope, served, bundle.catalogue())))
}
