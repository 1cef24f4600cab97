//! From a client's batch to the live state: each event gets one outcome, and what is accepted counts from the next
//! request on.

use std::sync::{Arc, Mutex, PoisonError};

use super::in_flight::InFlight;
use super::order::Order;
use super::validate::{Clock, validate};
use super::{EventLog, EventLogError, RawEvent};
use crate::config::EventsConfig;
use crate::domain::{Catalogue, Event, ItemVectors, UserId};
use crate::features::StateStore;

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventOutcome {
    /// In the log and in the state.
    Accepted,
    /// Its id was accepted before, within the duplicate window.
    Duplicate,
    /// Refused; the text begins with the field at fault.
    Rejected(String),
}

/// Takes events in.
pub struct Ingest {
    state: Arc<StateStore>,
    log: Arc<dyn EventLog>,
    catalogue: Arc<Catalogue>,
    vectors: Arc<ItemVectors>,
    config: EventsConfig,
    in_flight: InFlight,
    order: Order,
    /// The offset that the state on disk is of, once this process has written it.
    written: Mutex<Option<u64>>,
}

impl Ingest {
    /// Wires the parts. The state holds all that is in the log.
    pub fn new(
        state: Arc<StateStore>,
        log: Arc<dyn EventLog>,
        catalogue: Arc<Catalogue>,
        vectors: Arc<ItemVectors>,
        config: EventsConfig,
    ) -> Self {
        let order = Order::new(log.next_offset());
        let (in_flight, written) = (InFlight::default(), Mutex::default());
        Self { state, log, catalogue, vectors, config, in_flight, order, written }
    }

    /// Takes a batch at server time `now_ms`: validates, drops duplicates, appends to the log and applies in order of
    /// event time (ties: as sent), for clients batch what they did as it suits them. One outcome an event, as sent. Waits
    /// for the log, for the same events that are on their way in, for the batches before it in the log, and for the state
    /// to be written where memory has no room for more of it. What the batch needs from disk is read before its turn.
    ///
    /// # Errors
    /// The log's or the disk's: then nothing of the batch counts, and it may be sent again.
    pub fn ingest(&self, batch: Vec<RawEvent>, now_ms: i64) -> Result<Vec<EventOutcome>, EventLogError> {
        if self.state.is_full() {
            self.snapshot_if(|_| self.state.is_full())?;
        }
        let keys = batch.iter().map(|raw| (raw.user_id.clone(), raw.event_id.clone())).collect();
        let _claim = self.in_flight.claim(keys);
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut admitted = Vec::with_capacity(batch.len());
        for raw in batch {
            match self.admit(raw, now_ms) {
                Ok(event) => {
                    admitted.push((outcomes.len(), event));
                    outcomes.push(EventOutcome::Accepted);
                }
                Err(outcome) => outcomes.push(outcome),
            }
        }
        admitted.sort_by_key(|(_, event)| event.ts_ms);
        let (places, accepted): (Vec<usize>, Vec<Event>) = admitted.into_iter().unzip();
        if accepted.is_empty() {
            return Ok(outcomes);
        }
        let offsets = self.log.append(&accepted).inspect_err(|_| {
            accepted.iter().for_each(|event| self.state.forget(&event.user_id, &event.event_id));
        })?;
        let _turn = self.order.turn(offsets);
        for (event, place) in accepted.iter().zip(places) {
            if let Err(fault) = self.state.apply(event, &self.catalogue, &self.vectors) {
                // Only a batch that contradicts itself comes here: two listeners in one session.
                self.state.forget(&event.user_id, &event.event_id);
                outcomes[place] = EventOutcome::Rejected(fault.to_string());
            }
        }
        Ok(outcomes)
    }

    /// Forgets a listener: logged events, profile and sessions, in memory and on disk. Returns the number of sessions that
    /// were kept. Writes the state.
    ///
    /// # Errors
    /// The log's or the disk's: something may still be held. It may be tried again.
    pub fn forget(&self, user: &UserId) -> Result<usize, EventLogError> {
        let offsets = self.log.forget(user)?;
        let turn = self.order.turn(offsets);
        let removed = self.state.erase(user)?;
        drop(turn);
        self.snapshot_if(|_| true)?;
        Ok(removed)
    }

