//! Live state: sessions and profiles in memory and on disk, changed in order per listener.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::completion::Completions;
use super::kept::{HOUR_MS, Kept, Owned};
use super::layers::Layers;
use super::seen::Seen;
use super::{Applied, ApplyError, Reducer, feedback, lifetime};
use crate::config::{SignalConfig, StateConfig};
use crate::domain::{
    Catalogue, Event, EventId, EventType, ItemVectors, SessionId, SessionState, TrackIx, UserId, UserProfile,
};
use crate::vault::{Vault, VaultError};

/// How many times `session_idle_min` a session without an event stays on disk, by the events' time. That is housekeeping:
/// whether it is over, [`lifetime`] decides.
const KEPT_IDLE_TIMES: i64 = 48;

/// How a store fares, since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateFigures {
    /// Sessions and profiles looked for on disk.
    pub disk_reads: u64,
    /// Rows and files of the disk that were not as they were written.
    pub damaged: u64,
    /// Sessions and profiles that memory had no room for and no disk holds.
    pub lost: u64,
    /// Bytes of sessions and profiles that the disk does not hold yet.
    pub changed_bytes: u64,
}

/// Sessions and profiles of the listeners this node serves.
///
/// Reads (`session`, `profile`) return a snapshot that never changes: a writer who finds one handed out changes a copy.
/// Writes lock the listener and then the session, and are visible to the next read. Memory is bounded by the configured
/// bytes; what it has no room for is on disk, where there is one. A session without an event for `state.session_idle_min`
/// of event time is over, so that a replay of the events ends in the same state. It leaves nothing that would have to be
/// taken over then: every event goes into session and profile at once.
pub struct StateStore {
    sessions: Layers<Owned>,
    profiles: Layers<Arc<UserProfile>>,
    vault: Arc<OnceLock<Vault>>,
    completions: Completions,
    seen: Seen,
    newest_ms: AtomicI64,
    signals: SignalConfig,
    idle_ms: i64,
    lateness_ms: i64,
    no_session: Arc<SessionState>,
    no_profile: Arc<UserProfile>,
}

impl StateStore {
    /// An empty store in memory alone.
    pub fn new(state: &StateConfig, signals: &SignalConfig) -> Self {
        let bytes = |mib: u64| usize::try_from(mib.saturating_mul(1 << 20)).unwrap_or(usize::MAX);
        Self::sized(bytes(state.sessions_mib), bytes(state.profiles_mib), state, signals)
    }

    /// As [`StateStore::new`], with memory in bytes.
    pub(crate) fn sized(sessions: usize, profiles: usize, state: &StateConfig, signals: &SignalConfig) -> Self {
        let idle = Duration::from_secs(state.session_idle_min.saturating_mul(60));
        let vault = Arc::new(OnceLock::new());
        Self {
            sessions: Layers::new(sessions, Arc::clone(&vault)),
            profiles: Layers::new(profiles, Arc::clone(&vault)),
            vault,
            completions: Completions::new(signals.completion.clone()),
            seen: Seen::new(state.duplicate_window),
            newest_ms: AtomicI64::new(0),
            signals: signals.clone(),
            idle_ms: i64::try_from(idle.as_millis()).unwrap_or(i64::MAX),
            lateness_ms: i64::try_from(state.allowed_lateness_s).unwrap_or(i64::MAX).saturating_mul(1_000),
            no_session: Arc::default(),
            no_profile: Arc::default(),
        }
    }

    /// Puts the store in front of what is on disk, and reads the counts of plays from it. For a store that is empty; a second disk is not taken.
    pub fn attach(&self, vault: Vault) {
        // Nobody attaches two.
        if self.vault.set(vault).is_ok()
            && let Some(vault) = self.vault.get()
        {
            self.completions.load(vault);
        }
    }

    /// Puts the store, which is empty, in front of a new file beside that of another store, if that has one. The file is of
    /// `ground`, and is removed with this store unless [`StateStore::stay`] says that it is to stay.
    ///
    /// # Errors
    /// The disk's.
    pub fn attach_beside(&self, other: &Self, ground: &str) -> Result<(), VaultError> {
        if let Some(vault) = other.vault.get() {
            self.attach(vault.beside(ground)?);
        }
        Ok(())
    }

    /// Whether what is on disk outlives this store.
    pub fn stay(&self, stays: bool) {
        if let Some(vault) = self.vault.get() {
            vault.spare(!stays);
        }
    }

    /// Lets go of the memory of what is on disk: for a store that nobody asks for a while.
    pub fn rest(&self) {
        if self.vault.get().is_some() {
            self.sessions.rest();
            self.profiles.rest();
        }
    }

