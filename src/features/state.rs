//! Live state: sessions and profiles in memory, read without a lock, written in order per listener.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::{Applied, ApplyError, Reducer, session};
use crate::config::{SignalConfig, StateConfig};
use crate::domain::{Catalogue, Event, EventId, ItemVectors, SessionId, SessionState, TrackIx, UserId, UserProfile};

/// Writers' locks. One listener always falls on the same one, so a listener's events are applied one after another even
/// when the cache drops and re-makes an entry.
const STRIPES: usize = 1_024;

/// A session and whose it is; the owner never changes.
struct SessionEntry {
    owner: UserId,
    state: ArcSwap<SessionState>,
}

/// Sessions and profiles of the listeners this node serves.
///
/// Reads (`session`, `profile`) take no lock and return a snapshot that never changes. Writes take one lock, chosen by
/// listener, publish whole snapshots, and are visible to the next read. Beyond the configured sizes the least recently
/// used entry goes; a session untouched for the configured time is over.
pub struct StateStore {
    sessions: Cache<SessionId, Arc<SessionEntry>>,
    profiles: Cache<UserId, Arc<ArcSwap<UserProfile>>>,
    seen: Cache<EventId, ()>,
    stripes: Vec<Mutex<()>>,
    hasher: RandomState,
    signals: SignalConfig,
    no_session: Arc<SessionState>,
    no_profile: Arc<UserProfile>,
}

impl StateStore {
    /// An empty store.
    pub fn new(state: &StateConfig, signals: &SignalConfig) -> Self {
        let idle = Duration::from_secs(state.session_idle_min.saturating_mul(60));
        Self {
            // LRU, not moka's default: TinyLFU may turn a new entry away at once when the cache is full.
            sessions: Cache::builder()
                .max_capacity(state.max_sessions)
                .time_to_idle(idle)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            profiles: Cache::builder().max_capacity(state.max_profiles).eviction_policy(EvictionPolicy::lru()).build(),
            seen: Cache::builder().max_capacity(state.duplicate_window).eviction_policy(EvictionPolicy::lru()).build(),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            hasher: RandomState::new(),
            signals: signals.clone(),
            no_session: Arc::default(),
            no_profile: Arc::default(),
        }
    }

    /// How plays are graded here.
    pub fn signals(&self) -> &SignalConfig {
        &self.signals
    }

    /// A snapshot of a session; the empty session where there is none. No lock, no copy.
    pub fn session(&self, id: &SessionId) -> Arc<SessionState> {
        self.sessions.get(id).map_or_else(|| Arc::clone(&self.no_session), |entry| entry.state.load_full())
    }

    /// A snapshot of a listener's session; the empty session where there is none, `None` where it is another listener's.
    /// No lock, no copy.
    pub fn session_of(&self, id: &SessionId, user: &UserId) -> Option<Arc<SessionState>> {
        match self.sessions.get(id) {
            None => Some(Arc::clone(&self.no_session)),
            Some(entry) => (entry.owner == *user).then(|| entry.state.load_full()),
        }
    }

    /// A snapshot of a profile; the empty profile where there is none. No lock, no copy.
    pub fn profile(&self, id: &UserId) -> Arc<UserProfile> {
        self.profiles.get(id).map_or_else(|| Arc::clone(&self.no_profile), |entry| entry.load_full())
    }

    /// Checks what can be wrong with an event, changing nothing.
    ///
    /// # Errors
    /// As [`Reducer::check`].
    pub fn check(&self, event: &Event, catalogue: &Catalogue) -> Result<(), ApplyError> {
        let entry = self.sessions.get(&event.session_id);
        let owner = entry.as_deref().map(|entry| &entry.owner);
        Reducer { catalogue, vectors: None, config: &self.signals }.check(owner, event).map(|_| ())
    }

