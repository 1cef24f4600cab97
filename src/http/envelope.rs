//! What every request gets: an id, a start time, an access metric, problem documents for all errors, and containment of
//! panics.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, web};

use super::problem::ApiError;
use super::state::HttpState;

/// Carries the request's id, both ways.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id taken from a client, bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// When the request's head had been read; in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrived(pub(super) Instant);

/// Wraps one request; see the module.
///
/// # Errors
/// Only after a panic below, and then with the finished response inside the error.
pub(super) async fn envelope(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let arrived = Instant::now();
    let id = request_id(request.headers());
    let state = request.app_data::<web::Data<HttpState>>().cloned();
    let route = request.match_pattern();
    request.extensions_mut().insert(Arrived(arrived));
    let outcome = Contained(Box::pin(async move { next.call(request).await })).await;
    let outcome = match outcome {
        Ok(Ok(response)) => Ok(dress(response, &id)),
        Ok(Err(error)) => Err(failure(&api_error(Some(&error), error.as_response_error().status_code()), &id)),
        Err(panic) => {
            tracing::error!(request_id = ?id, route, panic = panic_text(&*panic), "a handler panicked");
            Err(failure(&ApiError::Internal, &id))
        }
    };
    let status = outcome
        .as_ref()
        .map_or_else(|error| error.as_response_error().status_code(), actix_web::dev::ServiceResponse::status);
    let route = route.as_deref().unwrap_or("unmatched");
    tracing::debug!(request_id = ?id, route, status = status.as_u16(), "answered");
    if let Some(state) = state {
        state.service().observe_http(route, status.as_u16(), arrived.elapsed().as_secs_f64());
    }
    outcome
}

/// Adds the id; replaces the body of an error by its problem document.
fn dress(response: ServiceResponse<impl MessageBody + 'static>, id: &HeaderValue) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let mut response = response.map_into_boxed_body();
    if status.is_client_error() || status.is_server_error() {
        let problem = api_error(response.response().error(), status).respond(id.to_str().ok());
        response = response.into_response(problem);
    }
    response.headers_mut().insert(REQUEST_ID, id.clone());
    response
}

/// A finished error response for a request that is no longer at hand.
fn failure(error: &ApiError, id: &HeaderValue) -> Error {
    let mut response: HttpResponse = error.respond(id.to_str().ok());
    response.headers_mut().insert(REQUEST_ID, id.clone());
    InternalError::from_response(error.clone(), response).into()
}

fn api_error(error: Option<&Error>, status: actix_web::http::StatusCode) -> ApiError {
    error.and_then(|e| e.as_error::<ApiError>()).cloned().unwrap_or(ApiError::Protocol(status))
}

/// The client's id if it is 1 to 128 visible ASCII characters, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let usable = |value: &&HeaderValue| {
        (1..=MAX_REQUEST_ID_BYTES).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    headers.get(REQUEST_ID).filter(usable).cloned().unwrap_or_else(|| {
        HeaderValue::from_str(&ulid::Ulid::generate().to_string())
            .unwrap_or_else(|_| unreachable!("a ULID is made of letters and digits"))
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&'static str>().copied()).unwrap_or("no message")
}

/// A future whose panic is its result.
struct Contained<F: ?Sized>(Pin<Box<F>>);

impl<F: Future + ?Sized> Future for Contained<F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_harmless_ids() {
        let given = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(text.as_bytes()).unwrap());
            request_id(&headers)
        };
        assert_eq!(given("abc-1"), "abc-1");
        let long = "x".repeat(129);
        for bad in ["", "a b", "é", &long] {
            let id = given(bad);
            assert!(id != bad && id.len() == 26, "{bad:?} became {id:?}");
        }
    }

    #[actix_web::test]
    async fn contains_panics() {
        let panicking = Contained(Box::pin(async { panic!("boom") }));
        let panic: Box<dyn Any + Send> = match panicking.await {
            Ok(()) => panic!("it should have panicked"),
            Err(panic) => panic,
        };
        assert_eq!(panic_text(&*panic), "boom");
        assert_eq!(Contained(Box::pin(async { 1 })).await.ok(), Some(1));
    }
}
