//! Live state: sessions and profiles in memory, read without a lock, written in order per listener.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::owners::Owners;
use super::touched::{Ids, Touched};
use super::turns::Turns;
use super::{Applied, ApplyError, Reducer, bytes, lifetime};
use crate::config::{SignalConfig, StateConfig};
use crate::domain::{Catalogue, Event, EventId, ItemVectors, SessionId, SessionState, TrackIx, UserId, UserProfile};

/// How many times `session_idle_min` a session that nobody reads or writes stays in memory, by the clock. That is
/// housekeeping: whether it is over, event time decides.
const KEPT_IDLE_TIMES: u32 = 48;

/// A snapshot of a session and whose it is; the owner of an id stays the same while it is held.
#[derive(Clone)]
struct Held {
    owner: UserId,
    state: Arc<SessionState>,
}

/// What a store holds.
#[derive(Debug, Clone, Default)]
pub struct Dump {
    /// Sessions with their ids and listeners.
    pub sessions: Vec<(SessionId, UserId, Arc<SessionState>)>,
    /// Profiles with their listeners.
    pub profiles: Vec<(UserId, Arc<UserProfile>)>,
}

/// What changed while a dump was listed.
#[derive(Debug, Clone)]
pub struct Changed {
    ids: Ids,
    now: Dump,
}

impl Dump {
    /// Puts what changed in the place of what was listed.
    pub fn with(mut self, changed: Changed) -> Self {
        self.sessions.retain(|(id, ..)| !changed.ids.sessions.contains(id));
        self.profiles.retain(|(id, _)| !changed.ids.users.contains(id));
        self.sessions.extend(changed.now.sessions);
        self.profiles.extend(changed.now.profiles);
        self
    }
}

/// Sessions and profiles of the listeners this node serves.
///
/// Reads (`session`, `profile`) take no lock and return a snapshot that never changes. Writes take two locks, by listener
/// and then by session, publish whole snapshots, and are visible to the next read. Beyond the configured bytes the least
/// recently used entry goes. A session without an event for `state.session_idle_min` of event time is over, so that a replay
/// of the events ends in the same state.
pub struct StateStore {
    sessions: Cache<SessionId, Held>,
    profiles: Cache<UserId, Arc<UserProfile>>,
    owners: Arc<Owners>,
    seen: Cache<u128, ()>,
    seen_hashers: [RandomState; 2],
    touched: Touched,
    listeners_turns: Turns,
    sessions_turns: Turns,
    signals: SignalConfig,
    idle_ms: i64,
    lateness_ms: i64,
    no_session: Arc<SessionState>,
    no_profile: Arc<UserProfile>,
}

impl StateStore {
    /// An empty store.
    pub fn new(state: &StateConfig, signals: &SignalConfig) -> Self {
        let idle = Duration::from_secs(state.session_idle_min.saturating_mul(60));
        let owners = Arc::new(Owners::default());
        let index = Arc::clone(&owners);
        let dropped = move |id: Arc<SessionId>, held: Held, cause| {
            if cause != RemovalCause::Replaced {
                index.remove(&held.owner, &id);
            }
        };
        Self {
            // LRU, not moka's default: TinyLFU may turn a new entry away at once when the cache is full.
            sessions: Cache::builder()
                .max_capacity(state.sessions_mib.saturating_mul(1 << 20))
                .weigher(|id, held: &Held| bytes::weight(bytes::of_session(id, &held.owner, &held.state)))
                .time_to_idle(idle.saturating_mul(KEPT_IDLE_TIMES))
                .eviction_policy(EvictionPolicy::lru())
                .eviction_listener(dropped)
                .build(),
            profiles: Cache::builder()
                .max_capacity(state.profiles_mib.saturating_mul(1 << 20))
                .weigher(|id, profile: &Arc<UserProfile>| bytes::weight(bytes::of_profile(id, profile)))
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            owners,
            seen: Cache::builder().max_capacity(state.duplicate_window).eviction_policy(EvictionPolicy::lru()).build(),
            seen_hashers: [RandomState::new(), RandomState::new()],
            touched: Touched::default(),
            listeners_turns: Turns::new(),
            sessions_turns: Turns::new(),
            signals: signals.clone(),
            idle_ms: i64::try_from(idle.as_millis()).unwrap_or(i64::MAX),
            lateness_ms: i64::try_from(state.allowed_lateness_s).unwrap_or(i64::MAX).saturating_mul(1_000),
            no_session: Arc::default(),
            no_profile: Arc::default(),
        }
    }

