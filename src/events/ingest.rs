//! From a client's batch to the live state: each event gets one outcome, and what is accepted counts from the next
//! request on.

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::Instant;

use super::in_flight::InFlight;
use super::order::Order;
use super::validate::{Clock, validate};
use super::{
    Absorbed, Batch, Beside, EventLog, EventLogError, Foreign, Letter, LiveState, Malformed, Notes, Origin, Position,
    RawEvent, Replayed,
};
use crate::config::EventsConfig;
use crate::domain::{Catalogue, Event, EventType, ItemVectors, TrackId, UserId};
use crate::features::{StateStore, is_terminal};
use crate::security::Signer;

/// Records of this node that a stream may pass over before their position is noted: in between, a restart reads them again.
const OWN_PASSED: u64 = 4_096;

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
    /// Held to read by whoever takes events in, from the check of an event until it is applied.
    live: RwLock<LiveState>,
    besides: Mutex<Vec<Weak<Beside>>>,
    log: Arc<dyn EventLog>,
    config: EventsConfig,
    in_flight: InFlight,
    order: Order,
    /// The offset that the state on disk is of, once this process has written it. Locked before `live`.
    written: Mutex<Option<u64>>,
    notes: Arc<Notes>,
    signer: Option<Signer>,
}

impl Ingest {
    /// Wires the parts. The state holds all that is in the log.
    pub fn new(
        state: Arc<StateStore>,
        log: Arc<dyn EventLog>,
        catalogue: Arc<Catalogue>,
        vectors: Arc<ItemVectors>,
        config: EventsConfig,
        notes: Arc<Notes>,
    ) -> Self {
        let order = Order::new(log.next_offset());
        let (in_flight, written, besides) = Default::default();
        let live = RwLock::new(LiveState { state, catalogue, vectors });
        Self { live, besides, log, config, in_flight, order, written, notes, signer: None }
    }

    /// From now on an event keeps its `recommendation_id`, without the proof, only if that is proven.
    pub fn proven_by(self, signer: Option<Signer>) -> Self {
        Self { signer, ..self }
    }

    /// Takes a batch at server time `now_ms`: validates, drops duplicates, appends to the log and applies in order of
    /// event time (ties: as sent), for clients batch what they did as it suits them. One outcome an event, as sent; what
    /// is refused goes to the dead letters. Waits for the log, for the same events that are on their way in, for the batches
    /// before it in the log, and for the state to be written where memory has no room for more of it. What the batch needs
    /// from disk is read before its turn.
    ///
    /// # Errors
    /// The log's or the disk's: then nothing of the batch counts, and it may be sent again.
    pub fn ingest(&self, batch: impl Into<Batch>, now_ms: i64) -> Result<Vec<EventOutcome>, EventLogError> {
        self.make_room()?;
        let Batch { events, sent_at_ms } = batch.into();
        let clock = Clock::new(now_ms, sent_at_ms, &self.config);
        let live = self.live();
        let known = events.iter().flatten();
        let _claim = self.in_flight.claim(known.map(|raw| (raw.user_id.clone(), raw.event_id.clone())).collect());
        let mut outcomes = Vec::with_capacity(events.len());
        let (mut admitted, mut letters) = (Vec::with_capacity(events.len()), Vec::new());
        for (place, sent) in events.into_iter().enumerate() {
            let outcome = match sent {
                Ok(raw) => match self.admit(&live, &raw, clock) {
                    Ok(event) => {
                        admitted.push((place, event));
                        EventOutcome::Accepted
                    }
                    Err(outcome) => {
                        if let EventOutcome::Rejected(reason) = &outcome {
                            letters.push(letter(&raw, (Origin::Request, place as u64), reason, clock.shift_ms()));
                        }
                        outcome
                    }
                },
                Err(Malformed { body, listener, reason }) => {
                    let (origin, place, shift_ms) = (Origin::Request, place as u64, clock.shift_ms());
                    letters.push(Letter { origin, place, listener, reason: reason.clone(), body, shift_ms });
                    EventOutcome::Rejected(reason)
                }
            };
            outcomes.push(outcome);
        }
        admitted.sort_by_key(|(_, event)| event.ts_ms);
        let (places, accepted): (Vec<usize>, Vec<Event>) = admitted.into_iter().unzip();
        if !accepted.is_empty() {
            for (place, reason, letter) in self.store(&live, &accepted, None, now_ms)? {
                outcomes[places[place]] = EventOutcome::Rejected(reason);
                letters.push(letter);
            }
        }
        let corrected = if clock.shift_ms() == 0 { 0 } else { accepted.len() };
        self.notes.metrics().clock_corrected.inc_by(corrected as u64);
        self.notes.refused(&letters, now_ms);
        Ok(outcomes)
    }

