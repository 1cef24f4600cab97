//! Which requests are searched again, exactly, to see what the index found of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::Sender;
use prometheus::IntCounter;

use crate::domain::{Answer, RequestContext, UnitVector};
use crate::pipeline::Observer;

/// Hands one user vector in so many on to a thread that searches for it twice. Never waits: while that thread is busy, the
/// vector is dropped and counted.
pub struct RecallObserver {
    every: u64,
    seen: Arc<AtomicU64>,
    to: Sender<UnitVector>,
    dropped: IntCounter,
}

impl RecallObserver {
    /// One request in `every`, at least 1, counted over all lanes that share `seen`.
    pub fn new(every: u64, seen: Arc<AtomicU64>, to: Sender<UnitVector>, dropped: IntCounter) -> Self {
        Self { every: every.max(1), seen, to, dropped }
    }
}

impl Observer for RecallObserver {
    fn name(&self) -> &'static str {
        "recall"
    }

    fn observe(&mut self, context: &RequestContext, _: &Answer) {
        let Some(vector) = &context.user_vector else { return };
        if self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.every)
            && self.to.try_send(vector.clone()).is_err()
        {
            self.dropped.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::{fixtures, testing};

    #[test]
    fn hands_on_one_in_so_many_and_never_waits() {
        let (to, from) = crossbeam_channel::bounded(2);
        let dropped = IntCounter::new("d", "d").unwrap();
        let mut observer = RecallObserver::new(3, Arc::default(), to, dropped.clone());
        let mut context = fixtures::context(fixtures::request(), Default::default(), Default::default());
        observer.observe(&context, &testing::answer(2));
        context.user_vector = Some(UnitVector::new(vec![1.0, 0.0], 2).unwrap());
        (0..9).for_each(|_| observer.observe(&context, &testing::answer(2)));
        assert_eq!((from.try_iter().count(), dropped.get()), (2, 1));
    }
}
