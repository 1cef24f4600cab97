//! The result of an evaluation as a drawing.

use super::report::{EvalReport, MetricReport};
use super::svg::{escape, push};

const WIDTH: f64 = 760.0;
const LABEL: f64 = 170.0;
const VALUE: f64 = 60.0;
const BAR: f64 = 16.0;
const GAP: f64 = 5.0;
const TITLE: f64 = 30.0;
/// Fills that stay apart for colour-blind readers (Okabe and Ito).
const FILLS: [&str; 6] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"];

/// Bars for every metric and system with 95 % whiskers, as an SVG document. Each panel has its own scale from 0.
pub fn bar_chart(report: &EvalReport) -> String {
    let mut body = String::new();
    let mut top = 0.0;
    for name in report.metric_names() {
        top = panel(&mut body, report, name, top);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" font-family=\"sans-serif\" \
         font-size=\"12\"><rect width=\"{WIDTH}\" height=\"{top}\" fill=\"#fff\"/>{body}</svg>\n"
    )
}

/// Draws one metric below `top`; returns where the next panel begins.
fn panel(body: &mut String, report: &EvalReport, name: &str, top: f64) -> f64 {
    let rows: Vec<(usize, &str, &MetricReport)> = report
        .systems
        .iter()
        .enumerate()
        .filter_map(|(at, system)| {
            Some((at, system.name.as_str(), system.metrics.iter().find(|metric| metric.name == name)?))
        })
        .collect();
    let most = rows.iter().map(|(_, _, metric)| metric.estimate.high).fold(1e-9, f64::max);
    let scale = (WIDTH - LABEL - VALUE) / most;
    push(body, format_args!("<text x=\"8\" y=\"{}\" font-weight=\"bold\">{}</text>", top + 20.0, escape(name)));
    let mut y = top + TITLE;
    for (at, system, metric) in rows {
        let (value, low, high) = (metric.estimate.value, metric.estimate.low, metric.estimate.high);
        let (end, middle) = (LABEL + value * scale, y + BAR / 2.0);
        let (left, right) = (LABEL + low * scale, LABEL + high * scale);
        push(
            body,
            format_args!(
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                LABEL - 8.0,
                y + 12.0,
                escape(system)
            ),
        );
        push(
            body,
            format_args!(
                "<rect x=\"{LABEL}\" y=\"{y}\" width=\"{:.2}\" height=\"{BAR}\" fill=\"{}\"/>\
                 <path d=\"M{left:.2} {middle}H{right:.2}\" stroke=\"#333\" fill=\"none\"/>\
                 <text x=\"{:.2}\" y=\"{}\">{value:.4}</text>",
                end - LABEL,
                FILLS[at % FILLS.len()],
                right + 6.0,
                y + 12.0,
            ),
        );
        y += BAR + GAP;
    }
    y + GAP
}

#[cfg(test)]
mod tests {
    use super::super::tally::tests::report;
    use super::*;

    #[test]
    fn draws_a_bar_a_figure_and_escapes_names() {
        let mut report = report();
        report.systems[0].name = "a<b&c".into();
        let svg = bar_chart(&report);
        let figures: usize = report.systems.iter().map(|system| system.metrics.len()).sum();
        assert_eq!(svg.matches("<path ").count(), figures);
        assert!(svg.contains("a&lt;b&amp;c") && !svg.contains("a<b"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
