//! From a client's batch to the live state: each event gets one outcome, and what is accepted counts from the next
//! request on.

use std::sync::{Arc, Mutex, PoisonError};

use super::in_flight::InFlight;
use super::order::Order;
use super::validate::{Clock, validate};
use super::{EventLog, EventLogError, RawEvent, snapshot};
use crate::config::EventsConfig;
use crate::domain::{Catalogue, Event, ItemVectors, UserId};
use crate::features::{Dump, StateStore};

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
    snapshots: Mutex<()>,
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
        let (in_flight, snapshots) = (InFlight::default(), Mutex::default());
        Self { state, log, catalogue, vectors, config, in_flight, order, snapshots }
    }

    /// Takes a batch at server time `now_ms`: validates, drops duplicates, appends to the log and applies in order of
    /// event time (ties: as sent), for clients batch what they did as it suits them. One outcome an event, as sent. Waits
    /// for the log, for the same events that are on their way in, and for the batches before it in the log.
    ///
    /// # Errors
    /// The log's: then nothing of the batch counts, and it may be sent again.
    pub fn ingest(&self, batch: Vec<RawEvent>, now_ms: i64) -> Result<Vec<EventOutcome>, EventLogError> {
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

    /// Forgets a listener: logged events, profile and sessions. Returns the number of sessions that were held.
    ///
    /// # Errors
    /// The log's: it may still hold something, and the state is as it was. It may be tried again.
    pub fn forget(&self, user: &UserId) -> Result<usize, EventLogError> {
        let offsets = self.log.forget(user)?;
        let _turn = self.order.turn(offsets);
        Ok(self.state.erase(user))
    }

    /// Writes what the state holds into a snapshot beside the log, unless the one up to `known` says it already; returns
    /// its offset. Events go on meanwhile: they wait only while what changed during the listing is looked at again.
    ///
    /// # Errors
    /// The disk's: the snapshot before it stands.
    pub fn snapshot(&self, bundle: &str, known: u64) -> Result<u64, EventLogError> {
        let _one = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        if self.order.still(|applied| applied) == known {
            return Ok(known);
        }
        let (offset, dump) = self.dump();
        snapshot::write(&self.config.data_dir, offset, bundle, &dump)?;
        self.log.cover(offset);
        Ok(offset)
    }

    /// The state as it was at one moment, and the offset up to which the log is in it.
    pub(super) fn dump(&self) -> (u64, Dump) {
        let listed = self.state.begin_dump();
        let (offset, changed) = self.order.still(|applied| (applied, self.state.changed()));
        (offset, listed.with(changed))
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
