//! What a client sends at once.

use super::RawEvent;
use crate::domain::UserId;

/// An event that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// As it was sent.
    pub body: String,
    /// Whose it is, if that could be read.
    pub listener: Option<UserId>,
    /// What is wrong.
    pub reason: String,
}

/// Events in the order in which they were sent.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Each event, or why it could not be read.
    pub events: Vec<Result<RawEvent, Malformed>>,
    /// When the client sent them by its own clock, Unix ms; absent: its clock is believed.
    pub sent_at_ms: Option<i64>,
}

impl From<Vec<RawEvent>> for Batch {
    fn from(events: Vec<RawEvent>) -> Self {
        Self { events: events.into_iter().map(Ok).collect(), sent_at_ms: None }
    }
}
