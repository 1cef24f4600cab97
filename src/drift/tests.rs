//! Figures of made-up plays.

use super::{Collected, Play, Range, Reading, Settings, drift_chart, report, text_table};
use crate::evaluate::{ScoredRow, auc};
use crate::features::Spread;
use crate::features::reference_testing::{Answer, reference};

const HOUR: i64 = 3_600_000;

/// Six hours with ten answers each; from the fourth on the head says the contrary of what happens.
fn collected() -> Collected {
    let mut found = Collected { window: (0, 6 * HOUR), ..Collected::default() };
    for number in 0..60u32 {
        let ts_ms = i64::from(number) * HOUR / 10;
        found.answers.push(ts_ms);
        for play in 0..4u32 {
            let completed = (number + play) % 3 != 0;
            let says = if ts_ms < 3 * HOUR { completed } else { !completed };
            let score = if says { 0.7 } else { 0.3 } + play as f32 / 100.0;
            let labels = [Some(completed), Some(!completed), None];
            found.plays.push(Play { ts_ms, listener: number % 7 + 90, tasks: [score, 1.0 - score, 0.1], labels });
        }
    }
    found
}

fn settings(from: i64, until: i64) -> Settings {
    Settings { range: Range { from_ms: from * HOUR, until_ms: until * HOUR }, step_ms: HOUR, resamples: 40, seed: 3 }
}

#[test]
fn rolling_figures_are_those_of_the_time_before() {
    let found = collected();
    let report = report("b", &found, None, &settings(4, 6));
    let ends: Vec<i64> = report.rolling.iter().map(|point| point.until_ms / HOUR).collect();
    assert_eq!(ends, [1, 2, 3, 4, 5, 6]);
    for point in &report.rolling {
        let held = |play: &&Play| (point.until_ms - 2 * HOUR..point.until_ms).contains(&play.ts_ms);
        let rows = found.plays.iter().filter(held).map(|play| ScoredRow {
            user: play.listener,
            score: play.tasks[0],
            positive: play.labels[0] == Some(true),
        });
        let rows: Vec<ScoredRow> = rows.collect();
        let head = &point.heads[0];
        let got = head.auc.unwrap();
        assert_eq!((Some(got.value), head.plays), (auc(&rows), rows.len()));
        assert!(got.low <= got.value && got.value <= got.high);
        let mean = rows.iter().map(|row| f64::from(row.score)).sum::<f64>() / rows.len() as f64;
        assert!((head.stated.unwrap() - mean).abs() < 1e-9);
        assert_eq!(point.heads[2].auc, None, "nothing is known of likes");
    }
    let aucs: Vec<f64> = report.rolling.iter().map(|point| point.heads[0].auc.unwrap().value).collect();
    assert!(aucs[2] > 0.99 && aucs[5] < 0.01 && aucs[3] > aucs[5] && aucs[3] < aucs[2], "{aucs:?}");
    assert_eq!((report.answers, report.heads[0].auc.unwrap().value < 0.01), (20, true));
    assert!(report.drift.is_empty() && report.reading().psi.is_none());
    assert!(text_table(&report).contains("nothing to compare with"));
}

#[test]
fn heads_come_first_and_what_differs_most_next() {
    let reference = reference(80);
    let mut found = collected();
    let mut spread = Spread::new(&reference);
    for number in 0..80 {
        let mut answer = Answer::new(number, 0.0);
        // `energy`, the third column of an item, and the third head.
        for (tasks, item, _) in &mut answer.rows {
            item[2] += 0.5;
            tasks[2] += 0.2;
        }
        spread.answer(&answer.user);
        answer.seen().iter().for_each(|row| spread.row(row));
    }
    found.spread = Some(spread);
    let report = report("b", &found, Some(&reference), &settings(0, 6));
    let names: Vec<&str> = report.drift.iter().take(4).map(|of| of.name).collect();
    assert_eq!(names, ["like", "complete", "skip", "energy"]);
    let Reading { auc, psi } = report.reading();
    assert_eq!(psi, Some(report.drift[0].divergence.psi));
    assert_eq!(auc, report.heads[0].auc);
    let text = text_table(&report);
    let svg = drift_chart(&report);
    let points: usize = report.rolling.iter().flat_map(|point| &point.heads).filter(|head| head.auc.is_some()).count();
    assert_eq!((svg.matches("<circle ").count(), svg.matches("<rect ").count()), (points, 1 + 3 + 12));
    assert!(svg.contains(">head like<") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    assert!(text.contains("head like") && text.contains("energy") && text.contains("complete by tenths"), "{text}");
}

#[test]
fn of_nothing_nothing_is_told() {
    let report = report("b", &Collected::default(), None, &settings(0, 6));
    assert!(report.rolling.is_empty() && report.heads.iter().all(|head| head.auc.is_none()));
    assert_eq!(report.reading(), Reading::default());
    assert!(text_table(&report).starts_with("b: 0 answers") && !drift_chart(&report).contains("NaN"));
}
