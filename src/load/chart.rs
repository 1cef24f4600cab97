//! Lines over time or over rates, as a drawing.

use crate::evaluate::svg::{escape, push};

const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];
const WIDTH: f64 = 720.0;
const LEFT: f64 = 64.0;
const PLOT: (f64, f64) = (630.0, 150.0);
const PANEL: f64 = 220.0;

/// One plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// What is drawn, with its unit.
    pub title: String,
    /// What runs across, with its unit.
    pub across: &'static str,
    /// Name and points of each line; points that are not finite are left out.
    pub lines: Vec<(&'static str, Vec<(f64, f64)>)>,
}

/// Panels below each other, each with its own scale from 0; an SVG document.
pub fn charts(panels: &[Panel]) -> String {
    let mut body = String::new();
    for (at, panel) in panels.iter().enumerate() {
        draw(&mut body, panel, (LEFT, at as f64 * PANEL + 34.0));
    }
    let height = panels.len() as f64 * PANEL;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\"><rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>{body}</svg>\n"
    )
}

/// Draws one panel with its plot's upper left corner at `(x, y)`.
fn draw(body: &mut String, panel: &Panel, (x, y): (f64, f64)) {
    let finite = |line: &[(f64, f64)]| -> Vec<(f64, f64)> {
        line.iter().copied().filter(|(across, up)| across.is_finite() && up.is_finite()).collect()
    };
    let lines: Vec<(&str, Vec<(f64, f64)>)> = panel.lines.iter().map(|(name, line)| (*name, finite(line))).collect();
    let (right, top) = lines
        .iter()
        .flat_map(|(_, line)| line)
        .fold((1e-9, 1e-9), |(right, top): (f64, f64), (across, up)| (right.max(*across), top.max(*up)));
    let low = y + PLOT.1;
    push(
        body,
        format_args!(
            "<text x=\"{x}\" y=\"{:.1}\" font-weight=\"bold\">{}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{top:.1}</text>\
             <text x=\"{:.1}\" y=\"{low:.1}\" text-anchor=\"end\">0</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{right:.1} {}</text>\
             <path d=\"M{x} {y}v{}h{}\" stroke=\"#888\" fill=\"none\"/>",
            y - 12.0,
            escape(&panel.title),
            x - 4.0,
            y + 8.0,
            x - 4.0,
            x + PLOT.0,
            low + 14.0,
            panel.across,
            PLOT.1,
            PLOT.0,
        ),
    );
    for (at, (name, line)) in lines.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let name_at = x + PLOT.0 - 110.0 * (lines.len() - at) as f64;
        let points = line
            .iter()
            .map(|(across, up)| format!("{:.1} {:.1}", x + across / right * PLOT.0, low - up / top * PLOT.1));
        let path = points.collect::<Vec<_>>().join("L");
        push(body, format_args!("<text x=\"{name_at:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>", y - 12.0));
        if !path.is_empty() {
            push(body, format_args!("<path d=\"M{path}\" stroke=\"{colour}\" stroke-width=\"1.4\" fill=\"none\"/>"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_what_is_finite_and_escapes_titles() {
        let lines = vec![("a", vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)]), ("b", vec![(1.0, f64::INFINITY)])];
        let svg = charts(&[Panel { title: "P99 < 1".into(), across: "s", lines }]);
        assert_eq!(svg.matches("stroke-width=\"1.4\"").count(), 1);
        assert!(svg.contains("M64.0 134.0L694.0 34.0"), "{svg}");
        assert!(svg.contains("P99 &lt; 1") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
