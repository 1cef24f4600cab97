//! Extractors: a JSON body within bounds, and the request's deadline.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::time::{Duration, Instant};

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use serde::de::DeserializeOwned;

use super::envelope::Arrived;
use super::json::parse;
use super::problem::ApiError;
use super::state::HttpState;
use crate::pipeline::{Criticality, Deadline, Terms};
use crate::security::Caller;

/// Header with which a client shortens its budget, ms.
pub const REQUEST_TIMEOUT: &str = "X-Request-Timeout-Ms";

/// Header with which a client says how much it matters that a request is answered: `critical`, `default` or `sheddable`.
pub const CRITICALITY: &str = "X-Criticality";

/// Longest time a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// A body of JSON, at most `server.body_limit_bytes` long.
///
/// # Errors
/// 415 for another media type, 413 over the limit, 408 when it does not arrive, 400 naming the first wrong field.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = body(request, payload, is_a(request, JSON));
        Box::pin(async move { parse(&bytes.await?).map(Self) })
    }
}

/// Media type of JSON.
pub(super) const JSON: &str = "application/json";

/// The bytes of a body, if it is of a type that is `taken`.
///
/// # Errors
/// As [`Body`], but for what is in it.
pub(super) fn body(
    request: &HttpRequest,
    payload: &mut Payload,
    taken: bool,
) -> impl Future<Output = Result<web::Bytes, ApiError>> + use<> {
    let limit = state(request).map(|state| state.service().config().server.body_limit_bytes);
    let bytes = web::Bytes::from_request(request, payload);
    async move {
        let limit = limit?;
        if !taken {
            return Err(ApiError::UnsupportedMediaType);
        }
        let bytes = tokio::time::timeout(BODY_TIME, bytes).await;
        bytes.map_err(|_| ApiError::BodyTimeout(BODY_TIME.as_secs()))?.map_err(|error| unreadable(&error, limit))
    }
}

/// Whether the body is of a media type, and as it is.
pub(super) fn is_a(request: &HttpRequest, media_type: &str) -> bool {
    let encoded = request.headers().get(header::CONTENT_ENCODING).is_some_and(|e| e != "identity");
    !encoded && request.content_type().eq_ignore_ascii_case(media_type)
}

fn unreadable(error: &actix_web::Error, limit: usize) -> ApiError {
    match error.as_error::<PayloadError>() {
        Some(PayloadError::Overflow) => ApiError::TooLarge(limit),
        _ => ApiError::Unreadable(error.to_string()),
    }
}

fn state(request: &HttpRequest) -> Result<&HttpState, ApiError> {
    request.app_data::<web::Data<HttpState>>().map(|data| &***data).ok_or(ApiError::Internal)
}

/// When the request came, by when it must be answered and how much that matters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    arrived: Instant,
    budget: Duration,
    criticality: Criticality,
}

impl Timing {
    /// The deadline, arrival + `min(server.budget_ms, X-Request-Timeout-Ms)`, and `X-Criticality` as far as the API key allows.
    pub(super) fn terms(&self) -> Terms {
        let deadline = Deadline::after(self.budget.saturating_sub(self.arrived.elapsed()));
        Terms { deadline, criticality: self.criticality }
    }

    /// Time since arrival, ms, rounded to microseconds.
    pub(super) fn took_ms(&self) -> f64 {
        self.arrived.elapsed().as_micros() as f64 / 1_000.0
    }
}

impl FromRequest for Timing {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(timing(request))
    }
}

fn timing(request: &HttpRequest) -> Result<Timing, ApiError> {
    let arrived = request.extensions().get::<Arrived>().map_or_else(Instant::now, |arrived| arrived.0);
    let longest = state(request)?.service().config().server.budget_ms;
    let budget_ms = match request.headers().get(REQUEST_TIMEOUT) {
        None => longest,
        Some(value) => match value.to_str().ok().and_then(|text| text.parse::<u64>().ok()) {
            Some(ms) if ms > 0 => ms.min(longest),
            _ => return Err(ApiError::field(REQUEST_TIMEOUT, "must be a whole number of milliseconds, at least 1")),
        },
    };
    let claimed = match request.headers().get(CRITICALITY) {
        None => Criticality::Default,
        Some(value) => Criticality::ALL
            .into_iter()
            .find(|criticality| value.as_bytes().eq_ignore_ascii_case(criticality.name().as_bytes()))
            .ok_or_else(|| ApiError::field(CRITICALITY, "must be critical, default or sheddable"))?,
    };
    let most = request.extensions().get::<Caller>().map_or(Criticality::Critical, |caller| caller.most);
    let criticality = claimed.min(most);
    Ok(Timing { arrived, budget: Duration::from_millis(budget_ms), criticality })
}
