//! Errors: one type that names the fault, one exhaustive map to a status, one document (RFC 9457).

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};

use super::service::{ChangeFault, IngestError, SwapFault};
use crate::app::{RehearsalError, ReplayError};
use crate::domain::IdError;
use crate::pipeline::Refused;

/// Media type of problem documents.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Longest text of a client that an error repeats, bytes.
const MAX_ECHO_BYTES: usize = 300;

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Path of the field in the body (`context.local_hour`, `exclude_track_ids[3]`), or the name of a parameter or header.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl FieldError {
    /// Builds one; both texts are cut to a bound because they may repeat what the client sent.
    pub fn new(field: impl AsRef<str>, message: impl AsRef<str>) -> Self {
        Self { field: cut(field.as_ref()), message: cut(message.as_ref()) }
    }
}

/// Why a request was not answered as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Fields, parameters or headers are wrong; never empty.
    #[error("{} is not valid: {}", .0.first().map_or("the request", |e| &e.field), .0.first().map_or("", |e| &e.message))]
    Invalid(Vec<FieldError>),
    /// The body is not JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// The body is no batch of events in Protobuf.
    #[error("the body is not an EventBatch of docs/events.proto: {0}")]
    NotProtobuf(String),
    /// The body broke off.
    #[error("the body could not be read: {0}")]
    Unreadable(String),
    /// The body took too long to arrive.
    #[error("the body did not arrive within {0} s")]
    BodyTimeout(u64),
    /// The body is larger than the limit, bytes.
    #[error("the body is larger than {0} bytes: send less at once")]
    TooLarge(usize),
    /// The body's media type or encoding is not taken.
    #[error(
        "send the body as `Content-Type: application/json` (events also as `application/x-ndjson` or \
         `application/x-protobuf`), without `Content-Encoding`"
    )]
    UnsupportedMediaType,
    /// No such thing.
    #[error("there is no {what} {id:?}")]
    Unknown {
        /// Kind of thing.
        what: &'static str,
        /// As the client named it.
        id: String,
    },
    /// No such path.
    #[error("there is nothing at this path: see /openapi.json")]
    NoRoute,
    /// The path does not take this method.
    #[error("this path takes {0}")]
    MethodNotAllowed(String),
    /// More work than can be done in time.
    #[error("more requests wait than can be answered in time: try again in {retry_after_ms} ms")]
    Overloaded {
        /// When to come back.
        retry_after_ms: u64,
    },
    /// No API key, or none that is known.
    #[error("this server asks for an API key: send `Authorization: Bearer KEY` with one that is in force")]
    Unauthorized,
    /// The API key does not allow this.
    #[error("this API key does not allow that: the scope `{0}` is needed")]
    Forbidden(&'static str),
    /// The client has sent more than its API key allows.
    #[error("more requests than this API key allows: try again in {retry_after_ms} ms")]
    RateLimited {
        /// When the next one may come.
        retry_after_ms: u64,
    },
    /// What the answer came from was not kept.
    #[error("{0}")]
    NotReplayable(String),
    /// A request asked again as it was was answered otherwise.
    #[error("{0}")]
    NotReproduced(String),
    /// One swap of the bundle at a time.
    #[error("another swap is running: try again when it is done")]
    SwapRunning,
    /// Another bundle cannot be served as things are.
    #[error("{0}")]
    NotSwappable(String),
    /// A bundle should not be served.
    #[error("{why}")]
    BundleRefused {
        /// Why.
        why: String,
        /// What was found.
        report: Option<serde_json::Value>,
    },
    /// Another bundle could not be served for a reason of the server's own; all is as it was.
    #[error("the bundle was not swapped, all is as it was; the server's log says why")]
    NotSwapped,
    /// The node is going away.
    #[error("this node is shutting down: send the request to another")]
    ShuttingDown,
    /// The node cannot answer yet, or no more.
    #[error("this node is not ready")]
    NotReady,
    /// Events could not be stored; none of the batch counts.
    #[error("the events could not be stored: send the same batch again")]
    NotStored,
    /// A change of the catalogue could not be stored; nothing changed.
    #[error("the change could not be stored: send it again")]
    NotChanged,
    /// The catalogue takes no more tracks.
    #[error("{0}")]
    CatalogueFull(String),
    /// A bug: a handler panicked.
    #[error("an internal error; the server's log has it under this request id")]
    Internal,
    /// Refused by the HTTP library for a reason of its own.
    #[error("{}", .0.canonical_reason().unwrap_or("refused"))]
    Protocol(StatusCode),
}

