//! Where accepted events go.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::{Position, Step};
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

    /// Reads at most `most` entries from an offset on, in order; what is not there any more is passed over. No entries: the end.
    ///
    /// # Errors
    /// The disk's.
    fn read(&self, from: u64, most: usize) -> Result<Step, EventLogError>;

    /// Says that the live state can be built without the entries below an offset, so that age and size may remove them.
    fn cover(&self, _offset: u64) {}
}

/// Keeps the newest entries in memory. Not durable: for a laptop, and for looking at what came in.
#[derive(Debug)]
pub struct MemoryLog {
    held: Mutex<Held>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Held {
    entries: VecDeque<(u64, Entry)>,
    next: u64,
}

impl Held {
    fn take(&mut self, entries: impl Iterator<Item = Entry>, capacity: usize) -> Range<u64> {
        let first = self.next;
        for entry in entries {
            self.entries.push_back((self.next, entry));
            self.next += 1;
        }
        let over = self.entries.len().saturating_sub(capacity);
        self.entries.drain(..over);
        first..self.next
    }
}

impl MemoryLog {
    /// A log that holds at most `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        Self { held: Mutex::default(), capacity }
    }

    /// The newest `count` events, oldest first.
    pub fn newest(&self, count: usize) -> Vec<Event> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let events = held.entries.iter().rev().filter_map(|(_, entry)| match entry {
            Entry::Event(event) => Some(event.clone()),
            Entry::Erase(_) | Entry::Erased => None,
        });
        let mut newest: Vec<Event> = events.take(count).collect();
        newest.reverse();
        newest
    }
}

impl EventLog for MemoryLog {
    fn next_offset(&self) -> u64 {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).next
    }

    fn take_in(&self, events: &[Event], _: Option<&Position>) -> Result<Range<u64>, EventLogError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(held.take(events.iter().cloned().map(Entry::Event), self.capacity))
    }

    /// `O(capacity)`.
    fn erase(&self, user: &UserId, _: Option<&Position>) -> Result<Range<u64>, EventLogError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let is_theirs = |entry: &Entry| matches!(entry, Entry::Event(event) if event.user_id == *user);
        held.entries.retain(|(_, entry)| !is_theirs(entry));
        Ok(held.take(std::iter::once(Entry::Erase(user.clone())), self.capacity))
    }

    /// `O(capacity)`.
    fn read(&self, from: u64, most: usize) -> Result<Step, EventLogError> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = held.entries.iter().filter(|(at, _)| *at >= from).take(most);
        let entries: Vec<_> = entries.cloned().collect();
        let next = entries.last().map_or(from.max(held.next), |(at, _)| at + 1);
        Ok(Step { entries, next, damage: Vec::new() })
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
