//! What a dial does to the lists, as a drawing.

use super::report::{Dials, EvalReport};
use super::svg::push;
use crate::statistics::Estimate;

/// Figures drawn, one panel each.
const DRAWN: [&str; 6] = ["ndcg@20", "new_artists@20", "novelty@20", "coverage@20", "gini@20", "distance@20"];
const WIDTH: f64 = 760.0;
const PANEL_WIDTH: f64 = 240.0;
const PANEL_HEIGHT: f64 = 170.0;
const LEFT: f64 = 46.0;
const TOP: f64 = 56.0;
const PLOT_WIDTH: f64 = 180.0;
const PLOT_HEIGHT: f64 = 100.0;

/// A dial of the requests that lists can be drawn along.
#[derive(Debug, Clone, Copy)]
pub struct Dial {
    /// Its name in requests.
    pub name: &'static str,
    of: fn(&Dials) -> f32,
}

/// All of them.
pub const DIALS: [Dial; 2] =
    [Dial { name: "discovery", of: |dials| dials.discovery }, Dial { name: "diversity", of: |dials| dials.diversity }];

/// One small panel a figure over a dial of the requests, with 95 % bands, as an SVG document. Takes the systems that differ
/// from the first one in this dial alone; `None` for fewer than two settings.
pub fn dial_chart(report: &EvalReport, dial: &Dial) -> Option<String> {
    let Dial { name, of: dial } = dial;
    let first = report.systems.first()?;
    let others = |dials: &Dials| dials.diversity + dials.discovery - dial(dials);
    let mut settings: Vec<_> = report
        .systems
        .iter()
        .filter(|system| system.name.starts_with(&first.name) && others(&system.dials) == others(&first.dials))
        .map(|system| (f64::from(dial(&system.dials)), system))
        .collect();
    settings.sort_by(|a, b| a.0.total_cmp(&b.0));
    if settings.len() < 2 {
        return None;
    }
    let mut body = String::new();
    for (at, figure) in DRAWN.iter().enumerate() {
        let points: Vec<(f64, Estimate)> =
            settings.iter().filter_map(|(set, system)| Some((*set, system.metric(figure)?))).collect();
        let (x, y) = ((at % 3) as f64 * PANEL_WIDTH, (at / 3) as f64 * PANEL_HEIGHT);
        panel(&mut body, figure, &points, (x + LEFT, y + TOP));
    }
    let height = TOP + 2.0 * PANEL_HEIGHT - 10.0;
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\"><rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">Lists along {name}, 0 to 1 ({} moments)</text>{body}</svg>\n",
        report.moments
    ))
}

/// Draws one figure with its plot's upper left corner at `(x, y)`.
fn panel(body: &mut String, figure: &str, points: &[(f64, Estimate)], (x, y): (f64, f64)) {
    let low = points.iter().map(|(_, estimate)| estimate.low).fold(f64::MAX, f64::min);
    let high = points.iter().map(|(_, estimate)| estimate.high).fold(f64::MIN, f64::max);
    let span = (high - low).max(1e-9);
    let place =
        |set: f64, value: f64| format!("{:.1} {:.1}", x + set * PLOT_WIDTH, y + (high - value) / span * PLOT_HEIGHT);
    let upper = points.iter().map(|(set, estimate)| place(*set, estimate.high));
    let lower = points.iter().rev().map(|(set, estimate)| place(*set, estimate.low));
    let band: Vec<String> = upper.chain(lower).collect();
    let line: Vec<String> = points.iter().map(|(set, estimate)| place(*set, estimate.value)).collect();
    push(
        body,
        format_args!(
            "<text x=\"{x}\" y=\"{:.1}\" font-weight=\"bold\">{figure}</text>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{high:.3}</text>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{low:.3}</text>\
         <path d=\"M{x} {y}v{PLOT_HEIGHT}h{PLOT_WIDTH}\" stroke=\"#888\" fill=\"none\"/>\
         <path d=\"M{}Z\" fill=\"#0072b2\" fill-opacity=\"0.2\"/>\
         <path d=\"M{}\" stroke=\"#0072b2\" stroke-width=\"2\" fill=\"none\"/>",
            y - 8.0,
            x - 4.0,
            y + 8.0,
            x - 4.0,
            y + PLOT_HEIGHT,
            band.join("L"),
            line.join("L"),
        ),
    );
    for (set, _) in points {
        let (x, y) = (x + set * PLOT_WIDTH, y + PLOT_HEIGHT + 14.0);
        push(body, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{set}</text>"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tally::tests::report;
    use super::*;

    #[test]
    fn draws_the_systems_that_differ_in_the_dial_alone() {
        let mut report = report();
        assert!(dial_chart(&report, &DIALS[0]).is_none());
        let mut turned = report.systems[0].clone();
        turned.name = "segue, discovery 0.5".into();
        turned.dials.discovery = 0.5;
        let mut both = turned.clone();
        both.dials.diversity = 0.5;
        report.systems.extend([both, turned]);
        let svg = dial_chart(&report, &DIALS[0]).unwrap();
        assert_eq!((svg.matches(">0.5</text>").count(), svg.matches(">0</text>").count()), (DRAWN.len(), DRAWN.len()));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(dial_chart(&report, &DIALS[1]).is_none());
    }
}
