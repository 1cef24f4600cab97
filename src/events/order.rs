//! Events reach the live state in the order of the log, whichever thread brings them: a replay ends in the same state.

use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How far the live state is. The offset belongs to the state that it produced: whoever holds the turn sees both agree.
pub(super) struct Order {
    applied: Mutex<u64>,
    moved: Condvar,
}

/// The turn to apply the entries of some offsets; gone, it lets the next offsets in, whatever became of it.
pub(super) struct Turn<'a> {
    order: &'a Order,
    applied: MutexGuard<'a, u64>,
    end: u64,
}

impl Order {
    /// The state holds what lies below `applied`.
    pub(super) fn new(applied: u64) -> Self {
        Self { applied: Mutex::new(applied), moved: Condvar::new() }
    }

    /// Waits until everything before the offsets is applied. Every offset that a log gives must come here once, soon.
    pub(super) fn turn(&self, offsets: Range<u64>) -> Turn<'_> {
        let guard = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.moved.wait_while(guard, |applied| *applied < offsets.start);
        Turn { order: self, applied: waited.unwrap_or_else(PoisonError::into_inner), end: offsets.end }
    }

    /// Runs `look` while nothing is applied; it gets the offset up to which everything is.
    pub(super) fn still<T>(&self, look: impl FnOnce(u64) -> T) -> T {
        look(*self.applied.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.applied = self.end.max(*self.applied);
        self.order.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn turns_come_by_offset_whoever_asks_first() {
        let order = Arc::new(Order::new(7));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let threads: Vec<_> = [10..12, 7..9, 12..12, 9..10, 12..20]
            .map(|offsets| {
                let (order, seen) = (Arc::clone(&order), Arc::clone(&seen));
                std::thread::spawn(move || {
                    let turn = order.turn(offsets.clone());
                    seen.lock().unwrap().push(offsets.start);
                    drop(turn);
                })
            })
            .into_iter()
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(seen.lock().unwrap().is_sorted(), "{seen:?}");
        assert_eq!(order.still(|applied| applied), 20);
    }

    #[test]
    fn a_turn_that_panics_holds_nobody_up() {
        let order = Arc::new(Order::new(0));
        let inner = Arc::clone(&order);
        let panicked = std::thread::spawn(move || {
            let _turn = inner.turn(0..3);
            panic!("in its turn");
        });
        assert!(panicked.join().is_err());
        drop(order.turn(3..4));
        assert_eq!(order.still(|applied| applied), 4);
    }
}
