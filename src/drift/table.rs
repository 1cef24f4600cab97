//! The report as text.

use std::fmt::Write;

use super::DriftReport;
use crate::evaluate::HeadReport;
use crate::features::Block;
use crate::statistics::Estimate;

/// Features that are shown, those that differ most.
const SHOWN: usize = 10;

/// The range's heads with their calibration, the last rolling figures, and what differs from training.
pub fn text_table(report: &DriftReport) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{}: {} answers from {} to {}; left out: {} of other bundles, {} that wait for their outcome\n",
        report.bundle,
        report.answers,
        instant(report.from_ms),
        instant(report.until_ms),
        report.others,
        report.waiting
    );
    heads(&mut text, &report.heads);
    rolling(&mut text, report);
    drift(&mut text, report);
    text
}

fn heads(text: &mut String, heads: &[HeadReport]) {
    let _ = writeln!(text, "{:<10}{:>26}{:>9}{:>10}{:>10}{:>8}", "head", "AUC", "plays", "stated", "observed", "ECE");
    for head in heads {
        let (plays, stated, observed) = means(head);
        let auc = head.auc.map_or_else(|| "-".to_owned(), shown);
        let ece = head.ece.map_or_else(|| "-".to_owned(), |ece| format!("{:.4}", ece.value));
        let _ = writeln!(text, "{:<10}{auc:>26}{plays:>9}{stated:>10.4}{observed:>10.4}{ece:>8}", head.task);
    }
    for head in heads.iter().filter(|head| !head.deciles.is_empty()) {
        let _ = writeln!(text, "\n{} by tenths: stated, observed", head.task);
        for part in &head.deciles {
            let _ = writeln!(text, "  {:>8.4}{:>9.4}{:>8} plays", part.stated, part.observed, part.n);
        }
    }
}

/// Plays, and the means of what was stated and of what happened.
fn means(head: &HeadReport) -> (usize, f64, f64) {
    let plays: usize = head.deciles.iter().map(|part| part.n).sum();
    let mean = |of: fn(&crate::evaluate::Decile) -> f64| {
        head.deciles.iter().map(|part| of(part) * part.n as f64).sum::<f64>() / plays.max(1) as f64
    };
    (plays, mean(|part| part.stated), mean(|part| part.observed))
}

fn rolling(text: &mut String, report: &DriftReport) {
    let minutes = (report.until_ms - report.from_ms) / 60_000;
    let names: String = report.heads.iter().map(|head| format!("{:>26}", head.task)).collect();
    let _ = writeln!(text, "\nAUC of the {minutes} minutes before\n{:<22}{:>8}{names}", "", "answers");
    for point in &report.rolling {
        let cells = point.heads.iter().map(|head| format!("{:>26}", head.auc.map_or_else(|| "-".to_owned(), shown)));
        let _ = writeln!(text, "{:<22}{:>8}{}", instant(point.until_ms), point.answers, cells.collect::<String>());
    }
}

fn drift(text: &mut String, report: &DriftReport) {
    if report.drift.is_empty() {
        let _ = writeln!(
            text,
            "\nnothing to compare with: no reference in the bundle, or no candidates logged but those served"
        );
        return;
    }
    let _ = writeln!(text, "\n{:<26}{:>8}{:>8}{:>10}{:>10}", "against training", "PSI", "KL", "mean", "trained");
    let inputs = report.drift.iter().filter(|of| of.block != Block::Head).take(SHOWN);
    for of in report.drift.iter().filter(|of| of.block == Block::Head).chain(inputs) {
        let kind = if of.block == Block::Head { "head " } else { "" };
        let name = format!("{kind}{}", of.name);
        let (psi, kl) = (of.divergence.psi, of.divergence.kl);
        let _ = writeln!(text, "{name:<26}{psi:>8.4}{kl:>8.4}{:>10.4}{:>10.4}", of.mean, of.expected_mean);
    }
}

fn shown(figure: Estimate) -> String {
    format!("{:.4} [{:.4}, {:.4}]", figure.value, figure.low, figure.high)
}

fn instant(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| at.strftime("%F %T").to_string())
}