    /// Writes the state to the disk beside the log, unless it is there; returns the offset that it is of. Events go on
    /// meanwhile: they wait for under a millisecond.
    ///
    /// # Errors
    /// The disk's: it is as it was.
    pub fn snapshot(&self) -> Result<u64, EventLogError> {
        self.snapshot_if(|is_new| is_new || self.state.is_crowded())
    }

    /// Whether the state should be written before its time.
    pub fn is_crowded(&self) -> bool {
        self.state.is_crowded()
    }

    /// Writes the state if `wanted` says so, when its turn has come, of whether there is something new.
    fn snapshot_if(&self, wanted: impl FnOnce(bool) -> bool) -> Result<u64, EventLogError> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let applied = self.order.still(|applied| applied);
        if !wanted(*written != Some(applied)) {
            return Ok(applied);
        }
        let offset = self.order.still(|applied| {
            self.state.part();
            applied
        });
        self.state.write(offset)?;
        *written = Some(offset);
        self.log.cover(offset);
        Ok(offset)
    }

    /// Whether an event may go into the log; its id is remembered only if so.
    fn admit(&self, raw: RawEvent, now_ms: i64) -> Result<Event, EventOutcome> {
        let event = validate(raw, Clock { now_ms, config: &self.config }).map_err(EventOutcome::Rejected)?;
        self.state.check(&event, &self.catalogue).map_err(|fault| EventOutcome::Rejected(fault.to_string()))?;
        if self.state.first_time(&event.user_id, &event.event_id) { Ok(event) } else { Err(EventOutcome::Duplicate) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SignalConfig, StateConfig};
    use crate::domain::{SessionId, UserId, bare_track};
    use crate::events::MemoryLog;
    use serde_json::json;
    use std::ops::Range;

    const NOW_MS: i64 = 1_767_225_600_000;

    struct Broken;

    impl EventLog for Broken {
        fn next_offset(&self) -> u64 {
            0
        }

        fn append(&self, _: &[Event]) -> Result<Range<u64>, EventLogError> {
            Err(EventLogError("disk full".into()))
        }

        fn forget(&self, _: &UserId) -> Result<Range<u64>, EventLogError> {
            Err(EventLogError("disk full".into()))
        }
    }

    fn ingest(log: Arc<dyn EventLog>) -> (Ingest, Arc<StateStore>) {
        let catalogue = Catalogue::new(vec![bare_track("t0", "a"), bare_track("t1", "b")]).unwrap();
        let vectors = ItemVectors::from_raw(vec![1.0, 0.0, 0.0, 1.0], 2).unwrap();
        let state = Arc::new(StateStore::new(&StateConfig::default(), &SignalConfig::default()));
        let parts = (Arc::clone(&state), Arc::new(catalogue), Arc::new(vectors));
        (Ingest::new(parts.0, log, parts.1, parts.2, EventsConfig::default()), state)
    }

    fn raw(id: &str, user: &str, track: &str, kind: &str) -> RawEvent {
        serde_json::from_value(json!({ "event_id": id, "user_id": user, "session_id": "s", "track_id": track,
            "type": kind, "played_ms": 5_000, "client_ts": "2026-01-01T00:00:00Z" }))
        .unwrap()
    }

    #[test]
    fn accepted_events_are_logged_and_seen_by_the_next_read() {
        let log = Arc::new(MemoryLog::new(2));
        let (ingest, state) = ingest(Arc::clone(&log) as _);
        let batch = vec![
            raw("e1", "u", "t0", "play_start"),
            raw("e2", "u", "t0", "skip"),
            raw("e2", "u", "t0", "skip"),
            raw("e3", "u", "t9", "skip"),
            raw("e4", "other", "t0", "skip"),
            raw("e5", "u", "t1", "play_start"),
        ];
        let outcomes = ingest.ingest(batch, NOW_MS).unwrap();
        assert_eq!(outcomes[..3], [EventOutcome::Accepted, EventOutcome::Accepted, EventOutcome::Duplicate]);
        assert!(matches!(&outcomes[3], EventOutcome::Rejected(why) if why.contains("no track \"t9\"")), "{outcomes:?}");
        assert!(matches!(&outcomes[4], EventOutcome::Rejected(why) if why.starts_with("session_id")), "{outcomes:?}");
        assert_eq!(outcomes[5], EventOutcome::Accepted);
        let session = state.session(&SessionId::new("s").unwrap(), NOW_MS);
        assert_eq!((session.skips, session.window.len()), (1, 1));
        assert!(session.current.is_some());
        assert_eq!(state.profile(&UserId::new("u").unwrap()).skips, 1);
        let newest: Vec<_> = log.newest(9).iter().map(|e| e.event_id.to_string()).collect();
        assert_eq!(newest.last().map(String::as_str), Some("e5"));
        assert_eq!(newest.len(), 2);
    }

    #[test]
    fn a_batch_counts_in_the_order_in_which_it_happened() {
        let log = Arc::new(MemoryLog::new(9));
        let (ingest, state) = ingest(Arc::clone(&log) as _);
        let at = |id: &str, track: &str, kind: &str, second: u8| RawEvent {
            client_ts: format!("2026-01-01T00:00:{second:02}Z"),
            played_ms: None,
            ..raw(id, "u", track, kind)
        };
        ingest.ingest(vec![at("e1", "t0", "play_start", 0)], NOW_MS).unwrap();
        let batch = vec![at("e2", "t1", "play_start", 2), at("e9", "t9", "skip", 1), at("e3", "t0", "skip", 1)];
        let outcomes = ingest.ingest(batch, NOW_MS).unwrap();
        assert_eq!([&outcomes[0], &outcomes[2]], [&EventOutcome::Accepted; 2]);
        assert!(matches!(&outcomes[1], EventOutcome::Rejected(why) if why.contains("t9")), "outcomes stand as sent");
        let session = state.session(&SessionId::new("s").unwrap(), NOW_MS);
        assert_eq!(
            (session.plays, session.skips, session.window[0].signal),
            (1, 1, -1.0),
            "one play of t0, skipped at 1 s"
        );
        assert_eq!(session.current.map(|play| play.track.0), Some(1));
        let logged: Vec<_> = log.newest(9).iter().map(|event| event.event_id.to_string()).collect();
        assert_eq!(logged, ["e1", "e3", "e2"]);
        ingest.forget(&UserId::new("u").unwrap()).unwrap();
        assert!(log.newest(9).is_empty(), "an erased listener is in no log");
    }

    #[test]
    fn listeners_may_use_the_same_event_id() {
        let (ingest, _) = ingest(Arc::new(MemoryLog::new(9)));
        let theirs = RawEvent { session_id: SessionId::new("s2").unwrap(), ..raw("e1", "v", "t0", "skip") };
        let batch = vec![raw("e1", "u", "t0", "skip"), theirs.clone(), theirs];
        let outcomes = ingest.ingest(batch, NOW_MS).unwrap();
        assert_eq!(outcomes, [EventOutcome::Accepted, EventOutcome::Accepted, EventOutcome::Duplicate]);
    }

    #[test]
    fn a_rejected_event_may_come_again_corrected() {
        let (ingest, _) = ingest(Arc::new(MemoryLog::new(9)));
        assert!(matches!(
            ingest.ingest(vec![raw("e1", "u", "t9", "skip")], NOW_MS).unwrap()[0],
            EventOutcome::Rejected(_)
        ));
        assert_eq!(ingest.ingest(vec![raw("e1", "u", "t0", "skip")], NOW_MS).unwrap()[0], EventOutcome::Accepted);
    }

    #[test]
    fn when_the_log_fails_nothing_counts() {
        let (ingest, state) = ingest(Arc::new(Broken));
        let fault = ingest.ingest(vec![raw("e1", "u", "t0", "skip")], NOW_MS).unwrap_err();
        assert_eq!(fault.to_string(), "the event log failed: disk full");
        assert_eq!(state.session(&SessionId::new("s").unwrap(), NOW_MS).plays, 0);
        let (user, id) = (UserId::new("u").unwrap(), crate::domain::EventId::new("e1").unwrap());
        assert!(state.first_time(&user, &id), "the id was given back");
        assert!(ingest.forget(&user).is_err(), "an erasure that failed says so");
    }
}
