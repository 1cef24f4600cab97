//! Who may ask what: API keys, their scopes and rates (`docs/security.md`). Before a body is read.

use std::time::Instant;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};

use super::problem::ApiError;
use super::state::HttpState;
use crate::config::Scope;
use crate::security::{Caller, Refusal};

/// Lets a request through to its route, with its [`Caller`] in its extensions where it showed a key. Others get 401 without a
/// known key, 403 where the key does not allow the route, 429 beyond the client's rate; paths and methods that there are not get
/// their 404 or 405 whoever asks.
///
/// # Errors
/// Those of the route.
pub(super) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    match admit(&request) {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            Ok(next.call(request).await?.map_into_left_body())
        }
        Err(refused) => Ok(request.error_response(refused).map_into_right_body()),
    }
}

fn admit(request: &ServiceRequest) -> Result<Option<Caller>, ApiError> {
    let state = request.app_data::<web::Data<HttpState>>().ok_or(ApiError::Internal)?;
    let Some(scope) = request.match_pattern().and_then(|path| state.scope(request.method().as_str(), &path)) else {
        return Ok(None);
    };
    let service = state.service();
    let admitted = service.keys().admit(bearer(request), scope, Instant::now());
    match &admitted {
        Ok(None) => {}
        Ok(Some(caller)) => service.observe_caller(Some((&caller.client, "admitted"))),
        Err(Refusal::Unknown) => service.observe_caller(None),
        Err(Refusal::Forbidden { client }) => service.observe_caller(Some((client, "forbidden"))),
        Err(Refusal::TooMany { client, .. }) => service.observe_caller(Some((client, "rate_limited"))),
    }
    admitted.map_err(|refusal| refused(refusal, scope))
}

/// The key that a request shows: `Authorization: Bearer <key>`.
fn bearer(request: &ServiceRequest) -> Option<&str> {
    let (scheme, key) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

fn refused(refusal: Refusal, scope: Scope) -> ApiError {
    match refusal {
        Refusal::Unknown => ApiError::Unauthorized,
        Refusal::Forbidden { .. } => ApiError::Forbidden(scope.as_str()),
        Refusal::TooMany { wait, .. } => {
            ApiError::RateLimited { retry_after_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) }
        }
    }
}
