//! The measures by day, as a drawing.

use super::report::SimulationReport;
use crate::evaluate::svg::{escape, push};

const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const PANEL: (f64, f64) = (240.0, 160.0);
const PLOT: (f64, f64) = (180.0, 100.0);
const LEFT: f64 = 46.0;
const TOP: f64 = 40.0;
const COLUMNS: usize = 4;

/// One panel a measure, one line a policy, mean over seeds; an SVG document.
pub fn day_chart(report: &SimulationReport) -> String {
    let mut body = String::new();
    let measures = report.policies.first().map_or(0, |policy| policy.measures.len());
    for (at, policy) in report.policies.iter().enumerate() {
        let y = TOP - 22.0;
        let x = LEFT + 150.0 * at as f64;
        let colour = COLOURS[at % COLOURS.len()];
        let name = escape(&policy.name);
        push(&mut body, format_args!("<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\" font-weight=\"bold\">{name}</text>"));
    }
    for at in 0..measures {
        let (column, row) = (at % COLUMNS, at / COLUMNS);
        panel(&mut body, report, at, (LEFT + column as f64 * PANEL.0, TOP + 24.0 + row as f64 * PANEL.1));
    }
    let width = COLUMNS as f64 * PANEL.0;
    let height = TOP + measures.div_ceil(COLUMNS) as f64 * PANEL.1;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\"><rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>{body}</svg>\n"
    )
}

/// Draws one measure with its plot's upper left corner at `(x, y)`.
fn panel(body: &mut String, report: &SimulationReport, measure: usize, (x, y): (f64, f64)) {
    let lines = || report.policies.iter().filter_map(|policy| policy.measures.get(measure));
    let finite = || lines().flat_map(|line| line.by_day.iter().copied()).filter(|value| value.is_finite());
    let (low, high) = finite().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    let Some(first) = lines().next() else { return };
    if low > high {
        return;
    }
    let span = (high - low).max(1e-9);
    let days = first.by_day.len();
    push(
        body,
        format_args!(
            "<text x=\"{x}\" y=\"{:.1}\" font-weight=\"bold\">{}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{high:.3}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{low:.3}</text>\
             <text x=\"{x}\" y=\"{:.1}\">day 1</text><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{days}</text>\
             <path d=\"M{x} {y}v{}h{}\" stroke=\"#888\" fill=\"none\"/>",
            y - 6.0,
            first.name,
            x - 4.0,
            y + 8.0,
            x - 4.0,
            y + PLOT.1,
            y + PLOT.1 + 14.0,
            x + PLOT.0,
            y + PLOT.1 + 14.0,
            PLOT.1,
            PLOT.0,
        ),
    );
    for (at, line) in lines().enumerate() {
        let points = line.by_day.iter().enumerate().filter(|(_, value)| value.is_finite()).map(|(day, value)| {
            let across = day as f64 / days.saturating_sub(1).max(1) as f64;
            format!("{:.1} {:.1}", x + across * PLOT.0, y + (high - value) / span * PLOT.1)
        });
        let path = points.collect::<Vec<_>>().join("L");
        let colour = COLOURS[at % COLOURS.len()];
        push(body, format_args!("<path d=\"M{path}\" stroke=\"{colour}\" stroke-width=\"1.6\" fill=\"none\"/>"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::day::Day;
    use super::super::report::summarise;
    use super::*;

    #[test]
    fn draws_a_line_a_policy_in_each_panel() {
        let day = |present| Day { days: 1, listeners: 10, present, tracks: 5, ..Day::default() };
        let runs = vec![vec![vec![day(9), day(8)]], vec![vec![day(9), day(7)]]];
        let (policies, comparisons) = summarise(&["a<b".into(), "c".into()], runs);
        let measures = policies[0].measures.len();
        let report = SimulationReport { listeners: 10, days: 2, seeds: (1, 1), policies, comparisons };
        let svg = day_chart(&report);
        assert_eq!(svg.matches("stroke-width=\"1.6\"").count(), 2 * measures);
        assert!(svg.contains("a&lt;b") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
