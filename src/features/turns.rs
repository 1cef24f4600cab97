//! Whose turn it is to write.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks of one kind of key.
const STRIPES: usize = 1_024;

/// Writers' locks, one for many keys: the same key always falls on the same one, so its writers go one after another even
/// when a cache drops and re-makes its entry.
pub(super) struct Turns {
    stripes: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(), hasher: RandomState::new() }
    }

    /// Waits for the key's turn. Never called while another turn of the same `Turns` is held.
    pub(super) fn of<K: Hash + ?Sized>(&self, key: &K) -> MutexGuard<'_, ()> {
        let stripe = self.hasher.hash_one(key) as usize % STRIPES;
        // The lock guards no data of its own, and snapshots are published whole: a panicked writer leaves nothing torn.
        self.stripes[stripe].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