    /// Appends events that came at `now_ms` to the log and applies them in its order. Returns those that the state refused: their place, why,
    /// and the dead letter.
    fn store(
        &self,
        live: &LiveState,
        events: &[Event],
        from: Option<&Position>,
        now_ms: i64,
    ) -> Result<Vec<(usize, String, Letter)>, EventLogError> {
        let LiveState { state, catalogue, vectors } = live;
        let begun = Instant::now();
        let offsets = self.log.take_in(events, from).inspect_err(|_| {
            events.iter().for_each(|event| state.forget(&event.user_id, &event.event_id));
        })?;
        let _turn = self.order.turn(offsets.clone());
        let origin = if from.is_some() { "stream" } else { "request" };
        let lag = self.notes.metrics().lag.with_label_values(&[origin]);
        let mut refused = Vec::new();
        for (place, (event, at)) in events.iter().zip(offsets).enumerate() {
            match state.apply(event, catalogue, vectors) {
                Ok(applied) => {
                    self.notes.metrics().late.inc_by(u64::from(applied.late));
                    let since = now_ms.saturating_sub(event.ts_ms).max(0) as f64 / 1_000.0;
                    lag.observe(since + begun.elapsed().as_secs_f64());
                }
                Err(fault) => {
                    // Only a batch that contradicts itself comes here: two listeners in one session.
                    state.forget(&event.user_id, &event.event_id);
                    let reason = fault.to_string();
                    let letter = letter(&RawEvent::from(event), (Origin::Log, at), &reason, 0);
                    refused.push((place, reason, letter));
                }
            }
        }
        Ok(refused)
    }

    /// Forgets a listener: dead letters, logged events, profile and sessions, in memory and on disk. Returns the number of
    /// sessions and dead letters that were kept. Writes the state.
    ///
    /// # Errors
    /// The log's or the disk's: something may still be held. It may be tried again.
    pub fn forget(&self, user: &UserId) -> Result<usize, EventLogError> {
        self.erase(user, None)
    }

    fn erase(&self, user: &UserId, from: Option<&Position>) -> Result<usize, EventLogError> {
        let letters = self.notes.forget(user)?;
        let live = self.live();
        let offsets = self.log.erase(user, from)?;
        let turn = self.order.turn(offsets);
        let sessions = live.state.erase(user)?;
        drop((turn, live));
        self.snapshot_if(|_| true)?;
        // What these read of the log from now on has nothing of the listener. Last, for the state that was live until here may
        // be one of them by now.
        self.besides().iter().try_for_each(|beside| beside.forget(user))?;
        Ok(sessions + letters)
    }

    /// Writes the state where memory has no room for more of it.
    fn make_room(&self) -> Result<(), EventLogError> {
        let is_full = || self.live().state.is_full();
        if is_full() {
            self.snapshot_if(|_| is_full())?;
        }
        Ok(())
    }

