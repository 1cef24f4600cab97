//! Reports as text.

use std::fmt::Write;

use super::capacity::CapacityReport;
use super::overload::{MULTIPLES, OverloadReport};
use super::report::{Cost, PhaseReport, Quantiles};
use super::soak::SoakReport;

/// Stages that are named apart; the rest is summed up.
const STAGES: usize = 12;

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(line);
    text.push('\n');
}

fn quantiles(text: &mut String, name: &str, of: &Quantiles) {
    if of.count > 0 {
        let Quantiles { count, p50, p90, p99, p999, max } = of;
        let figures = format!("{count:>9}  {p50:>8.2} {p90:>8.2} {p99:>8.2} {p999:>8.2} {max:>8.2}");
        line(text, format_args!("{name:<22}{figures}"));
    }
}

/// A latency, or that there is none.
fn ms(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "-".into() }
}

/// One phase: rates, latencies by kind, fates.
fn phase_table(phase: &PhaseReport) -> String {
    let mut text = String::new();
    line(
        &mut text,
        format_args!(
            "{:.1} requests/s for {:.0} s: {:.1}/s answered, {:.1}/s within the objective, {} failed, {} given up, {} \
             batches of events lost",
            phase.rate,
            phase.seconds,
            phase.answered_per_s,
            phase.goodput_per_s,
            phase.failed,
            phase.timed_out,
            phase.events_lost
        ),
    );
    let rungs: Vec<String> = phase.rungs.iter().map(|(rung, count)| format!("{rung} {count}")).collect();
    line(&mut text, format_args!("rungs: {}", rungs.join(", ")));
    line(
        &mut text,
        format_args!(
            "{:<22}{:>9}  {:>8} {:>8} {:>8} {:>8} {:>8}",
            "ms from due", "count", "P50", "P90", "P99", "P99.9", "max"
        ),
    );
    for (name, of) in [
        ("recommendations", &phase.latency),
        ("  answered", &phase.admitted),
        ("  with a past", &phase.warm),
        ("  new listeners", &phase.cold),
        ("  refused", &phase.refused),
        ("events", &phase.events),
        ("(from when it was sent)", &phase.service),
        ("(generator late by)", &phase.generator_lag),
    ] {
        quantiles(&mut text, name, of);
    }
    text
}

fn cost_table(text: &mut String, cost: &Cost) {
    if let Some(cpu) = cost.cpu_ms {
        let threads: Vec<String> = cost.threads_ms.iter().map(|(name, ms)| format!("{name} {ms:.3}")).collect();
        line(text, format_args!("CPU a recommendation with its events: {cpu:.3} ms ({})", threads.join(", ")));
    }
    if let Some(resident) = cost.resident_bytes {
        line(text, format_args!("resident: {:.1} MB", resident as f64 / 1e6));
    }
    if cost.stages.is_empty() {
        return;
    }
    line(text, format_args!("{:<22}{:>9}  {:>8}", "stage", "CPU ms", "wall ms"));
    let cpu = |ms: Option<f64>| ms.map_or_else(|| "-".into(), |ms| format!("{ms:.3}"));
    for stage in cost.stages.iter().take(STAGES) {
        line(text, format_args!("{:<22}{:>9}  {:>8.3}", stage.stage, cpu(stage.cpu_ms), stage.wall_ms));
    }
    let rest = &cost.stages[STAGES.min(cost.stages.len())..];
    if !rest.is_empty() {
        let wall: f64 = rest.iter().map(|stage| stage.wall_ms).sum();
        let sum: Option<f64> = rest.iter().map(|stage| stage.cpu_ms).sum();
        line(text, format_args!("{:<22}{:>9}  {wall:>8.3}", format!("{} others", rest.len()), cpu(sum)));
    }
}

/// A run of one rate with what it cost.
pub fn run_table(phase: &PhaseReport, cost: &Cost) -> String {
    let mut text = phase_table(phase);
    cost_table(&mut text, cost);
    text
}

