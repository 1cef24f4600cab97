//! Events whose fate is open: one that comes again while its first sending is being stored must wait, for whether it is a
//! duplicate is not known yet.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, PoisonError};

use crate::domain::{EventId, UserId};

/// An event as the duplicate window tells it.
pub(super) type Key = (UserId, EventId);

/// The events that callers are about to store.
#[derive(Default)]
pub(super) struct InFlight {
    keys: Mutex<HashSet<Key>>,
    settled: Condvar,
}

/// Some events, claimed by one caller until this is dropped.
pub(super) struct Claim<'a> {
    of: &'a InFlight,
    keys: Vec<Key>,
}

impl InFlight {
    /// Claims events, once nobody else has any of them. All at once or none, so two callers never wait for each other.
    pub(super) fn claim(&self, keys: Vec<Key>) -> Claim<'_> {
        let held = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.settled.wait_while(held, |held| keys.iter().any(|key| held.contains(key)));
        free.unwrap_or_else(PoisonError::into_inner).extend(keys.iter().cloned());
        Claim { of: self, keys }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut held = self.of.keys.lock().unwrap_or_else(PoisonError::into_inner);
        self.keys.iter().for_each(|key| _ = held.remove(key));
        self.of.settled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn keys(ids: &[&str]) -> Vec<Key> {
        ids.iter().map(|id| (UserId::new("u").unwrap(), EventId::new(id).unwrap())).collect()
    }

    #[test]
    fn the_same_event_waits_and_others_do_not() {
        let (flight, settled) = (Arc::new(InFlight::default()), Arc::new(AtomicBool::new(false)));
        let first = flight.claim(keys(&["a", "b", "b"]));
        drop(flight.claim(keys(&["c"])));
        let again = std::thread::spawn({
            let (flight, settled) = (Arc::clone(&flight), Arc::clone(&settled));
            move || {
                let _claim = flight.claim(keys(&["c", "b"]));
                settled.load(Ordering::SeqCst)
            }
        });
        settled.store(true, Ordering::SeqCst);
        drop(first);
        assert!(again.join().unwrap(), "it came before the first was settled");
        assert!(flight.keys.lock().unwrap().is_empty());
    }
}