impl ApiError {
    /// One wrong field.
    pub fn field(field: impl AsRef<str>, message: impl AsRef<str>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    /// Too much load. Clients are sent away for one to three times the wait, and a second at least, so that they do not all
    /// come back at once.
    fn overloaded(wait_ms: u64) -> Self {
        let retry_after_ms = (wait_ms.max(1_000) as f64 * rand::random_range(1.0..3.0)) as u64;
        Self::Overloaded { retry_after_ms }
    }

    /// A wrong id in the path.
    pub fn path_id(error: &IdError) -> Self {
        Self::field("id", error.to_string())
    }

    /// The status, and the last part of the problem's type.
    pub fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid-request"),
            Self::NotJson(_) => (StatusCode::BAD_REQUEST, "malformed-json"),
            Self::NotProtobuf(_) => (StatusCode::BAD_REQUEST, "malformed-protobuf"),
            Self::Unreadable(_) => (StatusCode::BAD_REQUEST, "unreadable-body"),
            Self::BodyTimeout(_) => (StatusCode::REQUEST_TIMEOUT, "body-timeout"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type"),
            Self::Unknown { .. } => (StatusCode::NOT_FOUND, "not-found"),
            Self::NoRoute => (StatusCode::NOT_FOUND, "no-route"),
            Self::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            Self::Overloaded { .. } => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate-limited"),
            Self::NotReproduced(_) => (StatusCode::CONFLICT, "not-reproduced"),
            Self::NotReplayable(_) => (StatusCode::CONFLICT, "not-replayable"),
            Self::SwapRunning => (StatusCode::CONFLICT, "swap-running"),
            Self::NotSwappable(_) => (StatusCode::CONFLICT, "not-swappable"),
            Self::BundleRefused { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bundle-refused"),
            Self::NotSwapped => (StatusCode::INTERNAL_SERVER_ERROR, "not-swapped"),
            Self::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "shutting-down"),
            Self::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "not-ready"),
            Self::NotStored => (StatusCode::SERVICE_UNAVAILABLE, "not-stored"),
            Self::NotChanged => (StatusCode::SERVICE_UNAVAILABLE, "not-stored"),
            Self::CatalogueFull(_) => (StatusCode::INSUFFICIENT_STORAGE, "catalogue-full"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            Self::Protocol(status) => (*status, "protocol"),
        }
    }

    /// When to come back, seconds, where that helps.
    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Overloaded { retry_after_ms } | Self::RateLimited { retry_after_ms } => {
                Some(retry_after_ms.div_ceil(1_000).max(1))
            }
            Self::ShuttingDown | Self::NotReady | Self::NotStored | Self::NotChanged => Some(1),
            Self::Invalid(_)
            | Self::NotJson(_)
            | Self::NotProtobuf(_)
            | Self::Unreadable(_)
            | Self::BodyTimeout(_)
            | Self::TooLarge(_)
            | Self::UnsupportedMediaType
            | Self::Unknown { .. }
            | Self::NoRoute
            | Self::MethodNotAllowed(_)
            | Self::Unauthorized
            | Self::Forbidden(_)
            | Self::CatalogueFull(_)
            | Self::NotReplayable(_)
            | Self::NotReproduced(_)
            | Self::SwapRunning
            | Self::NotSwappable(_)
            | Self::BundleRefused { .. }
            | Self::NotSwapped
            | Self::Internal
            | Self::Protocol(_) => None,
        }
    }

    /// The problem document as a response; `request_id` is its `instance`.
    pub fn respond(&self, request_id: Option<&str>) -> HttpResponse {
        let (status, name) = self.kind();
        let mut response = HttpResponse::build(status);
        response.content_type(PROBLEM_JSON);
        if let Some(seconds) = self.retry_after_s() {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if let Self::MethodNotAllowed(allow) = self {
            response.insert_header((header::ALLOW, allow.as_str()));
        }
        if *self == Self::Unauthorized {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        let errors = if let Self::Invalid(errors) = self { errors.clone() } else { Vec::new() };
        let report = if let Self::BundleRefused { report, .. } = self { report.clone() } else { None };
        response.json(Problem {
            kind: format!("urn:segue:problem:{name}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: self.to_string(),
            instance: request_id.map(str::to_owned),
            errors,
            report,
        })
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Overloaded { retry_after_ms } => Self::overloaded(retry_after_ms),
            Refused::Closed => Self::ShuttingDown,
            Refused::Lost => Self::Internal,
        }
    }
}

impl ApiError {
    /// A replay that failed.
    pub fn replay(error: ReplayError, id: &str) -> Self {
        match error {
            ReplayError::Rehearsal(error) => Self::rehearsal(error, id),
            ReplayError::Differs(_) => Self::NotReproduced(error.to_string()),
        }
    }

    /// An answer that could not be asked again.
    pub fn rehearsal(error: RehearsalError, id: &str) -> Self {
        match error {
            RehearsalError::Refused(refused) => refused.into(),
            RehearsalError::Unknown => Self::Unknown { what: "kept recommendation", id: id.to_owned() },
            RehearsalError::NoState => Self::NotReplayable(error.to_string()),
        }
    }
}

impl From<IngestError> for ApiError {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Overloaded { retry_after_ms } => Self::overloaded(retry_after_ms),
            IngestError::Log(error) => {
                tracing::error!(error, "events could not be stored");
                Self::NotStored
            }
        }
    }
}

