//! The duplicate window: which ids came lately.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::{Mutex, PoisonError};

use crate::domain::{EventId, UserId};

/// The newest ids, as 128 bits under keys of this process: of fixed size, and nothing in them tells whose event it was.
/// Ids of different listeners never meet.
pub(super) struct Seen {
    hashers: [RandomState; 2],
    capacity: usize,
    window: Mutex<Window>,
}

/// Fingerprints with the number of their coming, and the same in that order. A number that fits no more was taken out.
#[derive(Default)]
struct Window {
    numbers: HashMap<u128, u64, BuildHasherDefault<Cut>>,
    order: VecDeque<(u128, u64)>,
    next: u64,
}

/// Fingerprints are hashes already.
#[derive(Default)]
struct Cut(u64);

impl Hasher for Cut {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

impl Seen {
    /// A window of the newest `capacity` ids.
    pub(super) fn new(capacity: u64) -> Self {
        let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
        Self { hashers: [RandomState::new(), RandomState::new()], capacity, window: Mutex::default() }
    }

    /// Whether an id is not in the window; puts it in. Of several callers at once exactly one is told `true`. `O(1)`.
    pub(super) fn first_time(&self, user: &UserId, id: &EventId) -> bool {
        let print = self.print(user, id);
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let Window { numbers, order, next } = &mut *window;
        let std::collections::hash_map::Entry::Vacant(entry) = numbers.entry(print) else { return false };
        entry.insert(*next);
        order.push_back((print, *next));
        *next += 1;
        if order.len() > self.capacity
            && let Some((old, number)) = order.pop_front()
            && numbers.get(&old) == Some(&number)
        {
            numbers.remove(&old);
        }
        true
    }

    /// Takes an id out again.
    pub(super) fn forget(&self, user: &UserId, id: &EventId) {
        let print = self.print(user, id);
        self.window.lock().unwrap_or_else(PoisonError::into_inner).numbers.remove(&print);
    }

    fn print(&self, user: &UserId, id: &EventId) -> u128 {
        let [high, low] = self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one((user, id))));
        high << 64 | low
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a list of what came, where what was taken out leaves its place.
        #[test]
        fn equals_a_list(steps in prop::collection::vec((0u8..9, 0u8..4), 0..80), capacity in 1usize..7) {
            let seen = Seen::new(capacity as u64);
            let user = UserId::new("u").unwrap();
            let mut plain: VecDeque<Option<u8>> = VecDeque::new();
            for (id, what) in steps {
                let event = EventId::new(format!("e{id}")).unwrap();
                if what == 0 {
                    seen.forget(&user, &event);
                    plain.iter_mut().filter(|held| **held == Some(id)).for_each(|held| *held = None);
                    continue;
                }
                let first = !plain.contains(&Some(id));
                prop_assert_eq!(seen.first_time(&user, &event), first);
                if first {
                    plain.push_back(Some(id));
                    plain.drain(..plain.len().saturating_sub(capacity));
                }
            }
        }
    }
}
