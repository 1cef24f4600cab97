//! `POST /v1/events`.

use super::List;
use crate::domain::EventId;
use crate::events::{EventOutcome, RawEvent};
use crate::http::problem::FieldError;

/// A batch of events. Read one by one, so that a malformed one does not cost the others.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsRequest {
    /// At most `events.max_batch` (500 unless configured).
    #[schema(value_type = Vec<RawEvent>, max_items = 10_000)]
    pub events: List<serde_json::Value>,
}

impl EventsRequest {
    /// The id of an event that may be malformed; absent when it has none that could be one.
    pub fn id_of(event: &serde_json::Value) -> Option<EventId> {
        event.get("event_id")?.as_str().and_then(|text| EventId::new(text).ok())
    }
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// Stored, and counts from the next request on.
    Accepted,
    /// Its id was accepted before.
    Duplicate,
    /// Refused, and would be again: `field` and `reason` say why.
    Rejected,
}

/// What became of one event of a batch.
#[derive(Debug, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct EventResult {
    /// The event's id; null when it could not be read.
    #[schema(value_type = Option<String>)]
    event_id: Option<EventId>,
    /// What became of it.
    status: EventStatus,
    /// The field that is wrong, where one can be named.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl EventResult {
    /// A well-formed event whose fate is open; [`EventResult::close`] follows.
    pub fn open(event_id: Option<EventId>) -> Self {
        Self { event_id, status: EventStatus::Rejected, field: None, reason: None }
    }

    /// An event that could not be read.
    pub fn malformed(event_id: Option<EventId>, error: FieldError) -> Self {
        let field = (!error.field.is_empty()).then_some(error.field);
        Self { event_id, status: EventStatus::Rejected, field, reason: Some(error.message) }
    }

    /// Notes what the service made of an event that was open.
    pub fn close(&mut self, outcome: EventOutcome) {
        if self.reason.is_some() {
            return;
        }
        let (field, reason);
        (self.status, field, reason) = match outcome {
            EventOutcome::Accepted => (EventStatus::Accepted, None, None),
            EventOutcome::Duplicate => (EventStatus::Duplicate, None, None),
            EventOutcome::Rejected(text) => {
                let (field, reason) = split_field(&text);
                (EventStatus::Rejected, field.map(str::to_owned), Some(reason.to_owned()))
            }
        };
        (self.field, self.reason) = (field, reason);
    }
}

/// Splits `client_ts: too old` in the field and what is wrong with it.
fn split_field(text: &str) -> (Option<&str>, &str) {
    let is_path = |field: &str| field.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'.');
    match text.split_once(": ") {
        Some((field, reason)) if is_path(field) => (Some(field), reason),
        Some(_) | None => (None, text),
    }
}

/// The answer to a batch.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct EventsResponse {
    /// Events stored.
    accepted: usize,
    /// Events known before.
    duplicate: usize,
    /// Events refused.
    rejected: usize,
    /// One result an event, in the order of the batch.
    events: Vec<EventResult>,
}

impl EventsResponse {
    /// Counts the results.
    pub fn new(events: Vec<EventResult>) -> Self {
        let count = |status| events.iter().filter(|event| event.status == status).count();
        Self {
            accepted: count(EventStatus::Accepted),
            duplicate: count(EventStatus::Duplicate),
            rejected: count(EventStatus::Rejected),
            events,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_field_of_a_rejection() {
        assert_eq!(split_field("context.local_hour: 24 is too late"), (Some("context.local_hour"), "24 is too late"));
        assert_eq!(split_field("no field: at all"), (None, "no field: at all"));
        let mut result = EventResult::open(EventId::new("e1").ok());
        result.close(EventOutcome::Accepted);
        assert_eq!(serde_json::to_value(&result).unwrap(), serde_json::json!({"event_id": "e1", "status": "accepted"}));
    }
}
