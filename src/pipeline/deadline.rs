//! One absolute deadline a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The moment by which an answer must leave. Made once in the handler, passed by reference, checked between stages and
/// inside long loops. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Deadline {
    at: Option<Instant>,
    checks_left: Option<Arc<AtomicU32>>,
}

impl Deadline {
    /// A deadline `budget` from now.
    pub fn after(budget: Duration) -> Self {
        Self { at: Instant::now().checked_add(budget), checks_left: None }
    }

    /// A deadline that never passes: batch work.
    pub fn never() -> Self {
        Self { at: None, checks_left: None }
    }

    /// A deadline that passes at the `n + 1`-th check, whatever the clock says: for tests.
    pub fn after_checks(n: u32) -> Self {
        Self { at: None, checks_left: Some(Arc::new(AtomicU32::new(n))) }
    }

    /// Whether it has passed. One clock reading.
    pub fn passed(&self) -> bool {
        if let Some(left) = &self.checks_left {
            return left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_err();
        }
        self.at.is_some_and(|at| Instant::now() >= at)
    }

    /// Time left; zero once passed, a day where there is no limit.
    pub fn remaining(&self) -> Duration {
        self.at.map_or(Duration::from_secs(86_400), |at| at.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_checks_or_time() {
        let deadline = Deadline::after_checks(2);
        assert_eq!(
            [deadline.passed(), deadline.clone().passed(), deadline.passed(), deadline.passed()],
            [false, false, true, true]
        );
        assert!(Deadline::after(Duration::ZERO).passed());
        assert!(!Deadline::never().passed());
    }
}
