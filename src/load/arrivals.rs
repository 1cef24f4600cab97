//! When requests are due: fixed before the first is sent, whatever becomes of it.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How requests follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Independent of each other: exponential gaps.
    Poisson,
    /// Equal gaps.
    Uniform,
}

/// A time of one rate.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Phase {
    /// Requests a second, above 0.
    pub rate: f64,
    /// Its length, seconds.
    pub seconds: f64,
}

/// One request's moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Which phase it belongs to.
    pub phase: usize,
    /// When, from the start of the first phase.
    pub at: Duration,
}

/// The moments of one of several workers, in order; all workers together make the phases' rates. The sum of independent
/// Poisson processes is one; workers of a uniform process take turns.
#[derive(Debug, Clone)]
pub struct Schedule<'a> {
    arrivals: Arrivals,
    phases: &'a [Phase],
    worker: usize,
    workers: usize,
    rng: ChaCha8Rng,
    phase: usize,
    /// Where the phase began, seconds.
    began: f64,
    /// The latest moment within the phase, seconds.
    within: f64,
}

impl<'a> Schedule<'a> {
    /// Of `worker` out of `workers`; the same seed gives the same moments.
    pub fn new(arrivals: Arrivals, phases: &'a [Phase], seed: u64, worker: usize, workers: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(worker as u64);
        let mut schedule = Self { arrivals, phases, worker, workers, rng, phase: 0, began: 0.0, within: 0.0 };
        schedule.enter();
        schedule
    }

    /// A phase's first moment lies a gap after its beginning, a uniform worker's own share of one earlier.
    fn enter(&mut self) {
        self.within = match (self.arrivals, self.phases.get(self.phase)) {
            (Arrivals::Uniform, Some(phase)) => (self.worker as f64 + 0.5 - self.workers as f64) / phase.rate,
            _ => 0.0,
        };
    }
}

impl Iterator for Schedule<'_> {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        loop {
            let phase = self.phases.get(self.phase)?;
            let mean = self.workers as f64 / phase.rate;
            self.within += match self.arrivals {
                Arrivals::Uniform => mean,
                // 1 - [0, 1) is never 0.
                Arrivals::Poisson => -mean * (1.0 - self.rng.random::<f64>()).ln(),
            };
            if self.within < phase.seconds {
                let at = Duration::from_secs_f64(self.began + self.within);
                return Some(Due { phase: self.phase, at });
            }
            self.began += phase.seconds;
            self.phase += 1;
            self.enter();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PHASES: [Phase; 2] = [Phase { rate: 100.0, seconds: 2.0 }, Phase { rate: 1_000.0, seconds: 0.5 }];

    fn all(arrivals: Arrivals, phases: &[Phase], seed: u64, workers: usize) -> Vec<Due> {
        let of = |worker| Schedule::new(arrivals, phases, seed, worker, workers);
        let mut all: Vec<Due> = (0..workers).flat_map(of).collect();
        all.sort_by_key(|due| due.at);
        all
    }

    #[test]
    fn uniform_workers_take_turns() {
        for workers in [1, 3] {
            let all = all(Arrivals::Uniform, &PHASES, 1, workers);
            let expected = (0..200).map(|n| (0, (f64::from(n) + 0.5) / 100.0));
            let expected = expected.chain((0..500).map(|n| (1, 2.0 + (f64::from(n) + 0.5) / 1_000.0)));
            for (due, (phase, at)) in all.iter().zip(expected) {
                assert_eq!(due.phase, phase);
                assert!((due.at.as_secs_f64() - at).abs() < 1e-6, "{due:?} {at}");
            }
            assert_eq!(all.len(), 700);
        }
    }

    #[test]
    fn poisson_gaps_are_exponential_and_counts_have_the_rate() {
        let phases = [Phase { rate: 2_000.0, seconds: 20.0 }];
        let all = all(Arrivals::Poisson, &phases, 7, 3);
        let (count, expected) = (all.len() as f64, 40_000.0);
        assert!((count - expected).abs() < 4.0 * f64::sqrt(expected), "{count}");
        let gaps: Vec<f64> = all.windows(2).map(|two| (two[1].at - two[0].at).as_secs_f64() * 2_000.0).collect();
        for limit in [0.1, 0.7, 2.0] {
            let share = gaps.iter().filter(|gap| **gap < limit).count() as f64 / gaps.len() as f64;
            assert!((share - (1.0 - f64::exp(-limit))).abs() < 0.01, "{limit}: {share}");
        }
    }

    proptest! {
        #[test]
        fn moments_are_in_order_in_their_phase_and_the_same_again(
            poisson: bool, seed: u64, workers in 1..5_usize,
            phases in prop::collection::vec((1.0..500.0_f64, 0.0..0.3_f64), 0..4),
        ) {
            let arrivals = if poisson { Arrivals::Poisson } else { Arrivals::Uniform };
            let phases: Vec<Phase> = phases.into_iter().map(|(rate, seconds)| Phase { rate, seconds }).collect();
            for worker in 0..workers {
                let once: Vec<Due> = Schedule::new(arrivals, &phases, seed, worker, workers).collect();
                let again: Vec<Due> = Schedule::new(arrivals, &phases, seed, worker, workers).collect();
                prop_assert_eq!(&once, &again);
                prop_assert!(once.is_sorted_by_key(|due| due.at));
                for due in once {
                    let began: f64 = phases[..due.phase].iter().map(|phase| phase.seconds).sum();
                    let at = due.at.as_secs_f64();
                    prop_assert!(at + 1e-6 >= began && at < began + phases[due.phase].seconds + 1e-6);
                }
            }
        }
    }
}
