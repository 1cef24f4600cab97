//! Where accepted events go.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::domain::Event;

/// Why events were not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event log failed: {0}")]
pub struct EventLogError(
    /// What happened, for operators.
    pub String,
);

/// A log of accepted events. A batch is in it wholly or not at all; batches of one listener keep their order.
pub trait EventLog: Send + Sync {
    /// Appends a batch; when it returns, the events are as durable as this log makes them.
    ///
    /// # Errors
    /// Nothing of the batch was taken.
    fn append(&self, events: &[Event]) -> Result<(), EventLogError>;
}

/// Keeps the newest events in memory. Not durable: for a laptop, and for looking at what came in.
#[derive(Debug)]
pub struct MemoryLog {
    events: Mutex<VecDeque<Event>>,
    capacity: usize,
}

impl MemoryLog {
    /// A log that holds at most `capacity` events.
    pub fn new(capacity: usize) -> Self {
        Self { events: Mutex::default(), capacity }
    }

    /// The newest `count` events, oldest first.
    pub fn newest(&self, count: usize) -> Vec<Event> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().skip(events.len().saturating_sub(count)).cloned().collect()
    }
}

impl EventLog for MemoryLog {
    fn append(&self, events: &[Event]) -> Result<(), EventLogError> {
        let mut held = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        held.extend(events.iter().cloned());
        let over = held.len().saturating_sub(self.capacity);
        held.drain(..over);
        Ok(())
    }
}
