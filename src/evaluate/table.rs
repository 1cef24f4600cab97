//! The result of an evaluation as text.

use std::fmt::Write;

use super::pairs::PairReport;
use super::report::{EvalReport, HeadReport};
use super::slices::SliceReport;
use crate::statistics::Estimate;

/// Aligned columns: one row a figure and one column a system, one row a head, a pair and a slice, 95 % intervals in brackets.
pub fn text_table(report: &EvalReport) -> String {
    let mut text = format!(
        "{} of {} moments, {} listeners; 95 % intervals by bootstrap over listeners, seed {}\n",
        report.moments, report.moments_in_test, report.users, report.seed
    );
    for rows in [system_rows(report), pair_rows(report), head_rows(&report.heads), slice_rows(report)] {
        if rows.len() > 1 {
            text.push('\n');
            align(&mut text, &rows);
        }
    }
    text
}

fn system_rows(report: &EvalReport) -> Vec<Vec<String>> {
    let row = |title: &str, cells: Vec<String>| [title.to_owned()].into_iter().chain(cells).collect();
    let systems = &report.systems;
    let mut rows = vec![row("", systems.iter().map(|system| system.name.clone()).collect())];
    for name in report.metric_names() {
        let cell = |estimate: Option<Estimate>| estimate.as_ref().map_or_else(|| "-".to_owned(), show);
        rows.push(row(name, systems.iter().map(|system| cell(system.metric(name))).collect()));
    }
    let rungs = systems.iter().map(|system| {
        let counts: Vec<String> = system.rungs.iter().map(|(rung, count)| format!("{rung} {count}")).collect();
        counts.join(", ")
    });
    rows.push(row("rungs", rungs.collect()));
    rows
}

fn pair_rows(report: &EvalReport) -> Vec<Vec<String>> {
    let titles = ["against", "figure", "difference", "p"].map(str::to_owned).to_vec();
    let row = |pair: &PairReport| {
        vec![pair.against.clone(), pair.metric.to_owned(), show(&pair.difference), format!("{:.3}", pair.p)]
    };
    [titles].into_iter().chain(report.pairs.iter().map(row)).collect()
}

fn slice_rows(report: &EvalReport) -> Vec<Vec<String>> {
    let metrics = report.slices.first().map_or(&[][..], |slice| &slice.metrics);
    let titles = ["by", "part", "moments"].into_iter().chain(metrics.iter().map(|metric| metric.name));
    let row = |slice: &SliceReport| {
        let place = [slice.dimension.to_owned(), slice.slice.to_owned(), slice.n.to_string()];
        place.into_iter().chain(slice.metrics.iter().map(|metric| show(&metric.estimate))).collect()
    };
    [titles.map(str::to_owned).collect()].into_iter().chain(report.slices.iter().map(row)).collect()
}

fn head_rows(heads: &[HeadReport]) -> Vec<Vec<String>> {
    let titles = ["head", "against", "AUC", "log loss", "ECE", "positives", "negatives"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    for head in heads {
        let cell = |estimate: &Option<Estimate>| estimate.as_ref().map_or_else(|| "-".to_owned(), show);
        let auc = head.auc.as_ref().map_or_else(|| head.note.unwrap_or("-").to_owned(), show);
        let figures =
            [auc, cell(&head.log_loss), cell(&head.ece), head.positives.to_string(), head.negatives.to_string()];
        rows.push([head.task.to_owned(), head.against.to_owned()].into_iter().chain(figures).collect());
    }
    rows
}

fn show(estimate: &Estimate) -> String {
    format!("{:.4} [{:.4}, {:.4}]", estimate.value, estimate.low, estimate.high)
}

/// Writes rows with every column as wide as its widest cell.
fn align(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::super::tally::tests::report;
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let text = text_table(&report());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("2 of 10 moments, 1 listeners"), "{text}");
        let row = |name: &str| lines.iter().find(|line| line.starts_with(name)).copied().unwrap();
        let at = lines[2].find("popularity").unwrap();
        assert_eq!(row("hr@20").get(at..at + 6), Some("0.0000"), "{text}");
        assert_eq!(row("recall_two_tower@100").get(at..), Some("-"), "no two-tower source, no figure: {text}");
        assert!(row("popularity  hr@20").contains("0.5000") && row("hour  0-5").contains("0.5000"), "{text}");
        assert!(text.contains("one class only"), "{text}");
    }
}
