//! The figures of a range and of every moment before its end.

use std::collections::HashMap;

use super::{Collected, Play, Range, Reading};
use crate::evaluate::{HeadReport, ScoredRow, head_report, percentile_interval, sort_rows, weighted_auc};
use crate::features::schema::TASKS;
use crate::features::{Block, ColumnDrift, Reference};
use crate::statistics::Estimate;

/// Most rolling figures, the last ones.
const MOST_POINTS: i64 = 1_000;

/// How a report is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// What is reported on; its length is that of every rolling figure.
    pub range: Range,
    /// Time between two rolling figures, ms.
    pub step_ms: i64,
    /// Resamples of listeners an interval.
    pub resamples: usize,
    /// Seed of the resampling.
    pub seed: u64,
}

/// One head over the time before a moment.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct HeadPoint {
    /// The task.
    pub task: &'static str,
    /// Area under the ROC curve over what was played; absent where only one class occurs.
    pub auc: Option<Estimate>,
    /// Mean probability that it stated; absent without a play whose end is known.
    pub stated: Option<f64>,
    /// Share in which it happened.
    pub observed: Option<f64>,
    /// Plays of which that is known.
    pub plays: usize,
}

/// The heads over the time before a moment.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Point {
    /// The moment, Unix ms.
    pub until_ms: i64,
    /// Answers.
    pub answers: usize,
    /// In schema order.
    pub heads: Vec<HeadPoint>,
}

/// What is known of a bundle's ranker.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct DriftReport {
    /// The bundle.
    pub bundle: String,
    /// Begin of the range, Unix ms.
    pub from_ms: i64,
    /// Its end.
    pub until_ms: i64,
    /// Answers in it.
    pub answers: usize,
    /// Answers of other bundles, left out.
    pub others: u64,
    /// Answers whose wait is not over, left out.
    pub waiting: u64,
    /// The heads over what was played in the range, with their calibration by tenths.
    pub heads: Vec<HeadReport>,
    /// The same over time: each over as long a time as the range, oldest first.
    pub rolling: Vec<Point>,
    /// How candidates differ from training, heads first, then what differs most; empty without a reference.
    pub drift: Vec<ColumnDrift>,
}

impl DriftReport {
    /// What a trigger goes by.
    pub fn reading(&self) -> Reading {
        let heads = self.drift.iter().filter(|of| of.block == Block::Head).map(|of| of.divergence.psi);
        Reading { auc: self.heads.first().and_then(|head| head.auc), psi: heads.reduce(f64::max) }
    }
}

/// Makes the report of what was collected for the bundle `version`.
pub fn report(version: &str, found: &Collected, reference: Option<&Reference>, settings: &Settings) -> DriftReport {
    let Range { from_ms, until_ms } = settings.range;
    let own: Vec<&Play> = found.plays.iter().filter(|play| (from_ms..until_ms).contains(&play.ts_ms)).collect();
    let heads = TASKS.iter().enumerate().map(|(head, task)| {
        let (rows, listeners) = rows(&own, head);
        head_report(task, "played", rows, listeners, settings.resamples, settings.seed)
    });
    let mut drift = match (&found.spread, reference) {
        (Some(spread), Some(reference)) => spread.against(reference),
        _ => Vec::new(),
    };
    drift.sort_by(|a, b| {
        let is_input = |of: &ColumnDrift| of.block != Block::Head;
        is_input(a).cmp(&is_input(b)).then(b.divergence.psi.total_cmp(&a.divergence.psi)).then(a.name.cmp(b.name))
    });
    DriftReport {
        bundle: version.to_owned(),
        from_ms,
        until_ms,
        answers: found.answers.iter().filter(|at| (from_ms..until_ms).contains(*at)).count(),
        others: found.others,
        waiting: found.waiting,
        heads: heads.collect(),
        rolling: rolling(found, settings),
        drift,
    }
}

/// Figures of every step before the end at which there are answers.
fn rolling(found: &Collected, settings: &Settings) -> Vec<Point> {
    let Range { from_ms, until_ms } = settings.range;
    let Some(first) = found.answers.iter().min() else { return Vec::new() };
    let (length, step) = ((until_ms - from_ms).max(1), settings.step_ms.max(1));
    let steps = ((until_ms - first).max(0) / step).min(MOST_POINTS - 1);
    let ends = (0..=steps).rev().map(|back| until_ms - back * step);
    ends.filter_map(|end| {
        let held = |at: &i64| (end - length..end).contains(at);
        let answers = found.answers.iter().filter(|at| held(at)).count();
        let plays: Vec<&Play> = found.plays.iter().filter(|play| held(&play.ts_ms)).collect();
        let heads = || TASKS.iter().enumerate().map(|(head, task)| point(task, &plays, head, settings)).collect();
        (answers > 0).then(|| Point { until_ms: end, answers, heads: heads() })
    })
    .collect()
}

fn point(task: &'static str, plays: &[&Play], head: usize, settings: &Settings) -> HeadPoint {
    let (mut rows, listeners) = rows(plays, head);
    sort_rows(&mut rows);
    let mean = |sum: f64| (!rows.is_empty()).then(|| sum / rows.len() as f64);
    let interval = || percentile_interval(listeners, settings.resamples, settings.seed, |w| weighted_auc(&rows, w));
    let auc = weighted_auc(&rows, &vec![1; listeners]).zip(interval());
    HeadPoint {
        task,
        auc: auc.map(|(value, (low, high))| Estimate { value, low, high }),
        stated: mean(rows.iter().map(|row| f64::from(row.score)).sum()),
        observed: mean(rows.iter().filter(|row| row.positive).count() as f64),
        plays: rows.len(),
    }
}

/// The rows of one head whose outcome is known, with listeners numbered from 0, and how many these are.
fn rows(plays: &[&Play], head: usize) -> (Vec<ScoredRow>, usize) {
    let mut listeners: HashMap<u32, u32> = HashMap::new();
    let known = plays.iter().filter_map(|play| Some((play, play.labels[head]?)));
    let rows = known.map(|(play, positive)| {
        let next = listeners.len() as u32;
        let user = *listeners.entry(play.listener).or_insert(next);
        ScoredRow { user, score: play.tasks[head], positive }
    });
    let rows = rows.collect();
    (rows, listeners.len())
}
