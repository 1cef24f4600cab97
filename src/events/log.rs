//! Where accepted events go.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::domain::{Event, UserId};

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

    /// Takes out every event of a listener who is erased; when it returns, none that was appended before is readable.
    ///
    /// # Errors
    /// Something of the listener may still be held; it may be tried again.
    fn forget(&self, user: &UserId) -> Result<(), EventLogError>;
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

    /// `O(capacity)`.
    fn forget(&self, user: &UserId) -> Result<(), EventLogError> {
        let mut held = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|event| event.user_id != *user);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EventType;
    use crate::features::testing::event;

    #[test]
    fn forgets_one_listener_and_keeps_the_order_of_the_others() {
        let log = MemoryLog::new(4);
        let events: Vec<_> = ["u", "v", "u", "w", "v"]
            .iter()
            .enumerate()
            .map(|(at, user)| event(&format!("e{at}"), user, "s", EventType::Search, None, at as i64))
            .collect();
        log.append(&events).unwrap();
        log.forget(&UserId::new("v").unwrap()).unwrap();
        assert_eq!(log.newest(9), [events[2].clone(), events[3].clone()]);
        log.append(&events[4..]).unwrap();
        assert_eq!(log.newest(1), events[4..], "what comes later is kept again");
    }
}
