//! The report as text.

use std::fmt::Write;

use super::ExperimentReport;
use crate::statistics::Estimate;

/// The arms, then each measure with the arms' figures and changes.
pub fn text_table(report: &ExperimentReport) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}\n", report.experiment);
    let _ = writeln!(text, "{:<20}{:>11}{:>11}{:>11}{:>11}", "arm", "listeners", "expected", "answers", "coverage");
    for arm in &report.arms {
        let _ = writeln!(
            text,
            "{:<20}{:>11}{:>11.0}{:>11}{:>11.3}",
            arm.name, arm.listeners, arm.expected, arm.answers, arm.coverage
        );
    }
    let verdict = if report.mismatched { "MISMATCH: trust nothing below" } else { "as it should be" };
    let _ = writeln!(text, "sample-ratio test: p = {:.3}, {verdict}", report.mismatch_p);
    let _ = writeln!(
        text,
        "left out: {} listeners in two arms, {} answers of unknown arms",
        report.crossed, report.strangers
    );
    let kind = if report.fixed_horizon { "of one look at a time fixed beforehand" } else { "that hold at every look" };
    let _ = writeln!(text, "95 % intervals {kind}; * = significant at 5 % after Holm's correction");
    for measure in &report.measures {
        let better = if measure.more_is_better { "more" } else { "less" };
        let _ = writeln!(text, "\n{}: {}; {better} is better", measure.name, measure.about);
        for ((arm, figure), listeners) in report.arms.iter().zip(&measure.arms).zip(&measure.listeners) {
            let _ = writeln!(text, "  {:<18} {}  {listeners} listeners", arm.name, shown(*figure));
        }
        for change in &measure.changes {
            let star = if change.significant { "*" } else { " " };
            let relative = change.relative.map_or_else(|| "-".to_owned(), percent);
            let _ = writeln!(
                text,
                "  {:<18} {relative} {star} p {:.4}, after Holm {:.4}",
                format!("{} by", change.arm),
                change.p,
                change.p_holm
            );
            if let (Some(least), Some(needed)) = (change.detectable, change.listeners_for_a_hundredth) {
                let _ = writeln!(
                    text,
                    "  {:<18} detectable {:.1} %; an effect of 1 % needs {needed:.0} listeners; before explains {:.0} %",
                    "",
                    100.0 * least,
                    100.0 * measure.explained
                );
            }
            if let Some(guard) = change.guard {
                let _ = writeln!(text, "  {:<18} guardrail of {:.1} %: {}", "", 100.0 * guard.margin, guard.verdict);
            }
        }
    }
    if !report.untold.is_empty() {
        let _ = writeln!(text, "\ntoo little is known yet of: {}", report.untold.join(", "));
    }
    text
}

pub(super) fn shown(figure: Estimate) -> String {
    format!("{:>9.4}  [{:.4}, {:.4}]", figure.value, figure.low, figure.high)
}

pub(super) fn percent(figure: Estimate) -> String {
    format!("{:>+7.2} %  [{:+.2}, {:+.2}]", 100.0 * figure.value, 100.0 * figure.low, 100.0 * figure.high)
}
