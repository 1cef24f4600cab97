//! The result of an evaluation as text.

use std::fmt::Write;

use super::report::{Estimate, EvalReport, HeadReport};

/// Aligned columns: one row a system, one row a head, 95 % intervals in brackets.
pub fn text_table(report: &EvalReport) -> String {
    let mut text = format!(
        "{} of {} moments, {} listeners; 95 % intervals by bootstrap over listeners, seed {}\n\n",
        report.moments, report.moments_in_test, report.users, report.seed
    );
    align(&mut text, &system_rows(report));
    if !report.heads.is_empty() {
        text.push('\n');
        align(&mut text, &head_rows(&report.heads));
    }
    text
}

fn system_rows(report: &EvalReport) -> Vec<Vec<String>> {
    let mut names: Vec<&str> = Vec::new();
    for metric in report.systems.iter().flat_map(|system| &system.metrics) {
        if !names.contains(&metric.name) {
            names.push(metric.name);
        }
    }
    let titles = ["system"].into_iter().chain(names.iter().copied()).chain(["coverage@20", "gini@20", "rungs"]);
    let mut rows = vec![titles.map(str::to_owned).collect::<Vec<_>>()];
    for system in &report.systems {
        let cell = |name: &&str| {
            let metric = system.metrics.iter().find(|metric| metric.name == *name);
            metric.map_or_else(|| "-".to_owned(), |metric| show(&metric.estimate))
        };
        let rungs: Vec<String> = system.rungs.iter().map(|(rung, count)| format!("{rung} {count}")).collect();
        let mut row = vec![system.name.clone()];
        row.extend(names.iter().map(cell));
        row.extend([format!("{:.4}", system.coverage), format!("{:.4}", system.gini), rungs.join(", ")]);
        rows.push(row);
    }
    rows
}

fn head_rows(heads: &[HeadReport]) -> Vec<Vec<String>> {
    let mut rows = vec![["head", "against", "AUC", "positives", "negatives"].map(str::to_owned).to_vec()];
    for head in heads {
        let auc = head.auc.as_ref().map_or_else(|| head.note.unwrap_or("-").to_owned(), show);
        let counts = [head.positives.to_string(), head.negatives.to_string()];
        rows.push([head.task.to_owned(), head.against.to_owned(), auc].into_iter().chain(counts).collect());
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
        let at = lines[2].find("hr@20").unwrap();
        assert_eq!(lines[3].get(at..at + 6), Some("0.5000"), "{text}");
        assert_eq!(lines[4].get(at..at + 6), Some("0.0000"), "{text}");
        assert!(lines[4].starts_with("popularity  -"), "no two-tower source, no figure: {text}");
        assert!(text.contains("one class only"), "{text}");
    }
}