    /// Applies an event; the next read sees it. Copies session and profile once (tens of KB at most).
    ///
    /// # Errors
    /// As [`Reducer::apply`]; nothing has changed then.
    pub fn apply(&self, event: &Event, catalogue: &Catalogue, vectors: &ItemVectors) -> Result<Applied, ApplyError> {
        let _turn = self.turn_of(&event.user_id);
        self.check(event, catalogue)?;
        let entry = self.open(&event.session_id, &event.user_id).ok_or(ApplyError::OtherListener)?;
        let profile = self.profiles.get_with_by_ref(&event.user_id, Arc::default);
        let mut next_session = SessionState::clone(&entry.state.load());
        let mut next_profile = UserProfile::clone(&profile.load());
        let rules = Reducer { catalogue, vectors: Some(vectors), config: &self.signals };
        let applied = rules.apply(&mut next_session, &mut next_profile, event)?;
        profile.store(Arc::new(next_profile));
        entry.state.store(Arc::new(next_session));
        Ok(applied)
    }

    /// Remembers what was served to a listener's session, newest last, at most [`session::MAX_SERVED`] tracks. A session
    /// of another listener stays as it is.
    pub fn record_served(&self, id: &SessionId, user: &UserId, tracks: &[TrackIx]) {
        let _turn = self.turn_of(user);
        if let Some(entry) = self.open(id, user) {
            let mut next = SessionState::clone(&entry.state.load());
            session::record_served(&mut next, tracks);
            entry.state.store(Arc::new(next));
        }
    }

    /// Forgets a listener: profile and live sessions. Returns the number of sessions removed. Goes over all live sessions,
    /// `O(sessions)`; later events begin anew.
    pub fn erase(&self, user: &UserId) -> usize {
        let _turn = self.turn_of(user);
        self.profiles.invalidate(user);
        let theirs: Vec<_> = self.sessions.iter().filter(|(_, entry)| entry.owner == *user).map(|(id, _)| id).collect();
        theirs.iter().for_each(|id| self.sessions.invalidate(&**id));
        theirs.len()
    }

    /// Whether an event id has not been seen within the duplicate window; remembers it. Of several callers at once
    /// exactly one is told `true`.
    pub fn first_time(&self, id: &EventId) -> bool {
        self.seen.entry_by_ref(id).or_insert(()).is_fresh()
    }

    /// Takes an id out of the duplicate window: the event was not recorded after all and may be sent again.
    pub fn forget(&self, id: &EventId) {
        self.seen.invalidate(id);
    }

    /// Live sessions. Does the cache's housekeeping: for gauges, not for requests.
    pub fn session_count(&self) -> u64 {
        self.sessions.run_pending_tasks();
        self.sessions.entry_count()
    }

    /// Profiles held. Does the cache's housekeeping: for gauges, not for requests.
    pub fn profile_count(&self) -> u64 {
        self.profiles.run_pending_tasks();
        self.profiles.entry_count()
    }

