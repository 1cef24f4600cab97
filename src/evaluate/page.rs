//! The result of an evaluation as one page without external resources.

use super::calibration::Decile;
use super::chart::bar_chart;
use super::dial_chart::{DIALS, dial_chart};
use super::report::{EvalReport, HeadReport};
use super::svg::{escape, push};
use crate::statistics::Estimate;

/// The look of pages.
pub(crate) const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}\
table{border-collapse:collapse;margin:1em 0;display:block;overflow-x:auto}td,th{padding:.25em .7em;text-align:right;\
border-bottom:1px solid #ddd;white-space:nowrap}td:first-child,th:first-child{text-align:left}small{color:#666}\
svg{max-width:760px;width:100%;height:auto}";

/// Tables and drawings of everything in the report; `title` names what was evaluated.
pub fn html_page(report: &EvalReport, title: &str) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{0}</title><style>{STYLE}</style><h1>{0}</h1>\
         <p>{1} of {2} moments, {3} listeners. Brackets: 95 % intervals by bootstrap over listeners, seed {4}; of coverage \
         and Gini by jackknife.</p>",
        escape(title),
        report.moments,
        report.moments_in_test,
        report.users,
        report.seed
    );
    systems(&mut page, report);
    page.push_str(&bar_chart(report));
    for dial in &DIALS {
        if let Some(chart) = dial_chart(report, dial) {
            push(&mut page, format_args!("<h2>The dial <code>{}</code></h2>{chart}", dial.name));
        }
    }
    pairs(&mut page, report);
    heads(&mut page, &report.heads);
    slices(&mut page, report);
    page.push_str("</html>\n");
    page
}

fn systems(page: &mut String, report: &EvalReport) {
    page.push_str("<h2>Systems</h2><table><tr><th>figure</th>");
    report.systems.iter().for_each(|system| push(page, format_args!("<th>{}</th>", escape(&system.name))));
    for name in report.metric_names() {
        push(page, format_args!("</tr><tr><td>{name}</td>"));
        report.systems.iter().for_each(|system| push(page, format_args!("<td>{}</td>", cell(system.metric(name)))));
    }
    page.push_str("</tr></table>");
}

fn pairs(page: &mut String, report: &EvalReport) {
    if report.pairs.is_empty() {
        return;
    }
    page.push_str("<h2>Differences at the same moments</h2><table><tr><th>against</th><th>figure</th><th>difference</th><th>p</th>");
    for pair in &report.pairs {
        let (against, difference) = (escape(&pair.against), cell(Some(pair.difference)));
        push(
            page,
            format_args!(
                "</tr><tr><td>{against}</td><td>{}</td><td>{difference}</td><td>{:.3}</td>",
                pair.metric, pair.p
            ),
        );
    }
    page.push_str("</tr></table>");
}

fn heads(page: &mut String, heads: &[HeadReport]) {
    if heads.is_empty() {
        return;
    }
    page.push_str("<h2>Heads of the ranker</h2><table><tr><th>head</th><th>against</th><th>AUC</th><th>log loss</th><th>ECE</th><th>positives</th><th>negatives</th>");
    for head in heads {
        let [auc, loss, ece] = [head.auc, head.log_loss, head.ece].map(cell);
        let (task, against) = (head.task, head.against);
        push(
            page,
            format_args!("</tr><tr><td>{task}</td><td>{against}</td><td>{auc}</td><td>{loss}</td><td>{ece}</td>"),
        );
        push(page, format_args!("<td>{}</td><td>{}</td>", head.positives, head.negatives));
    }
    page.push_str("</tr></table>");
    let drawn = heads.iter().filter(|head| !head.deciles.is_empty());
    drawn.for_each(|head| reliability(page, head.task, &head.deciles));
}

/// Stated against observed share; a calibrated head lies on the diagonal.
fn reliability(page: &mut String, task: &str, deciles: &[Decile]) {
    let most = deciles.iter().map(|decile| decile.stated.max(decile.observed)).fold(0.01, f64::max);
    let place = |share: f64| share / most * 160.0;
    push(
        page,
        format_args!(
            "<svg viewBox=\"0 0 230 210\" style=\"max-width:230px\" font-size=\"10\"><text x=\"30\" y=\"12\">{task}: observed \
             over stated, to {most:.2}</text><path d=\"M30 20v160h160M30 180L190 20\" stroke=\"#888\" fill=\"none\"/>"
        ),
    );
    for decile in deciles {
        let (x, y) = (30.0 + place(decile.stated), 180.0 - place(decile.observed));
        push(page, format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#0072b2\"/>"));
    }
    page.push_str("</svg>");
}

fn slices(page: &mut String, report: &EvalReport) {
    let Some(first) = report.slices.first() else { return };
    page.push_str("<h2>Parts of the moments</h2><table><tr><th>by</th><th>part</th><th>moments</th>");
    first.metrics.iter().for_each(|metric| push(page, format_args!("<th>{}</th>", metric.name)));
    for slice in &report.slices {
        push(page, format_args!("</tr><tr><td>{}</td><td>{}</td><td>{}</td>", slice.dimension, slice.slice, slice.n));
        slice.metrics.iter().for_each(|metric| push(page, format_args!("<td>{}</td>", cell(Some(metric.estimate)))));
    }
    page.push_str("</tr></table>");
}

fn cell(estimate: Option<Estimate>) -> String {
    let shown = |e: Estimate| format!("{:.4} <small>[{:.4}, {:.4}]</small>", e.value, e.low, e.high);
    estimate.map_or_else(|| "-".to_owned(), shown)
}

#[cfg(test)]
mod tests {
    use super::super::tally::tests::report;
    use super::*;

    #[test]
    fn holds_every_part_of_the_report_and_escapes_names() {
        let mut report = report();
        report.systems[1].name = "a<b".into();
        let page = html_page(&report, "x & y");
        assert!(page.contains("<h1>x &amp; y</h1>") && page.contains("a&lt;b") && !page.contains("a<b"));
        for part in ["Systems", "Differences", "Heads", "Parts of the moments", "0.5000 <small>", "listener", "0-5"] {
            assert!(page.contains(part), "{part}");
        }
        assert_eq!(page.matches("<tr>").count(), page.matches("</tr>").count());
        assert!(
            !page.contains("http://")
                || page.matches("http://").count() == page.matches("http://www.w3.org/2000/svg").count()
        );
    }
}
