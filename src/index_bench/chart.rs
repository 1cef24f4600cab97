//! Recall against speed, as SVG.

use std::fmt::Write;

use super::Measured;

/// What a chart is drawn from: `segue index bench --json` writes it, `scripts/bench/ann_peers --json` too, which adds the
/// settings that it tried on the way to the chosen one.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[expect(missing_docs, reason = "the names are those of `Measured`")]
pub struct Point {
    pub set: String,
    pub rows: usize,
    pub dim: usize,
    pub kind: String,
    pub k: usize,
    pub recall_at_100: Option<f64>,
    pub recall_at_1000: Option<f64>,
    pub cpu_ms: f64,
    #[serde(default)]
    pub sweep: Vec<Tried>,
}

/// A setting that was tried.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub struct Tried {
    /// Share of the k hits that were found.
    pub recall: f64,
    /// CPU time a query, milliseconds.
    pub cpu_ms: f64,
}

impl From<&Measured> for Point {
    fn from(m: &Measured) -> Self {
        Self {
            set: m.set.clone(),
            rows: m.rows,
            dim: m.dim,
            kind: m.kind.into(),
            k: m.k,
            recall_at_100: m.recall_at_100,
            recall_at_1000: m.recall_at_1000,
            cpu_ms: m.cpu_ms,
            sweep: Vec::new(),
        }
    }
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 50.0;
const TOP: f64 = 40.0;
/// Recall at the left edge.
const LEAST: f64 = 0.8;
/// Colours that stay apart for colour-blind readers (Okabe and Ito).
const COLOURS: [&str; 6] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"];

/// Recall and queries a second of all settings of a kind that no other setting beats in both, by recall.
fn front<'a>(all: &'a [Point], kind: &str, k: usize) -> Vec<(&'a str, f64, f64)> {
    let own = all.iter().filter(|point| point.k == k && point.kind == kind);
    let mut points: Vec<(&str, f64, f64)> = Vec::new();
    for point in own {
        let recall = if k >= 1_000 { point.recall_at_1000 } else { point.recall_at_100 };
        let tried = point.sweep.iter().map(|tried| (tried.recall, tried.cpu_ms));
        let both = tried.chain(recall.map(|recall| (recall, point.cpu_ms)));
        points.extend(both.map(|(recall, cpu_ms)| (point.kind.as_str(), recall, 1e3 / cpu_ms)));
    }
    points.retain(|(_, recall, speed)| *recall >= LEAST && speed.is_finite());
    points.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.2.total_cmp(&a.2)));
    let mut fastest = 0.0;
    points.retain(|(_, _, speed)| {
        let is_faster = *speed > fastest;
        fastest = speed.max(fastest);
        is_faster
    });
    points.reverse();
    points
}

/// Draws queries a second and core (logarithmic) over recall at `k`, one line a kind of index.
pub fn chart(all: &[Point], k: usize) -> String {
    let mut kinds: Vec<&str> = all.iter().map(|point| point.kind.as_str()).collect();
    // Ours first, so that it has one colour in all charts.
    kinds.sort_unstable_by_key(|kind| (!["segue", "lists"].contains(kind), *kind));
    kinds.dedup();
    let points: Vec<_> = kinds.iter().flat_map(|kind| front(all, kind, k)).collect();
    let (mut low, mut high) = (f64::MAX, f64::MIN);
    for (_, _, speed) in &points {
        (low, high) = (low.min(speed.log10().floor()), high.max(speed.log10().ceil()));
    }
    let x = |recall: f64| LEFT + (recall - LEAST) / (1.0 - LEAST) * (WIDTH - LEFT - 130.0);
    let y = |speed: f64| TOP + (high - speed.log10()) / (high - low).max(1.0) * (HEIGHT - TOP - BOTTOM);
    let title = all.first().map_or(String::new(), |m| format!("{}, {} x {}, k = {k}", m.set, m.rows, m.dim));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">Queries/s a core over recall: {title}</text>\n"
    );
    // Writing to a string cannot fail.
    let mut line = |text: String| _ = writeln!(svg, "{text}");
    for tick in 0..=4 {
        let (at, label) = (x(LEAST + 0.05 * f64::from(tick)), LEAST + 0.05 * f64::from(tick));
        let (end, below) = (HEIGHT - BOTTOM, HEIGHT - BOTTOM + 18.0);
        line(format!("<path d=\"M{at:.1} {TOP}V{end}\" stroke=\"#ddd\"/>"));
        line(format!("<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{label:.2}</text>"));
    }
    let mut power = low;
    while power <= high && !points.is_empty() {
        let (at, end, before) = (y(10f64.powf(power)), WIDTH - 130.0, LEFT - 8.0);
        line(format!("<path d=\"M{LEFT} {at:.1}H{end}\" stroke=\"#ddd\"/>"));
        line(format!("<text x=\"{before}\" y=\"{:.1}\" text-anchor=\"end\">{:.0}</text>", at + 4.0, 10f64.powf(power)));
        power += 1.0;
    }
    let mut labels: Vec<(f64, f64, String)> = Vec::new();
    for (kind, colour) in kinds.iter().zip(COLOURS.iter().cycle()) {
        let own: Vec<_> = points.iter().filter(|point| point.0 == *kind).collect();
        let path: Vec<String> = own.iter().map(|(_, r, s)| format!("{:.1} {:.1}", x(*r), y(*s))).collect();
        line(format!("<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", path.join("L")));
        for (_, r, s) in &own {
            line(format!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(*r), y(*s)));
        }
        if let Some((_, r, s)) = own.last() {
            labels.push((y(*s) + 4.0, x(*r) + 8.0, format!("fill=\"{colour}\">{kind}</text>")));
        }
    }
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = TOP;
    for (y, x, text) in labels {
        let at = y.max(free);
        free = at + 13.0;
        line(format!("<text x=\"{x:.1}\" y=\"{at:.1}\" {text}"));
    }
    line("</svg>".to_owned());
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_one_line_a_kind() {
        let point = |kind: &str, recall, cpu_ms| Point {
            set: "smooth".into(),
            rows: 10,
            dim: 4,
            kind: kind.into(),
            k: 100,
            recall_at_100: Some(recall),
            recall_at_1000: None,
            cpu_ms,
            sweep: vec![Tried { recall: recall - 0.05, cpu_ms: cpu_ms / 2.0 }, Tried { recall: 0.85, cpu_ms: 9e3 }],
        };
        let all = [point("lists", 0.9, 0.3), point("lists", 0.99, 1.1), point("exact", 1.0, 25.0)];
        let svg = chart(&all, 100);
        assert_eq!((svg.matches("<circle").count(), svg.matches("stroke-width=\"2\"").count()), (6, 2));
        assert!(svg.contains("smooth, 10 x 4") && svg.contains(">lists</text>"));
        assert!(chart(&[], 100).ends_with("</svg>\n"));
    }
}
