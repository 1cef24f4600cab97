//! How many requests a client may send.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A token bucket: it holds at most `burst` tokens, gets `per_second`, and a request takes one. It is told the time. One lock, no
/// allocation.
#[derive(Debug)]
pub struct Bucket {
    per_second: f64,
    burst: f64,
    /// Tokens at a moment.
    held: Mutex<(f64, Instant)>,
}

impl Bucket {
    /// A full bucket. Both numbers are above 0; less than one token at a time is one.
    pub fn new(per_second: f64, burst: f64, now: Instant) -> Self {
        let burst = burst.max(1.0);
        Self { per_second, burst, held: Mutex::new((burst, now)) }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// When the next one will be there, if nobody takes it before.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, since) = &mut *held;
        // Threads read their clocks before they wait for each other: time never goes back here.
        *tokens = (*tokens + now.saturating_duration_since(*since).as_secs_f64() * self.per_second).min(self.burst);
        *since = now.max(*since);
        if *tokens >= 1.0 {
            *tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::try_from_secs_f64((1.0 - *tokens) / self.per_second).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let bucket = Bucket::new(4.0, 3.0, start);
        let taken: Vec<bool> = (0..5).map(|_| bucket.take(start).is_ok()).collect();
        assert_eq!(taken, [true, true, true, false, false]);
        assert_eq!(bucket.take(at(150)), Err(Duration::from_millis(100)));
        assert_eq!((bucket.take(at(250)), bucket.take(at(200)).is_err()), (Ok(()), true), "a clock that went back");
        assert_eq!((0..9).filter(|_| bucket.take(at(60_000)).is_ok()).count(), 3, "no more than a burst is saved up");
    }

    proptest! {
        /// In no stretch of time more than the burst and what the rate gives, and whoever waits as told is let in.
        #[test]
        fn never_more_than_the_rate(
            gaps in prop::collection::vec(0u64..400, 1..80), per_second in 0.5f64..50.0, burst in 1u32..9,
        ) {
            let mut now = Instant::now();
            let bucket = Bucket::new(per_second, f64::from(burst), now);
            let mut let_in: Vec<Instant> = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                match bucket.take(now) {
                    Ok(()) => let_in.push(now),
                    Err(wait) => {
                        now += wait + Duration::from_nanos(10);
                        prop_assert!(bucket.take(now).is_ok());
                        let_in.push(now);
                    }
                }
            }
            for (first, from) in let_in.iter().enumerate() {
                for (last, to) in let_in.iter().enumerate().skip(first) {
                    let most = f64::from(burst) + (*to - *from).as_secs_f64() * per_second;
                    prop_assert!((last - first + 1) as f64 <= most + 1e-6);
                }
            }
        }
    }
}
