//! How much a server takes while it holds a bound.

use super::LoadError;
use super::arrivals::Phase;
use super::client::Target;
use super::crowd::Crowd;
use super::report::{Cost, PhaseReport, phase_report};
use super::run::{Plan, run};

/// What a rate must hold to count.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Bound {
    /// P99 of all recommendations, from when they were due, ms.
    pub p99_ms: f64,
    /// Share of the recommendations that are answered from the rung `full`.
    pub full_share: f64,
}

impl Bound {
    fn holds(&self, phase: &PhaseReport) -> bool {
        // NaN, a phase without a request, holds nothing.
        phase.latency.p99 < self.p99_ms && phase.full_share() >= self.full_share
    }
}

/// One rate that was tried.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Probe {
    /// Whether it held the bound.
    pub holds: bool,
    /// What it came to.
    pub phase: PhaseReport,
}

/// What a server takes at one bound.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct CapacityReport {
    /// The bound.
    pub bound: Bound,
    /// The highest rate that held it, requests/s; 0 where none did.
    pub capacity_per_s: f64,
    /// What a recommendation took at that rate.
    pub cost: Option<Cost>,
    /// Every rate that was tried, in order.
    pub probes: Vec<Probe>,
}

/// The highest rate found that holds, and 0 where none does. Doubles from `from` while it holds, halves while it does not (to
/// 1/64), then bisects until what holds and what does not are within `precision` of each other.
///
/// # Errors
/// The first of `holds`.
pub fn search<E>(from: f64, precision: f64, mut holds: impl FnMut(f64) -> Result<bool, E>) -> Result<f64, E> {
    let (mut low, mut high) = (0.0, f64::INFINITY);
    let mut rate = from;
    while low == 0.0 || high.is_infinite() {
        if holds(rate)? {
            low = rate;
            rate *= 2.0;
        } else {
            high = rate;
            rate /= 2.0;
        }
        if low == 0.0 && rate < from / 64.0 {
            return Ok(0.0);
        }
        if low >= from * 1_024.0 {
            return Ok(low);
        }
    }
    while high > low * (1.0 + precision) {
        let middle = (low * high).sqrt();
        if holds(middle)? {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// Tries rates with stages of `seconds`, each after a warm-up of a fifth of that at half its rate. A rate that fails once is
/// tried once more, so that one hiccup of a busy machine decides nothing.
///
/// # Errors
/// As [`run`].
pub fn measure(
    plan: &Plan,
    target: &Target,
    crowd: &Crowd,
    bound: Bound,
    stage: Phase,
    precision: f64,
) -> Result<CapacityReport, LoadError> {
    let mut report = CapacityReport { bound, capacity_per_s: 0.0, cost: None, probes: Vec::new() };
    let mut seed = plan.seed;
    let mut probe = |rate: f64| -> Result<bool, LoadError> {
        seed += 1;
        let measured = Phase { rate, seconds: stage.seconds };
        let phases = vec![Phase { rate: rate / 2.0, seconds: stage.seconds / 5.0 }, measured];
        let observed = run(&Plan { phases, seed, ..plan.clone() }, target, crowd)?;
        let phase = phase_report(measured, &observed.records[1]);
        let holds = bound.holds(&phase);
        if holds && rate >= report.capacity_per_s {
            report.capacity_per_s = rate;
            report.cost = Some(Cost::of(&observed));
        }
        report.probes.push(Probe { holds, phase });
        Ok(holds)
    };
    search(stage.rate, precision, |rate| Ok::<_, LoadError>(probe(rate)? || probe(rate)?))?;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::super::record::Outcome;
    use super::super::record::tests::{record, sample};
    use super::*;

    fn found(from: f64, precision: f64, capacity: f64) -> (f64, usize) {
        let mut tried = 0;
        let holds = |rate| {
            tried += 1;
            Ok::<_, Infallible>(rate <= capacity)
        };
        let Ok(rate) = search(from, precision, holds);
        (rate, tried)
    }

    proptest! {
        /// Against a server that holds up to a rate and no further.
        #[test]
        fn finds_the_rate_within_its_precision(from in 1.0..500.0_f64, capacity in 1.0..20_000.0_f64) {
            let (rate, tried) = found(from, 0.05, capacity);
            if capacity >= from / 64.0 && capacity < from * 1_024.0 {
                prop_assert!(rate <= capacity && capacity <= rate * 1.05 * 1.0001, "{rate}");
            }
            prop_assert!(tried <= 20, "{tried}");
        }
    }

    #[test]
    fn gives_up_where_nothing_holds_or_everything_does() {
        assert_eq!(found(64.0, 0.05, 0.5).0, 0.0);
        assert_eq!(found(1.0, 0.05, f64::INFINITY).0, 1_024.0);
        assert_eq!(search(1.0, 0.1, |_| Err(7)), Err(7));
    }

    #[test]
    fn lesser_answers_are_no_capacity() {
        let bound = Bound { p99_ms: 50.0, full_share: 0.99 };
        let phase = Phase { rate: 100.0, seconds: 1.0 };
        let with = |took: u64, reduced: usize| {
            let mut record = record(1.0);
            for at in 0..100 {
                let rung = if at < reduced { "reduced" } else { "full" };
                let due = at as u64;
                let one = sample(due, due, due + took, Outcome::Ok);
                record.add(&super::super::record::Sample { rung: Some(rung.into()), ..one });
            }
            bound.holds(&phase_report(phase, &record))
        };
        assert!(with(40, 1) && !with(40, 2) && !with(60, 0));
        assert!(!bound.holds(&phase_report(phase, &record(1.0))));
    }
}
