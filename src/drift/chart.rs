//! The report as a drawing.

use super::DriftReport;
use crate::evaluate::svg::{escape, push};
use crate::features::Block;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 180.0;
const TOP: f64 = 34.0;
const HEIGHT: f64 = 180.0;
const BAR: f64 = 16.0;
/// Least and most AUC drawn; what is worse than a coin's is drawn at the edge.
const SCALE: (f64, f64) = (0.3, 1.0);
/// Inputs drawn, those that differ most.
const SHOWN: usize = 12;
/// Population stability indices from which on something may, and has, shifted.
const MARKS: [f64; 2] = [0.1, 0.25];
/// Colours that stay apart for colour-blind readers (Okabe and Ito), one a head.
const COLOURS: [&str; 3] = ["#0072b2", "#e69f00", "#009e73"];

/// AUC of the heads over time with 95 % whiskers, then how heads and inputs differ from training, as an SVG document.
pub fn drift_chart(report: &DriftReport) -> String {
    let mut body = String::new();
    rolling(&mut body, report);
    let height = bars(&mut body, report, TOP + HEIGHT + 20.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\"><rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>{body}</svg>\n"
    )
}

fn rolling(body: &mut String, report: &DriftReport) {
    let minutes = (report.until_ms - report.from_ms) / 60_000;
    push(
        body,
        format_args!(
            "<text x=\"8\" y=\"20\" font-weight=\"bold\">AUC of the {minutes} minutes before, over what was played</text>"
        ),
    );
    let place = |auc: f64| {
        let (least, most) = SCALE;
        TOP + HEIGHT * (most - auc.clamp(least, most)) / (most - least)
    };
    for mark in [0.5, 0.75, 1.0] {
        let y = place(mark);
        push(
            body,
            format_args!(
                "<path d=\"M{LEFT} {y:.1}H{WIDTH}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{mark}</text>",
                LEFT - 8.0,
                y + 4.0
            ),
        );
    }
    let step = (WIDTH - LEFT - 20.0) / (report.rolling.len().max(2) - 1) as f64;
    for (head, colour) in COLOURS.iter().enumerate() {
        let Some(name) = report.heads.get(head).map(|of| of.task) else { continue };
        let y = TOP + 16.0 * (head + 1) as f64;
        push(body, format_args!("<text x=\"8\" y=\"{y}\" fill=\"{colour}\">{name}</text>"));
        let points = report.rolling.iter().enumerate();
        for (at, auc) in points.filter_map(|(at, point)| Some((at, point.heads.get(head)?.auc?))) {
            let x = LEFT + 10.0 + at as f64 * step;
            push(
                body,
                format_args!(
                    "<path d=\"M{x:.1} {:.1}V{:.1}\" stroke=\"{colour}\"/><circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                    place(auc.low),
                    place(auc.high),
                    place(auc.value)
                ),
            );
        }
    }
}

/// Draws a bar for each head and for the inputs that differ most; returns where the drawing ends.
fn bars(body: &mut String, report: &DriftReport, top: f64) -> f64 {
    if report.drift.is_empty() {
        return top;
    }
    push(
        body,
        format_args!(
            "<text x=\"8\" y=\"{}\" font-weight=\"bold\">Population stability index against training</text>",
            top + 14.0
        ),
    );
    let heads = report.drift.iter().filter(|of| of.block == Block::Head);
    let shown: Vec<_> = heads.chain(report.drift.iter().filter(|of| of.block != Block::Head).take(SHOWN)).collect();
    let most = shown.iter().map(|of| of.divergence.psi).fold(2.0 * MARKS[1], f64::max);
    let scale = (WIDTH - LEFT - 60.0) / most;
    let (first, mut y) = (top + 24.0, top + 24.0);
    for of in shown {
        let (psi, kind) = (of.divergence.psi, if of.block == Block::Head { "head " } else { "" });
        push(
            body,
            format_args!(
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{kind}{}</text><rect x=\"{LEFT}\" y=\"{y}\" width=\"{:.1}\" \
                 height=\"{BAR}\" fill=\"{}\"/><text x=\"{:.1}\" y=\"{}\">{psi:.3}</text>",
                LEFT - 8.0,
                y + 12.0,
                escape(of.name),
                psi * scale,
                if psi > MARKS[1] { "#d55e00" } else { "#56b4e9" },
                LEFT + psi * scale + 6.0,
                y + 12.0
            ),
        );
        y += BAR + 4.0;
    }
    for mark in MARKS {
        push(body, format_args!("<path d=\"M{:.1} {first}V{y}\" stroke=\"#888\"/>", LEFT + mark * scale));
    }
    y + 8.0
}