impl From<ChangeFault> for ApiError {
    fn from(fault: ChangeFault) -> Self {
        match fault {
            ChangeFault::Unknown => Self::Unknown { what: "track", id: String::new() },
            ChangeFault::Refused(why) => Self::field("track", why),
            ChangeFault::Full(why) => Self::CatalogueFull(why),
            ChangeFault::Failed(error) => {
                tracing::error!(error, "the catalogue could not be changed");
                Self::NotChanged
            }
        }
    }
}

impl ApiError {
    /// A swap of the bundle that did not happen; `name`: of the bundle that was asked for.
    pub fn swap(fault: SwapFault, name: &str) -> Self {
        match fault {
            SwapFault::Unknown => Self::Unknown { what: "bundle", id: name.to_owned() },
            SwapFault::Busy => Self::SwapRunning,
            SwapFault::NotPossible(why) => Self::NotSwappable(why),
            SwapFault::Refused { why, report } => Self::BundleRefused { why, report },
            // The engine has logged it.
            SwapFault::Failed(_) => Self::NotSwapped,
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.kind().0
    }

    /// Without `instance`; the envelope renders it again with the request's id.
    fn error_response(&self) -> HttpResponse {
        self.respond(None)
    }
}

/// An RFC 9457 problem document.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// `urn:segue:problem:<name>`: what programs should look at.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened and what to do, for people.
    detail: String,
    /// The request's id, as in `X-Request-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// One entry a wrong field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    /// Of a bundle that was refused: what was found, as `SwapReport`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    report: Option<serde_json::Value>,
}

/// The first `MAX_ECHO_BYTES` of a text, cut between characters.
fn cut(text: &str) -> String {
    if text.len() <= MAX_ECHO_BYTES {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(MAX_ECHO_BYTES)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_status() {
        let cases = [
            (ApiError::field("limit", "wrong"), 400),
            (ApiError::NotJson("eof".into()), 400),
            (ApiError::Unreadable("broken pipe".into()), 400),
            (ApiError::BodyTimeout(10), 408),
            (ApiError::TooLarge(10), 413),
            (ApiError::UnsupportedMediaType, 415),
            (ApiError::Unknown { what: "track", id: "t".into() }, 404),
            (ApiError::NoRoute, 404),
            (ApiError::MethodNotAllowed("GET".into()), 405),
            (ApiError::Overloaded { retry_after_ms: 1 }, 503),
            (ApiError::Unauthorized, 401),
            (ApiError::Forbidden("admin"), 403),
            (ApiError::RateLimited { retry_after_ms: 1 }, 429),
            (ApiError::ShuttingDown, 503),
            (ApiError::NotReady, 503),
            (ApiError::NotStored, 503),
            (ApiError::Internal, 500),
            (ApiError::swap(SwapFault::Unknown, "b"), 404),
            (ApiError::swap(SwapFault::Busy, "b"), 409),
            (ApiError::swap(SwapFault::NotPossible("not so".into()), "b"), 409),
            (ApiError::swap(SwapFault::Refused { why: "worse".into(), report: None }, "b"), 422),
            (ApiError::swap(SwapFault::Failed("disk".into()), "b"), 500),
            (ApiError::Protocol(StatusCode::NOT_ACCEPTABLE), 406),
        ];
        for (error, status) in cases {
            let response = error.respond(Some("id"));
            assert_eq!(response.status().as_u16(), status, "{error:?}");
            assert_eq!(response.headers().get(header::CONTENT_TYPE).unwrap(), PROBLEM_JSON);
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), [429, 503].contains(&status), "{error:?}");
        }
    }

    #[test]
    fn refusals_become_problems() {
        assert_eq!(ApiError::from(Refused::Closed), ApiError::ShuttingDown);
        let overloaded = ApiError::Overloaded { retry_after_ms: 1_200 };
        assert_eq!(ApiError::from(IngestError::Log("disk full".into())), ApiError::NotStored);
        assert_eq!(overloaded.respond(None).headers().get(header::RETRY_AFTER).unwrap(), "2");
        for (wait_ms, least) in [(1, 1_000), (1_200, 1_200)] {
            let refused = Refused::Overloaded { retry_after_ms: wait_ms };
            for error in [refused.into(), ApiError::from(IngestError::Overloaded { retry_after_ms: wait_ms })] {
                let ApiError::Overloaded { retry_after_ms } = error else { panic!("{error:?}") };
                assert!((least..3 * least).contains(&retry_after_ms), "{retry_after_ms} ms");
            }
        }
    }

    #[test]
    fn echoes_are_cut_between_characters() {
        let error = FieldError::new("é".repeat(1_000), "short");
        assert!(error.field.len() <= MAX_ECHO_BYTES + 3 && error.field.ends_with('…'));
        assert_eq!(error.message, "short");
    }
}
