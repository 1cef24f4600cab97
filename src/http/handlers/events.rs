//! What listeners did.

use actix_web::{HttpResponse, web};

use crate::events::RawEvent;
use crate::http::extract::Body;
use crate::http::json::parse_value;
use crate::http::openapi::{BodyProblems, Unavailable};
use crate::http::problem::ApiError;
use crate::http::state::HttpState;
use crate::http::wire::{Checks, EventResult, EventsRequest, EventsResponse};

/// Tells what a listener did.
///
/// Each event is answered for itself, in order: a malformed one does not cost the others. Sending an event again is
/// harmless (`duplicate`), so after any doubt send the whole batch again. What is accepted is stored and counts from the
/// next request on.
#[utoipa::path(
    post, path = "/v1/events", tag = "events", request_body = EventsRequest,
    responses(
        (status = 202, description = "One result an event, in the order of the batch", body = EventsResponse),
        BodyProblems, Unavailable,
    )
)]
pub(in crate::http) async fn ingest(
    state: web::Data<HttpState>,
    body: Body<EventsRequest>,
) -> Result<HttpResponse, ApiError> {
    let service = state.service();
    let batch = body.0.events.0;
    let mut checks = Checks::default();
    checks.list("events", batch.len(), 0, service.config().events.max_batch);
    checks.finish()?;
    let mut results = Vec::with_capacity(batch.len());
    let (mut events, mut places) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
    for value in batch {
        let event_id = EventsRequest::id_of(&value);
        match parse_value::<RawEvent>(value) {
            Ok(event) => {
                places.push(results.len());
                events.push(event);
                results.push(EventResult::open(event_id));
            }
            Err(error) => results.push(EventResult::malformed(event_id, error)),
        }
    }
    let malformed = results.len() - events.len();
    let outcomes = service.ingest(events).await?;
    service.observe_malformed(malformed as u64);
    for (place, outcome) in places.into_iter().zip(outcomes) {
        results[place].close(outcome);
    }
    Ok(HttpResponse::Accepted().json(EventsResponse::new(results)))
}