    /// How plays are graded here.
    pub fn signals(&self) -> &SignalConfig {
        &self.signals
    }

    /// A snapshot of a session as it stands at `now_ms`; the empty session where there is none or it is over. No lock; a
    /// copy only of the answers that outlive a session.
    pub fn session(&self, id: &SessionId, now_ms: i64) -> Arc<SessionState> {
        self.sessions.get(id).map_or_else(|| Arc::clone(&self.no_session), |held| self.at(held, now_ms))
    }

    /// As [`StateStore::session`], for one listener: `None` where the session is another listener's.
    pub fn session_of(&self, id: &SessionId, user: &UserId, now_ms: i64) -> Option<Arc<SessionState>> {
        match self.sessions.get(id) {
            None => Some(Arc::clone(&self.no_session)),
            Some(held) => (held.owner == *user).then(|| self.at(held, now_ms)),
        }
    }

    /// A snapshot of a profile; the empty profile where there is none. No lock, no copy.
    pub fn profile(&self, id: &UserId) -> Arc<UserProfile> {
        self.profiles.get(id).unwrap_or_else(|| Arc::clone(&self.no_profile))
    }

    /// Checks what can be wrong with an event, changing nothing.
    ///
    /// # Errors
    /// As [`Reducer::check`].
    pub fn check(&self, event: &Event, catalogue: &Catalogue) -> Result<(), ApplyError> {
        let held = self.sessions.get(&event.session_id);
        let owner = held.as_ref().map(|held| &held.owner);
        Reducer { catalogue, vectors: None, config: &self.signals }.check(owner, event).map(|_| ())
    }

    /// Applies an event; the next read sees it. An event of a session that is over begins the session anew. One that is
    /// more than `state.allowed_lateness_s` older than its listener's newest, and older than what its session has seen,
    /// counts in the profile and leaves the session as it is. Copies session and profile once (tens of KB at most).
    ///
    /// # Errors
    /// As [`Reducer::apply`]; nothing has changed then.
    pub fn apply(&self, event: &Event, catalogue: &Catalogue, vectors: &ItemVectors) -> Result<Applied, ApplyError> {
        let _turns = self.turns(&event.user_id, &event.session_id);
        let held = self.sessions.get(&event.session_id);
        let rules = Reducer { catalogue, vectors: Some(vectors), config: &self.signals };
        rules.check(held.as_ref().map(|held| &held.owner), event)?;
        let mut profile = UserProfile::clone(&self.profile(&event.user_id));
        let late = profile.last_ms.saturating_sub(event.ts_ms) > self.lateness_ms;
        let behind = late && held.as_ref().is_some_and(|held| event.ts_ms < held.state.last_ms);
        let mut session = match held {
            Some(held) if !behind => self.begun(&held.state, event.ts_ms),
            Some(_) | None => SessionState::default(),
        };
        let applied = rules.apply(&mut session, &mut profile, event)?;
        self.touched.around(&event.user_id, Some(&event.session_id), || {
            self.profiles.insert(event.user_id.clone(), Arc::new(profile));
            if !behind {
                self.publish(&event.session_id, &event.user_id, session);
            }
        });
        Ok(Applied { late, ..applied })
    }

    /// Remembers what was served to a listener's session at `now_ms`, newest last, at most [`lifetime::MAX_SERVED`] tracks.
    /// A session of another listener stays as it is.
    pub fn record_served(&self, id: &SessionId, user: &UserId, tracks: &[TrackIx], now_ms: i64) {
        let _turns = self.turns(user, id);
        let held = self.sessions.get(id);
        if held.as_ref().is_none_or(|held| held.owner == *user) {
            let mut session = held.map_or_else(SessionState::default, |held| SessionState::clone(&held.state));
            lifetime::record_served(&mut session, tracks, now_ms, self.idle_ms);
            self.touched.around(user, Some(id), || self.publish(id, user, session));
        }
    }

    /// Forgets a listener: profile and sessions. Returns the number of sessions removed. `O(own sessions)`; later events
    /// begin anew.
    pub fn erase(&self, user: &UserId) -> usize {
        let _turn = self.listeners_turns.of(user);
        self.touched.around(user, None, || self.profiles.invalidate(user));
        let mut removed = 0;
        for id in self.owners.of(user) {
            let _turn = self.sessions_turns.of(&id);
            self.touched.around(user, Some(&id), || {
                if self.sessions.get(&id).is_none_or(|held| held.owner == *user) {
                    removed += usize::from(self.sessions.contains_key(&id));
                    self.sessions.invalidate(&id);
                }
            });
            self.owners.remove(user, &id);
        }
        removed
    }

