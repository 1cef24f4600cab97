//! What is noted of events beside the log and the state: those that were refused, samples for debugging, counts.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value};

use super::embedded::{DeadLetters, Letter};
use super::{EventLogError, RawEvent};
use crate::config::EventsConfig;
use crate::domain::UserId;
use crate::metrics::EventMetrics;

/// Fields of an event that name somebody or something of theirs.
const PERSONAL: [&str; 4] = ["event_id", "user_id", "session_id", "recommendation_id"];

/// The notes of one server.
pub struct Notes {
    letters: DeadLetters,
    metrics: EventMetrics,
    capture_every: u64,
    taken: AtomicU64,
}

impl Notes {
    /// Opens the dead letters of `events.data_dir`; where events are kept in memory, so are they.
    ///
    /// # Errors
    /// The directory or the file; a damaged file is no error, it is set aside and said so.
    pub fn open(config: &EventsConfig, metrics: EventMetrics) -> Result<Self, EventLogError> {
        let letters = DeadLetters::open(config, &metrics)?;
        Ok(Self { letters, metrics, capture_every: config.capture_every, taken: AtomicU64::new(0) })
    }

    /// Counters of events.
    pub fn metrics(&self) -> &EventMetrics {
        &self.metrics
    }

    /// Keeps refused events. What cannot be kept is logged and counted: the client was told, and the others go on.
    pub(super) fn refused(&self, letters: &[Letter], now_ms: i64) {
        if letters.is_empty() {
            return;
        }
        for letter in letters {
            self.metrics.dead_letters.with_label_values(&[letter.origin.as_str()]).inc();
        }
        if let Err(error) = self.letters.put(letters, now_ms, &self.metrics) {
            self.metrics.dead_letters_dropped.inc_by(letters.len() as u64);
            tracing::error!(%error, "refused events were not kept");
        }
    }

    /// Writes one event in `events.capture_every` to the log, without what is personal.
    pub(super) fn sample(&self, raw: &RawEvent) {
        let every = self.capture_every;
        if every > 0 && self.taken.fetch_add(1, Ordering::Relaxed).is_multiple_of(every) {
            tracing::info!(target: "segue::capture", event = %impersonal(raw), "captured");
        }
    }

    /// Forgets the refused events of a listener; how many there were.
    pub(super) fn forget(&self, user: &UserId) -> Result<usize, EventLogError> {
        self.letters.forget(user)
    }
}

/// An event with the length of each id in its place. `O(fields)`.
fn impersonal(raw: &RawEvent) -> Value {
    let all = match serde_json::to_value(raw) {
        Ok(Value::Object(all)) => all,
        Ok(_) | Err(_) => Map::new(),
    };
    let known = all.into_iter().filter(|(_, value)| !value.is_null());
    let shown = known.map(|(name, value)| match (PERSONAL.contains(&&*name), value.as_str()) {
        (true, text) => (name, format!("({} bytes)", text.map_or(0, str::len)).into()),
        (false, _) => (name, value),
    });
    Value::Object(shown.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn captured_events_name_nobody() {
        let raw: RawEvent =
            serde_json::from_value(json!({"event_id": "anna-1", "user_id": "anna", "session_id": "anna-s",
            "recommendation_id": "r-anna", "track_id": "t1", "type": "skip", "client_ts": "2026-01-01T00:00:00Z"}))
            .unwrap();
        let shown = impersonal(&raw);
        assert!(!shown.to_string().contains("anna"), "{shown}");
        assert_eq!(
            shown,
            json!({"event_id": "(6 bytes)", "user_id": "(4 bytes)", "session_id": "(6 bytes)",
                "recommendation_id": "(6 bytes)", "track_id": "t1", "type": "skip", "client_ts": "2026-01-01T00:00:00Z"})
        );
    }
}
