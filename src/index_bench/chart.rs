//! Recall against speed, as SVG.

use std::fmt::Write;

use super::Measured;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 50.0;
const TOP: f64 = 40.0;
/// Recall at the left edge.
const LEAST: f64 = 0.8;
/// Colours that stay apart for colour-blind readers (Okabe and Ito).
const COLOURS: [&str; 6] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"];

/// Draws queries a second and core (logarithmic) over recall at `k`, one line a kind of index.
pub fn chart(all: &[Measured], k: usize) -> String {
    let recall = |m: &Measured| if k >= 1_000 { m.recall_at_1000 } else { m.recall_at_100 };
    let points: Vec<_> = all
        .iter()
        .filter(|m| m.k == k)
        .filter_map(|m| Some((m.kind, recall(m).filter(|r| *r >= LEAST)?, m.qps_per_core)))
        .collect();
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
    let mut kinds: Vec<&str> = points.iter().map(|point| point.0).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for (kind, colour) in kinds.iter().zip(COLOURS.iter().cycle()) {
        let mut own: Vec<_> = points.iter().filter(|point| point.0 == *kind).collect();
        own.sort_by(|a, b| a.1.total_cmp(&b.1));
        let path: Vec<String> = own.iter().map(|(_, r, s)| format!("{:.1} {:.1}", x(*r), y(*s))).collect();
        line(format!("<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", path.join("L")));
        for (_, r, s) in &own {
            line(format!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(*r), y(*s)));
        }
        if let Some((_, r, s)) = own.last() {
            line(format!("<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{kind}</text>", x(*r) + 8.0, y(*s) + 4.0));
        }
    }
    line("</svg>".to_owned());
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_one_line_a_kind() {
        let point = |kind, recall, qps_per_core| Measured {
            set: "smooth".into(),
            rows: 10,
            dim: 4,
            kind,
            params: String::new(),
            k: 100,
            recall_at_100: Some(recall),
            recall_at_1000: None,
            ms_p50: 1.0,
            ms_p99: 1.0,
            cpu_ms: 1.0,
            qps_per_core,
            build_cpu_s: 0.0,
            bytes_per_track: 0.0,
        };
        let svg = chart(&[point("lists", 0.9, 3_000.0), point("lists", 0.99, 900.0), point("exact", 1.0, 40.0)], 100);
        assert_eq!((svg.matches("<circle").count(), svg.matches("stroke-width=\"2\"").count()), (3, 2));
        assert!(svg.contains("smooth, 10 x 4") && svg.contains(">lists</text>"));
        assert!(chart(&[], 100).ends_with("</svg>\n"));
    }
}
