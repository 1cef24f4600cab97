//! The body of `POST /v1/events`: a JSON document, NDJSON, one event a line, or Protobuf (`docs/events.proto`).

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use serde_json::Value;

use super::extract::{JSON, body, is_a};
use super::json::{parse, parse_value};
use super::problem::{ApiError, FieldError};
use super::wire::{EventResult, EventsRequest, json_of, messages};
use crate::domain::UserId;
use crate::events::{Batch, Malformed, RawEvent};

/// Header with which a client says when it sent, Unix ms by its own clock.
const SENT_AT: &str = "X-Sent-At-Ms";
/// Media type of NDJSON.
const NDJSON: &str = "application/x-ndjson";
/// Media types of Protobuf; none of them is registered.
const PROTOBUF: [&str; 2] = ["application/x-protobuf", "application/protobuf"];

/// How the events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Lines,
    Protobuf,
}

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
    /// A Protobuf message.
    Message(Bytes),
    /// What was sent, as text; what could be read of it; what is wrong.
    Broken(String, Value, FieldError),
}

impl FromRequest for EventBody {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (form, sent_at_ms) = (form(request), sent_at(request));
        let bytes = body(request, payload, form.is_some());
        Box::pin(async move {
            let form = form.ok_or(ApiError::UnsupportedMediaType);
            Self::parse(bytes.await?, form?, sent_at_ms?)
        })
    }
}

fn form(request: &HttpRequest) -> Option<Form> {
    if is_a(request, JSON) {
        Some(Form::Json)
    } else if is_a(request, NDJSON) {
        Some(Form::Lines)
    } else {
        PROTOBUF.iter().any(|name| is_a(request, name)).then_some(Form::Protobuf)
    }
}

/// Reads a line; one that is no JSON costs itself alone.
fn line(line: &[u8]) -> Unread {
    serde_json::from_slice(line).map_or_else(
        |error| {
            let fault = FieldError::new("", format!("the line is not JSON: {error}"));
            Unread::Broken(String::from_utf8_lossy(line).into_owned(), Value::Null, fault)
        },
        Unread::Json,
    )
}

/// Reads a Protobuf message; one that is broken costs itself alone.
fn message(bytes: &Bytes) -> Unread {
    match json_of(bytes) {
        (event, None) => Unread::Json(event),
        (event, Some(fault)) => {
            let fault = FieldError::new("", format!("the message is not an event of docs/events.proto: {fault}"));
            Unread::Broken(hex::encode(bytes), event, fault)
        }
    }
}

fn sent_at(request: &HttpRequest) -> Result<Option<i64>, ApiError> {
    let Some(value) = request.headers().get(SENT_AT) else { return Ok(None) };
    let sent = value.to_str().ok().and_then(|text| text.parse().ok());
    sent.map(Some).ok_or_else(|| ApiError::field(SENT_AT, "must be a whole number: Unix time in milliseconds"))
}

impl EventBody {
    /// Splits a body in its events.
    ///
    /// # Errors
    /// 400 where the body as a whole is not of that form.
    pub(super) fn parse(bytes: Bytes, form: Form, sent_at_ms: Option<i64>) -> Result<Self, ApiError> {
        let events = match form {
            Form::Json => parse::<EventsRequest>(&bytes)?.events.0.into_iter().map(Unread::Json).collect(),
            Form::Lines => {
                let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
                lines.filter(|line| !line.is_empty()).map(line).collect()
            }
            Form::Protobuf => {
                messages(bytes).map_err(ApiError::NotProtobuf)?.into_iter().map(Unread::Message).collect()
            }
        };
        Ok(Self { events, sent_at_ms })
    }

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
        let (body, event, fault) = match self {
            Self::Message(bytes) => return message(&bytes).read(),
            Self::Broken(body, event, fault) => (body, event, fault),
            Self::Json(event) => match parse_value(&event) {
                Ok(raw) => return (Ok(raw), EventResult::open(EventsRequest::id_of(&event))),
                Err(fault) => (event.to_string(), event, fault),
            },
        };
        let reason =
            if fault.field.is_empty() { fault.message.clone() } else { format!("{}: {}", fault.field, fault.message) };
        let malformed = Malformed { body, listener: listener(&event), reason };
        (Err(malformed), EventResult::malformed(EventsRequest::id_of(&event), fault))
    }
}

fn listener(event: &Value) -> Option<UserId> {
    UserId::new(event.get("user_id")?.as_str()?).ok()
}