    /// Takes in what other nodes logged, as it stood in a stream up to `position`; offsets of records rise. Known events
    /// are dropped; one that the state refuses is in the log all the same, for it counted where it came from, and may
    /// with the next bundle. Record and position become durable together. `now_ms` is the server's clock.
    ///
    /// # Errors
    /// The log's: nothing from some record on counts, and all of it may be taken again.
    pub fn absorb(
        &self,
        position: &Position,
        records: Vec<(u64, Foreign)>,
        now_ms: i64,
    ) -> Result<Absorbed, EventLogError> {
        self.make_room()?;
        let (mut done, mut run, mut letters) = (Absorbed::default(), Vec::new(), Vec::new());
        let first = records.first().map_or(position.next, |(at, _)| *at);
        let mut own = true;
        for (at, record) in records {
            own &= record == Foreign::Own;
            match record {
                Foreign::Event(event) => run.push(event),
                Foreign::Own => {}
                Foreign::Erase(user) => {
                    let before = Position { next: at, ..position.clone() };
                    self.absorb_run((&before, now_ms), std::mem::take(&mut run), &mut done, &mut letters)?;
                    self.erase(&user, Some(&Position { next: at + 1, ..before }))?;
                }
                Foreign::Poison { body, reason } => {
                    let (origin, listener, shift_ms) = (Origin::Stream, None, 0);
                    letters.push(Letter { origin, place: at, listener, reason, body, shift_ms });
                }
            }
        }
        // What came from here and is known to be here needs no commit: it is passed over again after a restart.
        if !own || first / OWN_PASSED != position.next / OWN_PASSED {
            self.absorb_run((position, now_ms), run, &mut done, &mut letters)?;
        }
        self.notes.refused(&letters, now_ms);
        Ok(done)
    }

    /// Takes in events between two erasures.
    fn absorb_run(
        &self,
        (position, now_ms): (&Position, i64),
        events: Vec<Event>,
        done: &mut Absorbed,
        letters: &mut Vec<Letter>,
    ) -> Result<(), EventLogError> {
        let live = self.live();
        let keys = events.iter().map(|event| (event.user_id.clone(), event.event_id.clone())).collect();
        let _claim = self.in_flight.claim(keys);
        let came = events.len();
        let fresh = |event: &Event| live.state.first_time(&event.user_id, &event.event_id);
        let new: Vec<Event> = events.into_iter().filter(fresh).collect();
        done.repeated += (came - new.len()) as u64;
        done.events += new.len() as u64;
        letters.extend(self.store(&live, &new, Some(position), now_ms)?.into_iter().map(|(.., letter)| letter));
        Ok(())
    }

    /// Writes the state to the disk beside the log, unless it is there; returns the offset that it is of. Events go on
    /// meanwhile: they wait for under a millisecond.
    ///
    /// # Errors
    /// The disk's: it is as it was.
    pub fn snapshot(&self) -> Result<u64, EventLogError> {
        self.snapshot_if(|is_new| is_new || self.is_crowded())
    }

    /// Whether the state should be written before its time.
    pub fn is_crowded(&self) -> bool {
        self.live().state.is_crowded()
    }

    /// What events change now.
    fn live(&self) -> RwLockReadGuard<'_, LiveState> {
        self.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to keep a state beside the live one, which holds what the log has below `next`. While it lives it forgets whom
    /// the live one forgets.
    pub fn beside(&self, live: LiveState, next: u64) -> Arc<Beside> {
        let beside = Arc::new(Beside::new(live, next));
        let mut besides = self.besides.lock().unwrap_or_else(PoisonError::into_inner);
        besides.retain(|other| other.strong_count() > 0);
        besides.push(Arc::downgrade(&beside));
        beside
    }

    fn besides(&self) -> Vec<Arc<Beside>> {
        self.besides.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }

    /// Brings a state beside the live one up to what the log holds now. Events go on meanwhile.
    ///
    /// # Errors
    /// The log's or the disk's.
    pub fn catch_up(&self, beside: &Beside) -> Result<Replayed, EventLogError> {
        beside.catch_up(&*self.log, &self.notes, self.order.still(|applied| applied))
    }

