//! The body of `POST /v1/events`: a JSON document or NDJSON, one event a line.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde_json::Value;

use super::extract::{JSON, body, is_a};
use super::json::{parse, parse_value};
use super::problem::{ApiError, FieldError};
use super::wire::{EventResult, EventsRequest};
use crate::domain::UserId;
use crate::events::{Batch, Malformed, RawEvent};

/// Header with which a client says when it sent, Unix ms by its own clock.
const SENT_AT: &str = "X-Sent-At-Ms";
/// Media type of NDJSON.
const NDJSON: &str = "application/x-ndjson";

/// Events as they came, each still to be read.
#[derive(Debug)]
pub(super) struct EventBody {
    events: Vec<Unread>,
    sent_at_ms: Option<i64>,
}

/// One event, not yet read.
#[derive(Debug)]
enum Unread {
    Json(Value),
    Broken(String, FieldError),
}

impl FromRequest for EventBody {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (lines, sent_at_ms) = (is_a(request, NDJSON), sent_at(request));
        let bytes = body(request, payload, lines || is_a(request, JSON));
        Box::pin(async move {
            let (bytes, sent_at_ms) = (bytes.await?, sent_at_ms?);
            let events = if lines {
                let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
                lines.filter(|line| !line.is_empty()).map(line).collect()
            } else {
                parse::<EventsRequest>(&bytes)?.events.0.into_iter().map(Unread::Json).collect()
            };
            Ok(Self { events, sent_at_ms })
        })
    }
}

/// Reads a line; one that is no JSON costs itself alone.
fn line(line: &[u8]) -> Unread {
    serde_json::from_slice(line).map_or_else(
        |error| {
            let fault = FieldError::new("", format!("the line is not JSON: {error}"));
            Unread::Broken(String::from_utf8_lossy(line).into_owned(), fault)
        },
        Unread::Json,
    )
}

fn sent_at(request: &HttpRequest) -> Result<Option<i64>, ApiError> {
    let Some(value) = request.headers().get(SENT_AT) else { return Ok(None) };
    let sent = value.to_str().ok().and_then(|text| text.parse().ok());
    sent.map(Some).ok_or_else(|| ApiError::field(SENT_AT, "must be a whole number: Unix time in milliseconds"))
}

impl EventBody {
    /// Events in it, good and bad.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Reads every event: the batch, and a result for each, of which those of good events are open.
    pub(super) fn read(self) -> (Batch, Vec<EventResult>) {
        let (events, results) = self.events.into_iter().map(Unread::read).unzip();
        (Batch { events, sent_at_ms: self.sent_at_ms }, results)
    }
}

impl Unread {
    fn read(self) -> (Result<RawEvent, Malformed>, EventResult) {
        let (body, listener, event_id, fault) = match self {
            Self::Broken(body, fault) => (body, None, None, fault),
            Self::Json(value) => {
                let event_id = EventsRequest::id_of(&value);
                match parse_value(&value) {
                    Ok(event) => return (Ok(event), EventResult::open(event_id)),
                    Err(fault) => (value.to_string(), listener(&value), event_id, fault),
                }
            }
        };
        let reason =
            if fault.field.is_empty() { fault.message.clone() } else { format!("{}: {}", fault.field, fault.message) };
        (Err(Malformed { body, listener, reason }), EventResult::malformed(event_id, fault))
    }
}

fn listener(event: &Value) -> Option<UserId> {
    UserId::new(event.get("user_id")?.as_str()?).ok()
}
