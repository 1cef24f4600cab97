//! The first phase of a shutdown.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// The first phase of a shutdown: `/readyz` says no while requests are still taken, so that load balancers go elsewhere
/// before the listener closes.
#[derive(Debug, Default)]
pub struct Drain {
    draining: AtomicBool,
    probed: AtomicBool,
    told: Notify,
}

impl Drain {
    /// Starts it.
    pub fn begin(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Called by `/readyz`: whether the node is going away. Remembers that somebody looks, and that it has been told.
    pub fn probe(&self) -> bool {
        self.probed.store(true, Ordering::Release);
        let draining = self.draining.load(Ordering::Acquire);
        if draining {
            self.told.notify_one();
        }
        draining
    }

    /// Waits until a probe has been told, at most `longest`; not at all when nobody ever probed.
    pub async fn until_told(&self, longest: Duration) {
        if self.probed.load(Ordering::Acquire) {
            // Told or not, the shutdown goes on.
            let _ = tokio::time::timeout(longest, self.told.notified()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn waits_only_for_those_who_look() {
        let drain = Drain::default();
        drain.begin();
        drain.until_told(Duration::from_secs(3_600)).await;
        assert!(drain.probe(), "a probe during the drain is told");
        drain.until_told(Duration::from_secs(3_600)).await;
        let fresh = Drain::default();
        assert!(!fresh.probe());
        fresh.begin();
        fresh.until_told(Duration::ZERO).await;
    }
}