    /// Whether a listener's event id has not been seen within the duplicate window; remembers it. Of several callers at
    /// once exactly one is told `true`. Ids of different listeners never meet.
    pub fn first_time(&self, user: &UserId, id: &EventId) -> bool {
        // `or_insert` would look and then insert, so that two callers could both be first; this one makes the others wait.
        self.seen.entry(self.fingerprint(user, id)).or_insert_with(|| ()).is_fresh()
    }

    /// Takes an id out of the duplicate window: the event was not recorded after all and may be sent again.
    pub fn forget(&self, user: &UserId, id: &EventId) {
        self.seen.invalidate(&self.fingerprint(user, id));
    }

    /// Begins a dump and lists what is held, in no order, as shared snapshots, while events may go on. `O(sessions +
    /// profiles)`, without copying one. One caller at a time.
    pub fn begin_dump(&self) -> Dump {
        self.touched.start();
        Dump {
            sessions: self.sessions.iter().map(|(id, held)| (SessionId::clone(&id), held.owner, held.state)).collect(),
            profiles: self.profiles.iter().map(|(id, profile)| (UserId::clone(&id), profile)).collect(),
        }
    }

    /// Ends a dump: what has changed since it began, as it is now. Called while no event is applied, both together are the
    /// state of this moment. `O(changed)`.
    pub fn changed(&self) -> Changed {
        let ids = self.touched.take();
        let session = |id: &SessionId| self.sessions.get(id).map(|held| (id.clone(), held.owner, held.state));
        let profile = |id: &UserId| self.profiles.get(id).map(|profile| (id.clone(), profile));
        let now = Dump {
            sessions: ids.sessions.iter().filter_map(session).collect(),
            profiles: ids.users.iter().filter_map(profile).collect(),
        };
        Changed { ids, now }
    }

    /// Puts a session back as it was dumped. For a store that no event has reached yet.
    pub fn restore_session(&self, id: &SessionId, owner: &UserId, session: SessionState) {
        let _turns = self.turns(owner, id);
        self.publish(id, owner, session);
    }

    /// Puts a profile back as it was dumped. For a store that no event has reached yet.
    pub fn restore_profile(&self, id: UserId, profile: UserProfile) {
        self.profiles.insert(id, Arc::new(profile));
    }

    /// Sessions held. Does the cache's housekeeping: for gauges, not for requests.
    pub fn session_count(&self) -> u64 {
        self.sessions.run_pending_tasks();
        self.sessions.entry_count()
    }

    /// Profiles held. Does the cache's housekeeping: for gauges, not for requests.
    pub fn profile_count(&self) -> u64 {
        self.profiles.run_pending_tasks();
        self.profiles.entry_count()
    }

    /// The turns to write a listener's session, always taken in this order. Neither is ever taken while an entry of the
    /// index is held.
    fn turns(&self, user: &UserId, session: &SessionId) -> (MutexGuard<'_, ()>, MutexGuard<'_, ()>) {
        (self.listeners_turns.of(user), self.sessions_turns.of(session))
    }

    /// What a session shows at a moment.
    fn at(&self, held: Held, now_ms: i64) -> Arc<SessionState> {
        match lifetime::remains(&held.state, now_ms, self.idle_ms) {
            None => held.state,
            Some(rest) if rest.served.is_empty() => Arc::clone(&self.no_session),
            Some(rest) => Arc::new(rest),
        }
    }

    /// A copy of a session for an event to change, begun anew where it is over.
    fn begun(&self, session: &SessionState, ts_ms: i64) -> SessionState {
        lifetime::remains(session, ts_ms, self.idle_ms).unwrap_or_else(|| session.clone())
    }

    /// Makes a snapshot the one that is read. The caller holds both turns. The index is written after the cache, whose
    /// removals up to here have by then all been told to the index, and is corrected if the entry went in between.
    fn publish(&self, id: &SessionId, user: &UserId, session: SessionState) {
        self.sessions.insert(id.clone(), Held { owner: user.clone(), state: Arc::new(session) });
        self.owners.add(user, id);
        if !self.sessions.contains_key(id) {
            self.owners.remove(user, id);
        }
    }

    /// 128 bits under keys of this process: of fixed size, and nothing in it tells whose event it was.
    fn fingerprint(&self, user: &UserId, id: &EventId) -> u128 {
        let [high, low] = self.seen_hashers.each_ref().map(|hasher| u128::from(hasher.hash_one((user, id))));
        high << 64 | low
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
