//! Changes beside each other, as a drawing.

use super::ExperimentReport;
use crate::evaluate::svg::{escape, push};

const WIDTH: f64 = 760.0;
const LABEL: f64 = 250.0;
const VALUE: f64 = 130.0;
const ROW: f64 = 24.0;
const TOP: f64 = 34.0;
/// Better, worse, and what is neither for certain (Okabe and Ito).
const COLOURS: [&str; 3] = ["#009e73", "#d55e00", "#666"];

/// A line a measure and arm: the relative change to the first arm with its interval around 0, and the guardrail's margin; an SVG
/// document.
pub fn change_chart(report: &ExperimentReport) -> String {
    let rows: Vec<_> = report
        .measures
        .iter()
        .flat_map(|measure| measure.changes.iter().map(move |change| (measure, change)))
        .filter_map(|(measure, change)| Some((measure, change, change.relative?)))
        .collect();
    let most = rows.iter().flat_map(|(.., of)| [of.low.abs(), of.high.abs()]).fold(0.001, f64::max);
    let middle = LABEL + (WIDTH - LABEL - VALUE) / 2.0;
    let scale = (WIDTH - LABEL - VALUE) / 2.0 / most;
    let height = TOP + ROW * rows.len() as f64 + 8.0;
    let mut body = String::new();
    push(
        &mut body,
        format_args!(
            "<text x=\"8\" y=\"18\" font-weight=\"bold\">change to {}, relative, 95 %; to {:.1} % each side</text>\
             <path d=\"M{middle} {TOP}V{height}\" stroke=\"#bbb\" fill=\"none\"/>",
            report.arms.first().map_or_else(String::new, |arm| escape(&arm.name)),
            100.0 * most
        ),
    );
    for (at, (measure, change, of)) in rows.iter().enumerate() {
        let y = TOP + ROW * (at as f64 + 0.5);
        let sign = if measure.more_is_better { 1.0 } else { -1.0 };
        let colour = match (change.significant, sign * of.value > 0.0) {
            (true, true) => COLOURS[0],
            (true, false) => COLOURS[1],
            (false, _) => COLOURS[2],
        };
        let x = |value: f64| middle + value * scale;
        push(
            &mut body,
            format_args!(
                "<text x=\"8\" y=\"{:.1}\">{}: {}</text><path d=\"M{:.1} {y:.1}H{:.1}\" stroke=\"{colour}\" stroke-width=\"2\" \
                 fill=\"none\"/><circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>\
                 <text x=\"{}\" y=\"{:.1}\">{:+.2} %</text>",
                y + 4.0,
                measure.name,
                escape(&change.arm),
                x(of.low),
                x(of.high),
                x(of.value),
                WIDTH - VALUE + 12.0,
                y + 4.0,
                100.0 * of.value
            ),
        );
        if let Some(guard) = change.guard.filter(|guard| guard.margin < most) {
            let edge = x(-sign * guard.margin);
            push(
                &mut body,
                format_args!(
                    "<path d=\"M{edge:.1} {:.1}v12\" stroke=\"#000\" stroke-dasharray=\"2 2\" fill=\"none\"/>",
                    y - 6.0
                ),
            );
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>{body}</svg>\n"
    )
}
