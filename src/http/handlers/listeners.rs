//! Listeners and their sessions.

use actix_web::{HttpResponse, web};

use super::unknown;
use crate::domain::{SessionId, UserId};
use crate::http::openapi::{Missing, Unavailable};
use crate::http::problem::ApiError;
use crate::http::state::HttpState;
use crate::http::wire::SessionView;

/// The live state of a session.
#[utoipa::path(
    get, path = "/v1/sessions/{id}", tag = "listeners",
    params(("id" = String, Path, description = "The `session_id` of events and requests")),
    responses((status = 200, description = "The state after every event taken so far", body = SessionView), Missing)
)]
pub(in crate::http) async fn session(
    state: web::Data<HttpState>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = SessionId::new(id.as_str()).map_err(|error| ApiError::path_id(&error))?;
    let bundle = state.service().current();
    let session = bundle.session(&id).ok_or_else(|| unknown("live session", id.as_str()))?;
    Ok(HttpResponse::Ok().json(SessionView::new(id.as_str(), &session, bundle.catalogue())))
}

/// Forgets a listener: logged events, profile, sessions and traces.
#[utoipa::path(
    delete, path = "/v1/users/{id}", tag = "listeners",
    params(("id" = String, Path, description = "The listener's `user_id`")),
    responses((status = 204, description = "Nothing is held about the listener any more"), Missing, Unavailable)
)]
pub(in crate::http) async fn erase(
    state: web::Data<HttpState>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = UserId::new(id.as_str()).map_err(|error| ApiError::path_id(&error))?;
    if state.service().erase_user(&id).await? {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(unknown("listener about whom anything is held:", id.as_str()))
    }
}