/// Capacities, one a bound, with every rate that was tried.
pub fn capacity_table(reports: &[CapacityReport]) -> String {
    let mut text = String::new();
    for report in reports {
        line(
            &mut text,
            format_args!(
                "capacity at P99 < {} ms, {} % in full: {:.1} requests/s",
                report.bound.p99_ms,
                report.bound.full_share * 100.0,
                report.capacity_per_s
            ),
        );
        line(
            &mut text,
            format_args!(
                "{:>10} {:>8} {:>8} {:>8} {:>7} {:>9}  holds",
                "offered/s", "good/s", "P50", "P99", "full", "late P99"
            ),
        );
        for probe in &report.probes {
            let phase = &probe.phase;
            line(
                &mut text,
                format_args!(
                    "{:>10.1} {:>8.1} {:>8} {:>8} {:>7.3} {:>9}  {}",
                    phase.rate,
                    phase.goodput_per_s,
                    ms(phase.latency.p50),
                    ms(phase.latency.p99),
                    phase.full_share(),
                    ms(phase.generator_lag.p99),
                    if probe.holds { "yes" } else { "no" }
                ),
            );
        }
        if let Some(cost) = &report.cost {
            cost_table(&mut text, cost);
        }
        text.push('\n');
    }
    text
}

/// The multiples beside each other, then the figures that are aimed at.
pub fn overload_table(report: &OverloadReport) -> String {
    let mut text = String::new();
    let objective = report.objective_ms;
    line(
        &mut text,
        format_args!("capacity {:.1} requests/s; good: answered within {objective} ms", report.capacity_per_s),
    );
    line(
        &mut text,
        format_args!(
            "{:>9} {:>9} {:>8} {:>9} {:>9} {:>9} {:>11} {:>7} {:>7} {:>7}",
            "multiple",
            "offered/s",
            "good/s",
            "P50 adm.",
            "P99 adm.",
            "refused",
            "P99 refused",
            "failed",
            "gave up",
            "full"
        ),
    );
    let named = MULTIPLES.iter().map(|multiple| format!("{multiple} x")).zip(&report.phases);
    for (name, phase) in named.chain([("after".to_owned(), &report.recovery)]) {
        line(
            &mut text,
            format_args!(
                "{name:>9} {:>9.1} {:>8.1} {:>9} {:>9} {:>9} {:>11} {:>7} {:>7} {:>7.3}",
                phase.rate,
                phase.goodput_per_s,
                ms(phase.admitted.p50),
                ms(phase.admitted.p99),
                phase.refused.count,
                ms(phase.refused.p99),
                phase.failed,
                phase.timed_out,
                phase.full_share()
            ),
        );
    }
    let late = report.phases.iter().map(|phase| phase.generator_lag.p99).fold(0.0, f64::max);
    for (name, value) in [
        ("goodput_ratio_at_4x", report.goodput_ratio_at_4x),
        ("goodput_ratio_at_10x", report.goodput_ratio_at_10x),
        ("p99_admitted_ms_at_4x", report.p99_admitted_ms_at_4x),
        ("reject_ms_p99", report.reject_ms_p99),
        ("recovery_s", report.recovery_s),
        ("(generator late by, P99 ms)", late),
    ] {
        let value = if value.is_finite() { format!("{value:.3}") } else { "none".into() };
        line(&mut text, format_args!("{name:<28} {value}"));
    }
    text
}

/// A soak: latencies, memory, drift.
pub fn soak_table(report: &SoakReport) -> String {
    let mut text = run_table(&report.phase, &report.cost);
    let slope = report.memory_percent_per_hour;
    let slope = if slope.is_finite() { format!("{slope:+.2} %/h") } else { "not known (--pid)".into() };
    line(&mut text, format_args!("memory slope: {slope}"));
    line(
        &mut text,
        format_args!(
            "P99 of the first and the last {:.0} s: {:.2} and {:.2} ms, drift {:.3}",
            report.ends_s, report.p99_first_ms, report.p99_last_ms, report.p99_drift
        ),
    );
    text
}
