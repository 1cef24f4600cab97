//! What a server does when more is asked than it can answer.

use std::time::Duration;

use super::LoadError;
use super::arrivals::Phase;
use super::client::Target;
use super::crowd::Crowd;
use super::record::Record;
use super::report::{PhaseReport, phase_report};
use super::run::{Plan, run};

/// Multiples of capacity that are asked, after each other.
pub(super) const MULTIPLES: [f64; 4] = [1.0, 2.0, 4.0, 10.0];
/// What is asked before, to warm up, and after, to see it recover.
const CALM: f64 = 0.5;
/// Share of a slice's recommendations that must be good for the server to be well.
const WELL: f64 = 0.95;

/// What overload does.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct OverloadReport {
    /// What 1 x is, requests/s.
    pub capacity_per_s: f64,
    /// An answer within this is good, ms.
    pub objective_ms: f64,
    /// Goodput at 4 x over the best of all multiples.
    pub goodput_ratio_at_4x: f64,
    /// Goodput at 10 x over the best of all multiples.
    pub goodput_ratio_at_10x: f64,
    /// P99 of answered recommendations at 4 x, from when they were due, ms.
    pub p99_admitted_ms_at_4x: f64,
    /// P99 of the time to a refusal over all multiples, ms; null where nothing was refused.
    pub reject_ms_p99: f64,
    /// From the end of 10 x to when 95 % of half the capacity's recommendations are good and stay so, s; null where that is not
    /// seen.
    pub recovery_s: f64,
    /// One a multiple: 1, 2, 4, 10.
    pub phases: Vec<PhaseReport>,
    /// Half the capacity after that.
    pub recovery: PhaseReport,
    /// Slices of the whole run.
    pub timeline: Vec<Moment>,
}

/// A slice of a run.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Moment {
    /// Its beginning, s from the start.
    pub at_s: f64,
    /// Recommendations due a second.
    pub asked_per_s: f64,
    /// Good ones a second.
    pub good_per_s: f64,
    /// P50 from due, ms.
    pub p50_ms: f64,
    /// P99 from due, ms.
    pub p99_ms: f64,
}

/// The slices of consecutive phases.
pub fn timeline(phases: &[Phase], records: &[Record]) -> Vec<Moment> {
    let mut began = 0.0;
    let mut all = Vec::new();
    for (phase, record) in phases.iter().zip(records) {
        let length = phase.seconds / record.slices.len() as f64;
        all.extend(record.slices.iter().enumerate().map(|(at, slice)| Moment {
            at_s: began + at as f64 * length,
            asked_per_s: slice.asked as f64 / length,
            good_per_s: slice.good as f64 / length,
            p50_ms: slice.latency.quantile_ms(0.5),
            p99_ms: slice.latency.quantile_ms(0.99),
        }));
        began += phase.seconds;
    }
    all
}

/// Asks 1, 2, 4 and 10 times what a server can, then half of it; each for `seconds`.
///
/// # Errors
/// As [`run`].
pub fn overload(
    plan: &Plan,
    target: &Target,
    crowd: &Crowd,
    capacity: f64,
    seconds: f64,
) -> Result<OverloadReport, LoadError> {
    let phase = |multiple: f64| Phase { rate: capacity * multiple, seconds };
    let warm_up = Phase { seconds: seconds / 2.0, ..phase(CALM) };
    let rest = MULTIPLES.into_iter().chain([CALM]).map(phase);
    let phases: Vec<Phase> = [warm_up].into_iter().chain(rest).collect();
    let plan = Plan { phases, ..plan.clone() };
    let observed = run(&plan, target, crowd)?;
    Ok(report(capacity, plan.objective, &plan.phases, &observed.records))
}

