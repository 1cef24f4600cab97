//! What listeners did.

use actix_web::{HttpResponse, web};

use crate::http::event_body::EventBody;
use crate::http::openapi::{BodyProblems, Unavailable};
use crate::http::problem::ApiError;
use crate::http::state::HttpState;
use crate::http::wire::{Checks, EventsRequest, EventsResponse};

/// Tells what a listener did.
///
/// Each event is answered for itself, in order: a malformed one does not cost the others. As `application/x-ndjson` the
/// body is one event a line, and a broken line is one rejected event; as `application/x-protobuf` it is an `EventBatch` of
/// `docs/events.proto`, and a broken message in it is one rejected event. Sending an event again is harmless (`duplicate`), so
/// after any doubt send the whole batch again. What is accepted is stored and counts from the next request on. A client
/// that tells its own clock (`X-Sent-At-Ms`) need not have the right time.
#[utoipa::path(
    post, path = "/v1/events", tag = "events",
    request_body(content(
        (EventsRequest = "application/json"),
        (String = "application/x-ndjson", example = "{\"event_id\":\"e1\", ...}\n{\"event_id\":\"e2\", ...}\n"),
        (Vec<u8> = "application/x-protobuf"),
    )),
    params((
        "X-Sent-At-Ms" = Option<i64>, Header,
        description = "The client's clock when it sends, Unix ms: where it is off by more than a minute and by at most \
            `events.clock_correction_max_s`, the events' times are corrected by the difference",
    )),
    responses(
        (status = 202, description = "One result an event, in the order of the batch", body = EventsResponse),
        BodyProblems, Unavailable,
    )
)]
pub(in crate::http) async fn ingest(state: web::Data<HttpState>, body: EventBody) -> Result<HttpResponse, ApiError> {
    let service = state.service();
    let mut checks = Checks::default();
    checks.list("events", body.len(), 0, service.config().events.max_batch);
    checks.finish()?;
    let (batch, mut results) = body.read();
    for (result, outcome) in results.iter_mut().zip(service.ingest(batch).await?) {
        result.close(outcome);
    }
    Ok(HttpResponse::Accepted().json(EventsResponse::new(results)))
}
