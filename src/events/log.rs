//! Where accepted events go.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::Position;
use crate::domain::{Event, UserId};
use crate::vault::VaultError;

/// Why events were not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event log failed: {0}")]
pub struct EventLogError(
    /// What happened, for operators.
    pub String,
);

impl From<VaultError> for EventLogError {
    fn from(error: VaultError) -> Self {
        Self(error.to_string())
    }
}

/// What stands at one offset of a log.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// An accepted event.
    Event(Event),
    /// From here on nothing is known of this listener.
    Erase(UserId),
    /// An event stood here whose listener was erased since.
    Erased,
}

/// A log of accepted events. Every entry has an offset; offsets rise by one and are never given twice. A batch is in it
/// wholly or not at all; batches of one listener keep their order.
pub trait EventLog: Send + Sync {
    /// The offset that the next entry gets.
    fn next_offset(&self) -> u64;

    /// Appends a batch and says which offsets it got; when it returns, the events are as durable as this log makes them.
    ///
    /// # Errors
    /// Nothing of the batch was taken, and no offset was given.
    fn append(&self, events: &[Event]) -> Result<Range<u64>, EventLogError> {
        self.take_in(events, None)
    }

    /// As [`EventLog::append`], for events that came out of a stream up to a place, which is noted with them; there may be
    /// none. A log that a restart does not keep need not keep the place.
    ///
    /// # Errors
    /// As [`EventLog::append`].
    fn take_in(&self, events: &[Event], from: Option<&Position>) -> Result<Range<u64>, EventLogError>;

    /// Takes out every event of a listener who is erased and says so in the log, so that a replay erases too; when it
    /// returns, no event that was appended before is readable. Returns the one offset of that entry.
    ///
    /// # Errors
    /// Something of the listener may still be held; it may be tried again.
    fn forget(&self, user: &UserId) -> Result<Range<u64>, EventLogError> {
        self.erase(user, None)
    }

    /// As [`EventLog::forget`], for an erasure that came out of a stream.
    ///
    /// # Errors
    /// As [`EventLog::forget`].
    fn erase(&self, user: &UserId, from: Option<&Position>) -> Result<Range<u64>, EventLogError>;

    /// Says that the live state can be built without the entries below an offset, so that age and size may remove them.
    fn cover(&self, _offset: u64) {}
}

/// Keeps the newest events in memory. Not durable: for a laptop, and for looking at what came in.
#[derive(Debug)]
pub struct MemoryLog {
    held: Mutex<Held>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Held {
    events: VecDeque<Event>,
    next: u64,
}

impl Held {
    fn take(&mut self, entries: usize) -> Range<u64> {
        let first = self.next;
        self.next += entries as u64;
        first..self.next
    }
}

impl MemoryLog {
    /// A log that holds at most `capacity` events.
    pub fn new(capacity: usize) -> Self {
        Self { held: Mutex::default(), capacity }
    }

    /// The newest `count` events, oldest first.
    pub fn newest(&self, count: usize) -> Vec<Event> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.events.iter().skip(held.events.len().saturating_sub(count)).cloned().collect()
    }
}

impl EventLog for MemoryLog {
    fn next_offset(&self) -> u64 {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).next
    }

    fn take_in(&self, events: &[Event], _: Option<&Position>) -> Result<Range<u64>, EventLogError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.events.extend(events.iter().cloned());
        let over = held.events.len().saturating_sub(self.capacity);
        held.events.drain(..over);
        Ok(held.take(events.len()))
    }

    /// `O(capacity)`.
    fn erase(&self, user: &UserId, _: Option<&Position>) -> Result<Range<u64>, EventLogError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.events.retain(|event| event.user_id != *user);
        Ok(held.take(1))
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
        assert_eq!(log.append(&events).unwrap(), 0..5);
        assert_eq!(log.forget(&UserId::new("v").unwrap()).unwrap(), 5..6);
        assert_eq!(log.newest(9), [events[2].clone(), events[3].clone()]);
        assert_eq!(log.append(&events[4..]).unwrap(), 6..7);
        assert_eq!((log.newest(1), log.next_offset()), (events[4..].to_vec(), 7), "what comes later is kept again");
    }
}