    /// The listener's turn to write. Never taken while another turn is held.
    fn turn_of(&self, user: &UserId) -> MutexGuard<'_, ()> {
        let stripe = self.hasher.hash_one(user) as usize % STRIPES;
        // The lock guards no data of its own, and snapshots are published whole: a panicked writer leaves nothing torn.
        self.stripes[stripe].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The listener's session, made if there is none; `None` if it is another listener's.
    fn open(&self, id: &SessionId, user: &UserId) -> Option<Arc<SessionEntry>> {
        let make = || Arc::new(SessionEntry { owner: user.clone(), state: ArcSwap::default() });
        Some(self.sessions.get_with_by_ref(id, make)).filter(|entry| entry.owner == *user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EventType;
    use crate::features::testing::{catalogue, event, random_events, vectors};
    use proptest::prelude::*;

    fn store(state: StateConfig) -> StateStore {
        StateStore::new(&state, &SignalConfig::default())
    }

    fn session(id: &str) -> SessionId {
        SessionId::new(id).unwrap()
    }

    fn user(id: &str) -> UserId {
        UserId::new(id).unwrap()
    }

    #[test]
    fn the_next_read_sees_an_event_and_old_snapshots_stand() {
        let (store, catalogue, vectors) = (store(StateConfig::default()), catalogue(), vectors(12));
        let before = store.session(&session("s"));
        store.apply(&event("e", "u", "s", EventType::PlayEnd, Some("t1"), 1_000), &catalogue, &vectors).unwrap();
        assert_eq!((before.plays, store.session(&session("s")).plays, store.profile(&user("u")).plays), (0, 1, 1));
        assert_eq!((store.session_count(), store.profile_count()), (1, 1));
    }

    #[test]
    fn a_session_belongs_to_its_first_listener() {
        let (store, catalogue, vectors) = (store(StateConfig::default()), catalogue(), vectors(12));
        store.record_served(&session("s"), &user("u"), &[TrackIx(1)]);
        store.record_served(&session("s"), &user("thief"), &[TrackIx(2)]);
        assert_eq!(store.session(&session("s")).served, [TrackIx(1)]);
        let theirs = event("e", "thief", "s", EventType::Stop, Some("t1"), 1_000);
        assert_eq!(store.apply(&theirs, &catalogue, &vectors), Err(ApplyError::OtherListener));
        assert_eq!(store.check(&theirs, &catalogue), Err(ApplyError::OtherListener));
        assert_eq!(store.profile_count(), 0, "a refused event makes no profile");
    }

    #[test]
    fn erasure_takes_the_profile_and_every_session_of_the_listener() {
        let (store, catalogue, vectors) = (store(StateConfig::default()), catalogue(), vectors(12));
        for (who, which) in [("u", "s1"), ("u", "s2"), ("v", "s3")] {
            store.apply(&event("e", who, which, EventType::Stop, Some("t1"), 1_000), &catalogue, &vectors).unwrap();
        }
        assert_eq!(store.erase(&user("u")), 2);
        assert_eq!(*store.profile(&user("u")), UserProfile::default());
        assert_eq!(*store.session(&session("s1")), SessionState::default());
        assert_eq!((store.session(&session("s3")).plays, store.session_count(), store.profile_count()), (1, 1, 1));
    }

    #[test]
    fn sizes_are_bounded_and_the_newest_is_kept() {
        let bounds = StateConfig { max_sessions: 4, max_profiles: 3, duplicate_window: 2, ..StateConfig::default() };
        let (store, catalogue, vectors) = (store(bounds), catalogue(), vectors(12));
        for n in 0..20 {
            let (who, which) = (format!("u{n}"), format!("s{n}"));
            store.apply(&event("e", &who, &which, EventType::Stop, Some("t1"), 1_000), &catalogue, &vectors).unwrap();
            assert!(store.first_time(&EventId::new(&which).unwrap()));
            store.seen.run_pending_tasks();
            assert!(store.session_count() <= 4 && store.profile_count() <= 3 && store.seen.entry_count() <= 2);
            assert_eq!(store.session(&session(&which)).plays, 1, "the session just used is held");
        }
    }

    #[test]
    fn one_of_many_is_first() {
        let store = store(StateConfig::default());
        let id = EventId::new("e").unwrap();
        let firsts: usize = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| usize::from(store.first_time(&id)))).collect();
            asked.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(firsts, 1);
        store.forget(&id);
        assert!(store.first_time(&id));
    }

    #[test]
    fn no_event_is_lost_between_threads() {
        let (store, catalogue, vectors) = (store(StateConfig::default()), catalogue(), vectors(12));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (store, catalogue, vectors) = (&store, &catalogue, &vectors);
                scope.spawn(move || {
                    for n in 0..100 {
                        let which = format!("s{}", thread % 2);
                        let stop = event("e", "u", &which, EventType::Stop, Some("t1"), 1_000 + n);
                        store.apply(&stop, catalogue, vectors).unwrap();
                        store.record_served(&session(&which), &user("u"), &[TrackIx(1)]);
                    }
                });
            }
        });
        assert_eq!(store.profile(&user("u")).plays, 400);
        for which in ["s0", "s1"] {
            let state = store.session(&session(which));
            assert_eq!((state.plays, state.served.len()), (200, 200));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn equals_the_plain_reducer(events in random_events(60)) {
            let (store, catalogue, vectors) = (store(StateConfig::default()), catalogue(), vectors(12));
            let config = SignalConfig::default();
            let rules = Reducer { catalogue: &catalogue, vectors: Some(&vectors), config: &config };
            let (mut plain_session, mut plain_profile) = (SessionState::default(), UserProfile::default());
            for event in &events {
                let applied = store.apply(event, &catalogue, &vectors);
                prop_assert_eq!(applied, rules.apply(&mut plain_session, &mut plain_profile, event));
                prop_assert_eq!(&*store.session(&session("s")), &plain_session);
                prop_assert_eq!(&*store.profile(&user("u")), &plain_profile);
            }
        }
    }
}
