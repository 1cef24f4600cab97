//! A live state beside the one that is served: that of a bundle that is to be served, or was.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::recover::{Replay, Replayed};
use super::{EventLog, EventLogError, Ground, Notes, Step};
use crate::domain::{Catalogue, ItemVectors, UserId};
use crate::features::StateStore;

/// Entries that are read at once: some tens of ms, in which the log cannot close a file and nobody can be erased.
const STEP: usize = 20_000;

/// What events change, and what they are resolved against.
#[derive(Clone)]
pub struct LiveState {
    /// Sessions, profiles, counts of plays.
    pub state: Arc<StateStore>,
    /// Resolves the events' tracks.
    pub catalogue: Arc<Catalogue>,
    /// The tracks' vectors.
    pub vectors: Arc<ItemVectors>,
}

/// A state that follows the log when it is told to, and forgets whom the live one forgets.
pub struct Beside {
    inner: Mutex<Inner>,
}

struct Inner {
    live: LiveState,
    /// The state holds what the log has below it.
    next: u64,
}

impl Beside {
    /// A state that holds what the log has below `next`.
    pub(super) fn new(live: LiveState, next: u64) -> Self {
        Self { inner: Mutex::new(Inner { live, next }) }
    }

    /// The state, and what it is resolved against.
    pub fn live(&self) -> LiveState {
        self.lock().live.clone()
    }

    /// Brings the state up to what the log holds at `end`, by a replay such as a start makes.
    ///
    /// # Errors
    /// The disk's, or a log that cannot be read up to there.
    pub(super) fn catch_up(&self, log: &dyn EventLog, notes: &Notes, end: u64) -> Result<Replayed, EventLogError> {
        let mut all = Replayed { from: self.lock().next, ..Replayed::default() };
        loop {
            // An erasure waits for this step: what is read of a listener must be applied before their rows are removed.
            let mut inner = self.lock();
            let from = inner.next;
            if from >= end {
                return Ok(all);
            }
            let Step { entries, next, damage } = log.read(from, STEP)?;
            if next == from {
                return Err(EventLogError(format!("it cannot be read from {from} on; it ends at {end}")));
            }
            damage.iter().for_each(|damage| tracing::error!(damage, "what lies behind is not in the state"));
            let LiveState { state, catalogue, vectors } = &inner.live;
            let mut replay = Replay::new(state, Ground { catalogue, vectors, bundle: "" }, notes);
            for (at, entry) in entries {
                replay.take(at, entry)?;
            }
            let done = replay.finish();
            (all.applied, all.refused) = (all.applied + done.applied, all.refused + done.refused);
            all.repeated += done.repeated;
            inner.next = next;
        }
    }

    /// Writes the state to its disk, if it has one.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self) -> Result<(), EventLogError> {
        self.lock().write()
    }

    /// Forgets a listener, in memory and on disk.
    ///
    /// # Errors
    /// The disk's: something may still be held.
    pub(super) fn forget(&self, user: &UserId) -> Result<(), EventLogError> {
        let inner = self.lock();
        inner.live.state.erase(user)?;
        inner.write()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn write(&self) -> Result<(), EventLogError> {
        self.live.state.part();
        self.live.state.write(self.next)?;
        Ok(())
    }
}