fn report(capacity: f64, objective: Duration, phases: &[Phase], records: &[Record]) -> OverloadReport {
    let all: Vec<PhaseReport> =
        phases.iter().zip(records).map(|(phase, record)| phase_report(*phase, record)).collect();
    let loaded = &all[1..=MULTIPLES.len()];
    let best = loaded.iter().map(|phase| phase.goodput_per_s).fold(0.0, f64::max);
    let mut refused = super::record::Latencies::default();
    records[1..=MULTIPLES.len()].iter().for_each(|record| refused.merge(&record.refused));
    let (calm, last) = (&phases[MULTIPLES.len() + 1], &records[MULTIPLES.len() + 1]);
    OverloadReport {
        capacity_per_s: capacity,
        objective_ms: objective.as_secs_f64() * 1_000.0,
        goodput_ratio_at_4x: loaded[2].goodput_per_s / best,
        goodput_ratio_at_10x: loaded[3].goodput_per_s / best,
        p99_admitted_ms_at_4x: loaded[2].admitted.p99,
        reject_ms_p99: refused.quantile_ms(0.99),
        recovery_s: recovery_s(calm.seconds, last),
        recovery: all[MULTIPLES.len() + 1].clone(),
        timeline: timeline(phases, records),
        phases: loaded.to_vec(),
    }
}

/// The beginning of the first slice from which on all are well; NaN where the last one is not.
fn recovery_s(seconds: f64, record: &Record) -> f64 {
    let is_well = |at: usize| {
        let slice = &record.slices[at];
        slice.good as f64 >= WELL * slice.asked as f64
    };
    let count = record.slices.len();
    let unwell = (0..count).rev().find(|at| !is_well(*at));
    match unwell.map_or(0, |at| at + 1) {
        first if first == count => f64::NAN,
        first => first as f64 * seconds / count as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Outcome;
    use super::super::record::tests::sample;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Six phases of 4 s; `fate` says what becomes of the recommendation of a phase and slice.
    fn records(fate: impl Fn(usize, u64) -> (u64, Outcome)) -> (Vec<Phase>, Vec<Record>) {
        let phases: Vec<Phase> =
            [2, 5, 10, 20, 50, 2].map(|rate| Phase { rate: f64::from(rate), seconds: 4.0 }).to_vec();
        let of = |number: usize| {
            let began = 4 * number as u64;
            let mut record = Record::new(SECOND * began as u32, 4.0, SECOND, Duration::from_millis(200));
            for due in (0..4_000).step_by((1_000.0 / phases[number].rate) as usize) {
                let (took, outcome) = fate(number, due / 1_000);
                let due = began * 1_000 + due;
                record.add(&sample(due, due, due + took, outcome));
            }
            record
        };
        let records = (0..phases.len()).map(of).collect();
        (phases, records)
    }

    fn told(fate: impl Fn(usize, u64) -> (u64, Outcome)) -> OverloadReport {
        let (phases, records) = records(fate);
        report(5.0, Duration::from_millis(200), &phases, &records)
    }

    #[test]
    fn a_server_that_collapses_says_so() {
        let report = told(|phase, slice| match (phase, slice) {
            (0..=1, _) | (5, 3) => (10, Outcome::Ok),
            (2, _) => (150, Outcome::Ok),
            (5, _) => (300, Outcome::Ok),
            _ => (1_000, Outcome::Ok),
        });
        assert_eq!((report.goodput_ratio_at_4x, report.goodput_ratio_at_10x, report.recovery_s), (0.0, 0.0, 3.0));
        assert!(report.p99_admitted_ms_at_4x > 999.0 && report.reject_ms_p99.is_nan());
        assert!(serde_json::to_value(&report).unwrap()["reject_ms_p99"].is_null());
    }

    #[test]
    fn a_server_that_refuses_at_once_keeps_its_goodput() {
        // Of what is asked above 1 x, all of the first second is answered and the rest refused.
        let report = told(|phase, slice| match (phase, slice) {
            (0..=1 | 5, _) => (10, Outcome::Ok),
            (2, 0..=1) | (3, 0) => (20, Outcome::Ok),
            _ => (2, Outcome::Refused),
        });
        assert_eq!((report.goodput_ratio_at_4x, report.recovery_s), (1.0, 0.0));
        assert!((report.reject_ms_p99 - 2.0).abs() < 0.01);
        assert_eq!(report.timeline.len(), 24);
        assert_eq!(
            report.timeline.iter().map(|moment| moment.asked_per_s as u64).step_by(4).collect::<Vec<_>>(),
            [2, 5, 10, 20, 50, 2]
        );
    }

    #[test]
    fn a_server_that_stays_down_has_no_recovery() {
        assert!(told(|phase, _| (1, if phase == 0 { Outcome::Ok } else { Outcome::TimedOut })).recovery_s.is_nan());
    }
}