    /// How likely plays of tracks are to be completed.
    pub fn completions(&self) -> &Completions {
        &self.completions
    }

    /// How plays are graded here.
    pub fn signals(&self) -> &SignalConfig {
        &self.signals
    }

    /// A snapshot of a session as it stands at `now_ms`; the empty session where there is none or it is over. A copy only
    /// of the answers that outlive a session. Of one that is not in memory, one look-up on disk.
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

    /// A snapshot of a profile; the empty profile where there is none. No copy; of one that is not in memory, one look-up on
    /// disk.
    pub fn profile(&self, id: &UserId) -> Arc<UserProfile> {
        self.profiles.get(id).unwrap_or_else(|| Arc::clone(&self.no_profile))
    }

    /// Whether reads of a listener and a session do not need the disk.
    pub fn is_at_hand(&self, user: &UserId, session: Option<&SessionId>) -> bool {
        self.profiles.is_at_hand(user) && session.is_none_or(|id| self.sessions.is_at_hand(id))
    }

    /// Brings a listener and a session into memory, where the next reads find them.
    pub fn fetch(&self, user: &UserId, session: Option<&SessionId>) {
        self.profiles.get(user);
        session.map(|id| self.sessions.get(id));
    }

    /// Checks what can be wrong with an event, changing nothing; what [`StateStore::apply`] will need is in memory then.
    ///
    /// # Errors
    /// As [`Reducer::check`].
    pub fn check(&self, event: &Event, catalogue: &Catalogue) -> Result<(), ApplyError> {
        let held = self.sessions.get(&event.session_id);
        let owner = held.as_ref().map(|held| &held.owner);
        Reducer { catalogue, vectors: None, config: &self.signals }.check(owner, event)?;
        self.profiles.get(&event.user_id);
        Ok(())
    }

    /// Applies an event; the next read sees it. An event of a session that is over begins the session anew. One that is
    /// more than `state.allowed_lateness_s` older than its listener's newest, and older than what its session has seen,
    /// counts in the profile and leaves the session as it is. About two microseconds; copies session and profile (tens of KB
    /// at most) where somebody holds a snapshot of them.
    ///
    /// # Errors
    /// As [`Reducer::apply`]; nothing has changed then.
    pub fn apply(&self, event: &Event, catalogue: &Catalogue, vectors: &ItemVectors) -> Result<Applied, ApplyError> {
        let rules = Reducer { catalogue, vectors: Some(vectors), config: &self.signals };
        let (applied, shares) = self.profiles.change(&event.user_id, |profile| {
            self.sessions.change(&event.session_id, |session| {
                let track = rules.check(session.as_ref().map(|held| &held.owner), event)?;
                let profile = Arc::make_mut(profile.get_or_insert_default());
                let late = profile.last_ms.saturating_sub(event.ts_ms) > self.lateness_ms;
                let behind = late && session.as_ref().is_some_and(|held| event.ts_ms < held.state.last_ms);
                let applied = if behind {
                    rules.apply_checked(&mut SessionState::default(), profile, event, track)
                } else {
                    let state = Arc::make_mut(&mut session.get_or_insert_with(|| Owned::of(&event.user_id)).state);
                    if let Some(rest) = lifetime::remains(state, event.ts_ms, self.idle_ms) {
                        *state = rest;
                    }
                    rules.apply_checked(state, profile, event, track)
                };
                let shown = track.filter(|_| event.kind == EventType::Impression);
                let shares = feedback::judge(profile, event, &applied, shown, &self.signals.feedback);
                Ok((Applied { late, ..applied }, shares))
            })
        })?;
        self.completions.note(catalogue, event, &applied, shares);
        self.newest_ms.fetch_max(event.ts_ms, Ordering::Relaxed);
        Ok(applied)
    }

    /// Remembers what was served to a listener's session at `now_ms`, newest last, at most [`lifetime::MAX_SERVED`] tracks.
    /// A session of another listener stays as it is.
    pub fn record_served(&self, id: &SessionId, user: &UserId, tracks: &[TrackIx], now_ms: i64) {
        self.sessions.change(id, |session| {
            let held = session.get_or_insert_with(|| Owned::of(user));
            if held.owner == *user {
                lifetime::record_served(Arc::make_mut(&mut held.state), tracks, now_ms, self.idle_ms);
            }
        });
    }

