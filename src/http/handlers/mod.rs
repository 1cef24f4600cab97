//! Handlers: one function a route, no logic beyond translation.

pub(super) mod admin;
pub(super) mod events;
pub(super) mod listeners;
pub(super) mod ops;
pub(super) mod recommend;
pub(super) mod tracks;

use crate::domain::{TrackId, TrackIx};
use crate::http::problem::ApiError;
use crate::http::service::ServedBundle;

/// The row of a track named in a path.
///
/// # Errors
/// 400 when it cannot be an id, 404 when the catalogue lacks it.
fn find_track(bundle: &dyn ServedBundle, id: &str) -> Result<TrackIx, ApiError> {
    let id = TrackId::new(id).map_err(|error| ApiError::path_id(&error))?;
    bundle.catalogue().find(id.as_str()).ok_or_else(|| unknown("track", id.as_str()))
}

fn unknown(what: &'static str, id: &str) -> ApiError {
    ApiError::Unknown { what, id: id.to_owned() }
}

/// Unix milliseconds.
fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
