//! What a phase comes to, in numbers.

use std::collections::BTreeMap;

use super::arrivals::Phase;
use super::process::Usage;
use super::record::{Latencies, Record};
use super::run::Observed;
use super::scrape::Scrape;

/// The threads that run the pipeline, by name.
const LANE: &str = "lane";

/// Latencies, ms; null where there are none.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Quantiles {
    /// How many.
    pub count: u64,
    /// Median.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl From<&Latencies> for Quantiles {
    fn from(all: &Latencies) -> Self {
        let at = |share| all.quantile_ms(share);
        Self { count: all.len(), p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: all.max_ms() }
    }
}

/// One phase of a run.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PhaseReport {
    /// Recommendations due a second, as planned.
    pub rate: f64,
    /// Its length, s.
    pub seconds: f64,
    /// Recommendations answered a second.
    pub answered_per_s: f64,
    /// Recommendations answered within the objective, a second.
    pub goodput_per_s: f64,
    /// All recommendations, from when they were due.
    pub latency: Quantiles,
    /// The same from when they were sent: what a closed loop would have said.
    pub service: Quantiles,
    /// Those that were answered.
    pub admitted: Quantiles,
    /// Of these, listeners with a past.
    pub warm: Quantiles,
    /// Of these, new listeners.
    pub cold: Quantiles,
    /// Those that were turned away.
    pub refused: Quantiles,
    /// Batches of events.
    pub events: Quantiles,
    /// How late the generator sent: where this is not small, the generator is what was measured.
    pub generator_lag: Quantiles,
    /// Recommendations that failed.
    pub failed: u64,
    /// Recommendations that were given up.
    pub timed_out: u64,
    /// Batches of events that were not taken.
    pub events_lost: u64,
    /// Answers by rung.
    pub rungs: BTreeMap<String, u64>,
}

/// The report of one phase.
pub fn phase_report(phase: Phase, record: &Record) -> PhaseReport {
    let a_second = |count: u64| count as f64 / phase.seconds;
    PhaseReport {
        rate: phase.rate,
        seconds: phase.seconds,
        answered_per_s: a_second(record.admitted.len()),
        goodput_per_s: a_second(record.good),
        latency: (&record.asks).into(),
        service: (&record.service).into(),
        admitted: (&record.admitted).into(),
        warm: (&record.warm).into(),
        cold: (&record.cold).into(),
        refused: (&record.refused).into(),
        events: (&record.events).into(),
        generator_lag: (&record.lag).into(),
        failed: record.failed,
        timed_out: record.timed_out,
        events_lost: record.events_lost,
        rungs: record.rungs.clone(),
    }
}

impl PhaseReport {
    /// Share of the recommendations that were answered in full quality, 0..1.
    pub fn full_share(&self) -> f64 {
        let full = self.rungs.get("full").copied().unwrap_or_default();
        if self.latency.count == 0 { 0.0 } else { full as f64 / self.latency.count as f64 }
    }
}

/// What one stage takes of a request.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct StageCost {
    /// The stage.
    pub stage: String,
    /// Time in it by the server's clock, ms a recommendation; on a core with other work it waits too.
    pub wall_ms: f64,
    /// The lanes' CPU time by the stages' shares of their time, ms a recommendation; absent without the server's process.
    pub cpu_ms: Option<f64>,
}

/// What a recommendation, with the events that follow it, takes.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Cost {
    /// Recommendations that the figures are over.
    pub recommendations: u64,
    /// CPU time in all, ms.
    pub cpu_ms: Option<f64>,
    /// CPU time of each kind of thread, ms; those under 1 us are left out.
    pub threads_ms: BTreeMap<String, f64>,
    /// Stages, the dearest first.
    pub stages: Vec<StageCost>,
    /// Resident memory at the end, bytes.
    pub resident_bytes: Option<u64>,
}

impl Cost {
    /// What a run took of the server, over all of its phases.
    pub fn of(observed: &Observed) -> Self {
        let answered: u64 = observed.records.iter().map(|record| record.admitted.len()).sum();
        let each = 1_000.0 / answered.max(1) as f64;
        let used = observed.used.as_ref();
        let threads = used.map(|used| used.cpu_s.clone()).unwrap_or_default();
        let threads_ms = threads.into_iter().map(|(name, seconds)| (name, seconds * each));
        Self {
            recommendations: answered,
            cpu_ms: used.map(|used| used.cpu() * each),
            threads_ms: threads_ms.filter(|(_, ms)| *ms >= 1e-3).collect(),
            stages: observed.stages.as_ref().map(|stages| stage_costs(stages, used, each)).unwrap_or_default(),
            resident_bytes: used.map(|used| used.resident),
        }
    }
}

fn stage_costs(stages: &Scrape, used: Option<&Usage>, each: f64) -> Vec<StageCost> {
    let lanes = used.and_then(|used| used.cpu_s.get(LANE).copied());
    let whole = stages.seconds().max(1e-9);
    let cost = |(stage, (seconds, _)): (&String, &(f64, u64))| StageCost {
        stage: stage.clone(),
        wall_ms: seconds * each,
        cpu_ms: lanes.map(|lanes| lanes * seconds / whole * each),
    };
    let mut costs: Vec<StageCost> = stages.stages.iter().map(cost).filter(|cost| cost.wall_ms >= 1e-4).collect();
    costs.sort_by(|a, b| b.wall_ms.total_cmp(&a.wall_ms));
    costs
}

#[cfg(test)]
mod tests {
    use super::super::record::Outcome;
    use super::super::record::tests::{record, sample};
    use super::*;

    #[test]
    fn a_phase_comes_to_its_rates() {
        let mut record = record(2.0);
        for due in 0..8 {
            record.add(&sample(due, due, due + 10, Outcome::Ok));
        }
        record.add(&sample(9, 9, 900, Outcome::Ok));
        record.add(&sample(10, 10, 11, Outcome::Refused));
        let report = phase_report(Phase { rate: 5.0, seconds: 2.0 }, &record);
        assert_eq!((report.answered_per_s, report.goodput_per_s, report.full_share()), (4.5, 4.0, 0.9));
        assert_eq!((report.latency.count, report.admitted.count, report.refused.count), (10, 9, 1));
        let json = serde_json::to_value(&report).unwrap();
        assert!(json["events"]["p99"].is_null() && json["latency"]["p50"].is_f64(), "{json}");
    }

    #[test]
    fn a_lanes_time_is_shared_out_by_stages() {
        let mut record = record(1.0);
        for due in 0..4 {
            record.add(&sample(due, due, due + 10, Outcome::Ok));
        }
        let cpu_s = [("lane".to_owned(), 0.008), ("actix".to_owned(), 0.004)].into();
        let stages = [("a".to_owned(), (0.003, 4)), ("b".to_owned(), (0.009, 4))].into();
        let used = Some(Usage { cpu_s, resident: 7 });
        let cost = Cost::of(&Observed { records: vec![record], used, stages: Some(Scrape { stages }) });
        assert!((cost.cpu_ms.unwrap() - 3.0).abs() < 1e-9, "{cost:?}");
        let told: Vec<_> = cost.stages.iter().map(|one| (one.stage.as_str(), one.cpu_ms.unwrap())).collect();
        assert_eq!(told[0].0, "b");
        assert!((told[0].1 - 1.5).abs() < 1e-9 && (told[1].1 - 0.5).abs() < 1e-9, "{told:?}");
    }
}
