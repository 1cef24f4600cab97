//! The report as one page without external resources.

use super::chart::change_chart;
use super::table::{percent, shown};
use super::{ExperimentReport, MeasureReport};
use crate::evaluate::STYLE;
use crate::evaluate::svg::{escape, push};

/// Tables and the drawing of everything in the report.
pub fn html_page(report: &ExperimentReport) -> String {
    let name = escape(&report.experiment);
    let kind = if report.fixed_horizon { "of one look at a time fixed beforehand" } else { "that hold at every look" };
    let verdict = if report.mismatched { "a mismatch: nothing below can be trusted" } else { "as it should be" };
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{name}</title><style>{STYLE}</style><h1>{name}</h1>\
         <p>Sample ratio: p = {:.4}, {verdict}. 95 % intervals {kind}. Left out: {} listeners in two arms, {} answers of unknown \
         arms.</p><h2>Arms</h2><table><tr><th>arm</th><th>listeners</th><th>expected</th><th>answers</th><th>coverage</th></tr>",
        report.mismatch_p, report.crossed, report.strangers
    );
    for arm in &report.arms {
        push(
            &mut page,
            format_args!(
                "<tr><td>{}</td><td>{}</td><td>{:.0}</td><td>{}</td><td>{:.3}</td></tr>",
                escape(&arm.name),
                arm.listeners,
                arm.expected,
                arm.answers,
                arm.coverage
            ),
        );
    }
    page.push_str("</table>");
    page.push_str(&change_chart(report));
    report.measures.iter().for_each(|measure| part(&mut page, report, measure));
    if !report.untold.is_empty() {
        push(&mut page, format_args!("<p>Too little is known yet of: {}.</p>", report.untold.join(", ")));
    }
    page.push_str("</html>\n");
    page
}

fn part(page: &mut String, report: &ExperimentReport, measure: &MeasureReport) {
    let better = if measure.more_is_better { "more" } else { "less" };
    push(
        page,
        format_args!(
            "<h2>{}</h2><p>{}; {better} is better. What was known before explains {:.0} % of the variance.</p><table><tr><th>arm</th>\
             <th>listeners</th><th>figure</th><th>change</th><th>p</th><th>after Holm</th><th>detectable</th><th>guardrail</th></tr>",
            measure.name,
            measure.about,
            100.0 * measure.explained
        ),
    );
    for (at, (arm, figure)) in report.arms.iter().zip(&measure.arms).enumerate() {
        let (name, listeners) = (escape(&arm.name), measure.listeners[at]);
        push(page, format_args!("<tr><td>{name}</td><td>{listeners}</td><td>{}</td>", shown(*figure)));
        if let Some(change) = at.checked_sub(1).and_then(|at| measure.changes.get(at)) {
            let star = if change.significant { " *" } else { "" };
            let guard =
                change.guard.map_or_else(String::new, |of| format!("{:.1} %: {}", 100.0 * of.margin, of.verdict));
            let least = change.detectable.map_or_else(String::new, |least| format!("{:.1} %", 100.0 * least));
            let relative = change.relative.map_or_else(|| "-".to_owned(), percent);
            push(
                page,
                format_args!(
                    "<td>{relative}{star}</td><td>{:.4}</td><td>{:.4}</td><td>{least}</td><td>{guard}</td>",
                    change.p, change.p_holm
                ),
            );
        }
        page.push_str("</tr>");
    }
    page.push_str("</table>");
}
