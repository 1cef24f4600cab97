//! The same load for long: does memory grow, do answers get slower?

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::LoadError;
use super::arrivals::Phase;
use super::client::Target;
use super::crowd::Crowd;
use super::overload::{Moment, timeline};
use super::process::usage;
use super::record::{Latencies, Record};
use super::report::{Cost, PhaseReport, phase_report};
use super::run::{Plan, run};

/// Ends of a soak that are compared, s; a sixth of it where it is shorter than 30 minutes.
const END_S: f64 = 300.0;
/// Samples of memory in a soak.
const SAMPLES: f64 = 120.0;
/// Share of the samples at the beginning that are no part of the slope: caches fill.
const SETTLING: f64 = 0.1;

/// Memory at a moment.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Memory {
    /// s from the start.
    pub at_s: f64,
    /// Resident bytes.
    pub resident_bytes: u64,
}

/// What a soak comes to.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SoakReport {
    /// The whole.
    pub phase: PhaseReport,
    /// Slope of resident memory by least squares, % of its mean an hour, without the first tenth; null where the process is not
    /// known.
    pub memory_percent_per_hour: f64,
    /// What is compared: this much of the beginning and of the end, s.
    pub ends_s: f64,
    /// P99 of the beginning, from due, ms.
    pub p99_first_ms: f64,
    /// P99 of the end, ms.
    pub p99_last_ms: f64,
    /// Last over first.
    pub p99_drift: f64,
    /// What a recommendation took.
    pub cost: Cost,
    /// Memory over time.
    pub memory: Vec<Memory>,
    /// Latency over time.
    pub timeline: Vec<Moment>,
}

/// Sends one rate and samples the server's memory meanwhile.
///
/// # Errors
/// As [`run`].
pub fn soak(plan: &Plan, target: &Target, crowd: &Crowd, phase: Phase) -> Result<SoakReport, LoadError> {
    let plan = Plan { phases: vec![phase], ..plan.clone() };
    let (stop, stopped) = channel::<()>();
    let every = Duration::from_secs_f64((phase.seconds / SAMPLES).max(0.1));
    let (observed, memory) = std::thread::scope(|scope| {
        let pids = &plan.pids;
        let sampler = scope.spawn(move || {
            let (start, mut memory) = (Instant::now(), Vec::new());
            while matches!(stopped.recv_timeout(every), Err(RecvTimeoutError::Timeout)) && !pids.is_empty() {
                // A server that is gone shows in the requests.
                if let Ok(used) = usage(pids) {
                    memory.push(Memory { at_s: start.elapsed().as_secs_f64(), resident_bytes: used.resident });
                }
            }
            memory
        });
        let observed = run(&plan, target, crowd);
        drop(stop);
        (observed, sampler.join().unwrap_or_default())
    });
    let observed = observed?;
    let record = &observed.records[0];
    let ends_s = END_S.min(phase.seconds / 6.0);
    let (first, last) = ends(record, phase.seconds, ends_s);
    let settled = memory.len() - (memory.len() as f64 * (1.0 - SETTLING)) as usize;
    Ok(SoakReport {
        phase: phase_report(phase, record),
        memory_percent_per_hour: percent_per_hour(&memory[settled..]),
        ends_s,
        p99_first_ms: first,
        p99_last_ms: last,
        p99_drift: last / first,
        cost: Cost::of(&observed),
        timeline: timeline(&plan.phases, &observed.records),
        memory,
    })
}

/// P99 of the first and the last `ends_s` seconds.
fn ends(record: &Record, seconds: f64, ends_s: f64) -> (f64, f64) {
    let all = record.slices.len();
    let count = ((ends_s / seconds * all as f64).round() as usize).clamp(1, all);
    let p99 = |from: usize| {
        let mut latencies = Latencies::default();
        record.slices[from..from + count].iter().for_each(|slice| latencies.merge(&slice.latency));
        latencies.quantile_ms(0.99)
    };
    (p99(0), p99(all - count))
}

/// Slope by least squares over the mean; NaN below two samples.
fn percent_per_hour(memory: &[Memory]) -> f64 {
    let count = memory.len() as f64;
    let mean = |of: &dyn Fn(&Memory) -> f64| memory.iter().map(of).sum::<f64>() / count;
    let (at, bytes) = (mean(&|one| one.at_s), mean(&|one| one.resident_bytes as f64));
    let (mut above, mut below) = (0.0, 0.0);
    for one in memory {
        above += (one.at_s - at) * (one.resident_bytes as f64 - bytes);
        below += (one.at_s - at).powi(2);
    }
    if memory.len() < 2 { f64::NAN } else { above / below / bytes * 3_600.0 * 100.0 }
}

#[cfg(test)]
mod tests {
    use super::super::record::Outcome;
    use super::super::record::tests::{record, sample};
    use super::*;

    #[test]
    fn a_leak_has_its_slope() {
        // 1 MB/s on 1 GB: 0.1 % a second, of the mean a little less.
        let at = |n: u32| Memory { at_s: f64::from(n), resident_bytes: 1_000_000_000 + 1_000_000 * u64::from(n) };
        let slope = percent_per_hour(&(0..=100).map(at).collect::<Vec<_>>());
        assert!((slope - 360.0 / 1.05).abs() < 0.01, "{slope}");
        let flat = [0, 1, 2].map(|n| Memory { resident_bytes: 5, ..at(n) });
        assert_eq!(percent_per_hour(&flat), 0.0);
        assert!(percent_per_hour(&flat[..1]).is_nan() && percent_per_hour(&[]).is_nan());
    }

    #[test]
    fn ends_are_compared() {
        let mut record = record(6.0);
        for due in (0..6_000).step_by(10) {
            record.add(&sample(due, due, due + 5 + due / 1_000, Outcome::Ok));
        }
        let (first, last) = ends(&record, 6.0, 1.0);
        assert!((first - 5.0).abs() < 0.01 && (last - 10.0).abs() < 0.02, "{first} {last}");
        let (first, last) = ends(&record, 6.0, 9.0);
        assert_eq!(first.to_bits(), last.to_bits());
    }
}