    /// Forgets a listener: profile and sessions; from the disk with the next [`StateStore::write`]. Returns the number of
    /// sessions removed. `O(own sessions + those changed since the last write)`; later events begin anew.
    ///
    /// # Errors
    /// The disk's: the listener's sessions are not known then, and nothing has changed.
    pub fn erase(&self, user: &UserId) -> Result<usize, VaultError> {
        let on_disk = self.vault.get().map_or_else(|| Ok(Vec::new()), |vault| vault.owned(user.as_str()))?;
        self.profiles.change(user, |profile| *profile = None);
        let in_memory = self.sessions.ids(|held| held.owner == *user);
        let ids: BTreeSet<SessionId> = on_disk.iter().filter_map(|id| Owned::id_of(id)).chain(in_memory).collect();
        let remove = |id| self.sessions.change(id, |held| held.take_if(|held| held.owner == *user).is_some());
        Ok(ids.iter().map(|id| usize::from(remove(id))).sum())
    }

    /// Whether a listener's event id has not been seen within the duplicate window; remembers it. Of several callers at
    /// once exactly one is told `true`. Ids of different listeners never meet.
    pub fn first_time(&self, user: &UserId, id: &EventId) -> bool {
        self.seen.first_time(user, id)
    }

    /// Takes an id out of the duplicate window: the event was not recorded after all and may be sent again.
    pub fn forget(&self, user: &UserId, id: &EventId) {
        self.seen.forget(user, id);
    }

    /// Draws the line up to which [`StateStore::write`] writes. Called while no event is applied; under a millisecond. Without a
    /// disk it does nothing.
    pub fn part(&self) {
        if self.vault.get().is_some() {
            self.sessions.part();
            self.profiles.part();
            self.completions.part();
        }
    }

    /// Writes what had changed when the line was drawn, which makes the disk one of `offset`; returns the number of rows. Events
    /// go on meanwhile. One caller at a time. Without a disk it does nothing.
    ///
    /// # Errors
    /// The disk's: it is as it was, and the next write holds this one's rows too.
    pub fn write(&self, offset: u64) -> Result<u64, VaultError> {
        let Some(vault) = self.vault.get() else { return Ok(0) };
        let kept_ms = self.idle_ms.saturating_mul(KEPT_IDLE_TIMES);
        let first_hour = self.newest_ms.load(Ordering::Relaxed).saturating_sub(kept_ms) / HOUR_MS;
        let mut rows = 0;
        vault.write(offset, |batch| {
            rows = self.sessions.write(vault, batch)?
                + self.profiles.write(vault, batch)?
                + self.completions.put(batch)?;
            batch.expire(first_hour)
        })?;
        self.sessions.release();
        self.profiles.release();
        self.completions.release();
        Ok(rows)
    }

    /// Whether so much has changed that it should be written soon.
    pub fn is_crowded(&self) -> bool {
        self.sessions.is_crowded() || self.profiles.is_crowded()
    }

    /// Whether so much has changed that it must be written before more does.
    pub fn is_full(&self) -> bool {
        self.vault.get().is_some() && (self.sessions.is_full() || self.profiles.is_full())
    }

    /// Sessions in memory. Does the cache's housekeeping: for gauges, not for requests.
    pub fn session_count(&self) -> u64 {
        self.sessions.count_held()
    }

    /// Profiles in memory. Does the cache's housekeeping: for gauges, not for requests.
    pub fn profile_count(&self) -> u64 {
        self.profiles.count_held()
    }

    /// How the store fares.
    pub fn figures(&self) -> StateFigures {
        let vault = self.vault.get();
        StateFigures {
            disk_reads: vault.map_or(0, Vault::reads),
            damaged: vault.map_or(0, Vault::damaged),
            lost: self.sessions.lost() + self.profiles.lost(),
            changed_bytes: (self.sessions.changed_bytes() + self.profiles.changed_bytes()) as u64,
        }
    }

    /// What a session shows at a moment.
    fn at(&self, held: Owned, now_ms: i64) -> Arc<SessionState> {
        match lifetime::remains(&held.state, now_ms, self.idle_ms) {
            None => held.state,
            Some(rest) if rest.served.is_empty() => Arc::clone(&self.no_session),
            Some(rest) => Arc::new(rest),
        }
    }
}

impl Owned {
    /// A session that is about to begin.
    fn of(user: &UserId) -> Self {
        Self { owner: user.clone(), state: Arc::default() }
    }
}

#[cfg(test)]
impl StateStore {
    /// Everything, in memory and on disk, as bytes: sessions with their owners, and profiles.
    pub(crate) fn bits(&self) -> Vec<(String, String, Vec<u8>)> {
        let sessions = self.sessions.all().into_iter().map(|(id, held)| {
            let bytes = held.write(Vec::new()).unwrap();
            (id, format!("session of {}", held.owner), bytes)
        });
        let profiles =
            self.profiles.all().into_iter().map(|(id, held)| (id, "profile".into(), held.write(Vec::new()).unwrap()));
        sessions.chain(profiles).collect()
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