    /// Lets events change another state from the next batch on. While none is on its way the one `beside` is brought up to
    /// the log and written, and `commit` makes it count; absent, `to` has the state that events change now. Returns what they
    /// changed until then, where that is another state. Batches wait for it: for little, where [`Ingest::catch_up`] came
    /// just before.
    ///
    /// # Errors
    /// The log's, the disk's, or what `commit` returns: nothing has changed.
    pub fn switch<E: From<EventLogError>>(
        &self,
        to: LiveState,
        beside: Option<&Beside>,
        commit: impl FnOnce() -> Result<(), E>,
    ) -> Result<Option<Arc<Beside>>, E> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        let applied = self.order.still(|applied| applied);
        if let Some(beside) = beside {
            beside.catch_up(&*self.log, &self.notes, applied)?;
            beside.write()?;
        }
        commit()?;
        let before = std::mem::replace(&mut *live, to);
        if beside.is_none() {
            return Ok(None);
        }
        *written = Some(applied);
        self.log.cover(applied);
        Ok(Some(self.beside(before, applied)))
    }

    /// Writes the state if `wanted` says so, when its turn has come, of whether there is something new.
    fn snapshot_if(&self, wanted: impl FnOnce(bool) -> bool) -> Result<u64, EventLogError> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let applied = self.order.still(|applied| applied);
        if !wanted(*written != Some(applied)) {
            return Ok(applied);
        }
        // Not held while it is written: whoever changes the state that is live waits for `written`.
        let state = Arc::clone(&self.live().state);
        let offset = self.order.still(|applied| {
            state.part();
            applied
        });
        state.write(offset)?;
        *written = Some(offset);
        self.log.cover(offset);
        Ok(offset)
    }

    /// Whether an event may go into the log; its id is remembered only if so.
    fn admit(&self, live: &LiveState, raw: &RawEvent, clock: Clock<'_>) -> Result<Event, EventOutcome> {
        self.notes.sample(raw);
        let event = self.prove(validate(raw, clock).map_err(EventOutcome::Rejected)?);
        live.state.check(&event, &live.catalogue).map_err(|fault| EventOutcome::Rejected(fault.to_string()))?;
        if live.state.first_time(&event.user_id, &event.event_id) { Ok(event) } else { Err(EventOutcome::Duplicate) }
    }

    /// Leaves an event the id of its answer only if that is proven; so the state, without a secret, can go by it in a replay.
    fn prove(&self, mut event: Event) -> Event {
        let Some(signer) = &self.signer else { return event };
        let track = event.track_id.as_ref().map_or("", TrackId::as_str);
        let proven = signer.check(event.recommendation_id.as_ref(), &event.user_id, track, event.ts_ms);
        if let Err(why) = proven
            && (is_terminal(event.kind) || event.kind == EventType::Impression)
        {
            self.notes.metrics().unproven.with_label_values(&[why.as_str()]).inc();
        }
        event.recommendation_id = proven.ok();
        event
    }
}

/// A refused event as a dead letter.
pub(super) fn letter(raw: &RawEvent, (origin, place): (Origin, u64), reason: &str, shift_ms: i64) -> Letter {
    // Structs of strings and numbers can always be written.
    let body = serde_json::to_string(raw).unwrap_or_default();
    Letter { origin, place, listener: Some(raw.user_id.clone()), reason: reason.to_owned(), body, shift_ms }
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
        fn read(&self, _: u64, _: usize) -> Result<crate::events::Step, EventLogError> {
            Err(EventLogError("disk full".into()))
        }

        fn next_offset(&self) -> u64 {
            0
        }

        fn take_in(&self, _: &[Event], _: Option<&Position>) -> Result<Range<u64>, EventLogError> {
            Err(EventLogError("disk full".into()))
        }

        fn erase(&self, _: &UserId, _: Option<&Position>) -> Result<Range<u64>, EventLogError> {
            Err(EventLogError("disk full".into()))
        }
    }

    fn ingest(log: Arc<dyn EventLog>) -> (Ingest, Arc<StateStore>) {
        let catalogue = Catalogue::new(vec![bare_track("t0", "a"), bare_track("t1", "b")]).unwrap();
        let vectors = ItemVectors::from_raw(vec![1.0, 0.0, 0.0, 1.0], 2).unwrap();
        let state = Arc::new(StateStore::new(&StateConfig::default(), &SignalConfig::default()));
        let parts = (Arc::clone(&state), Arc::new(catalogue), Arc::new(vectors));
        let config = EventsConfig { store: crate::config::EventStore::Memory, ..EventsConfig::default() };
        let notes = Notes::open(&config, crate::metrics::Metrics::new().unwrap().events).unwrap();
        (Ingest::new(parts.0, log, parts.1, parts.2, config, Arc::new(notes)), state)
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
