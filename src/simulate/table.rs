//! The report as text.

use std::fmt::Write;

use super::report::SimulationReport;

/// One line a measure, one column a policy; then each policy against the first.
pub fn text_table(report: &SimulationReport) -> String {
    let mut text = String::new();
    let (first, seeds) = report.seeds;
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{} listeners, {} days, {seeds} seeds from {first}; mean over seeds, 95 % interval",
        report.listeners, report.days
    );
    for policy in &report.policies {
        let _ = writeln!(text, "\n{} ({} answers, {} below full)", policy.name, policy.answers, policy.below_full);
        for measure in &policy.measures {
            let whole = measure.whole;
            let last = measure.by_day.last().copied().unwrap_or(f64::NAN);
            let _ = writeln!(
                text,
                "  {:<18} {:>9.4}  [{:.4}, {:.4}]  last day {last:.4}",
                measure.name, whole.value, whole.low, whole.high
            );
        }
    }
    let mut of = "";
    for comparison in &report.comparisons {
        if of != comparison.policy {
            let base = report.policies.first().map_or("", |policy| policy.name.as_str());
            let _ = writeln!(text, "\n{} against {base}, by seed", comparison.policy);
            of = &comparison.policy;
        }
        let percent = |share: f64| 100.0 * share;
        let change = comparison.change;
        let _ = writeln!(
            text,
            "  {:<18} {:>+8.1} %  [{:+.1}, {:+.1}]",
            comparison.measure,
            percent(change.value),
            percent(change.low),
            percent(change.high)
        );
    }
    text
}
