//! Plays with what the ranker had said of them, and the spread of what it scored, out of the logs.

use std::collections::HashMap;

use crate::backfill::{BackfillError, GroupWithOutcomes, Logs, Progress, each_outcome};
use crate::config::Config;
use crate::domain::Catalogue;
use crate::features::schema::TASKS;
use crate::features::{Reference, SeenRow, Spread};

/// The part of a log that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first moment whose candidates are compared with training, Unix ms.
    pub from_ms: i64,
    /// The moment from which on nothing counts.
    pub until_ms: i64,
}

/// One play of a proposed track of which something is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Play {
    /// When its answer was given, Unix ms.
    pub ts_ms: i64,
    /// Number of the listener.
    pub listener: u32,
    /// What the heads had said, in schema order.
    pub tasks: [f32; TASKS.len()],
    /// What happened; `None` where nobody knows.
    pub labels: [Option<bool>; TASKS.len()],
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    /// Plays before the end of the range, in the order of the log.
    pub plays: Vec<Play>,
    /// When each answer of the bundle was given, likewise.
    pub answers: Vec<i64>,
    /// What candidates of answers in the range looked like; absent without a reference, or where only served ones are logged.
    pub spread: Option<Spread>,
    /// The log's time: its first answer, and the moment after its last, Unix ms.
    pub window: (i64, i64),
    /// Answers of other bundles, left out.
    pub others: u64,
    /// Answers whose wait is not over, left out.
    pub waiting: u64,
}

/// Gathers the answers of the bundle `version`. Candidates that were not served count for those that were not logged, so that
/// all that the ranker scored count alike. Memory: [`each_outcome`]'s, and 40 bytes a play.
///
/// # Errors
/// The logs'.
pub fn collect(
    logs: &Logs,
    catalogue: &Catalogue,
    config: &Config,
    (version, reference): (&str, Option<&Reference>),
    range: impl Fn((i64, i64)) -> Range,
    progress: &mut dyn FnMut(Progress),
) -> Result<Collected, BackfillError> {
    let (mut found, mut listeners) = (Collected::default(), HashMap::new());
    let mut spread = reference.map(Spread::new);
    let walked = each_outcome(logs, catalogue, config, progress, |group, window| {
        let range = range(window);
        let answer = &group.group.answer;
        if answer.bundle != version {
            found.others += 1;
            return Ok(());
        }
        if answer.ts_ms >= range.until_ms || answer.own_candidates {
            return Ok(());
        }
        found.answers.push(answer.ts_ms);
        let known = listeners.len() as u32;
        let listener = *listeners.entry(answer.user_id.clone()).or_insert(known);
        found.plays.extend(plays(&group, listener));
        if let Some(spread) = spread.as_mut().filter(|_| answer.ts_ms >= range.from_ms) {
            count(&group, spread);
        }
        Ok(())
    })?;
    (found.waiting, found.window) = (walked.waiting, walked.window);
    found.spread = spread.filter(|spread| spread.answers > 0);
    Ok(found)
}

fn plays(group: &GroupWithOutcomes, listener: u32) -> impl Iterator<Item = Play> {
    let ts_ms = group.group.answer.ts_ms;
    let rows = group.group.rows.iter().zip(&group.outcomes);
    let known = rows.filter_map(|(row, outcome)| Some((row.tasks, outcome.as_ref()?.labels)));
    let known = known.filter(|(_, labels)| labels.iter().any(Option::is_some));
    known.map(move |(tasks, labels)| Play { ts_ms, listener, tasks, labels })
}

/// Counts the candidates of an answer, each for as many as it stands for, scaled so that they count as rows.
fn count(group: &GroupWithOutcomes, spread: &mut Spread) {
    let (answer, rows) = (&group.group.answer, &group.group.rows);
    let drawn = f64::from(answer.unserved_share);
    let is_drawn = |row: &crate::feature_log::RankedRow| row.position.is_none() && row.contest.is_none();
    if drawn <= 0.0 || rows.is_empty() {
        return;
    }
    let weight = |row| if is_drawn(row) { 1.0 / drawn } else { 1.0 };
    let scale = rows.len() as f64 / rows.iter().map(weight).sum::<f64>();
    spread.answer(&answer.user);
    for row in rows {
        let seen = SeenRow { tasks: &row.tasks, item: &row.item, cross: &row.cross, weight: weight(row) * scale };
        spread.row(&seen);
    }
}
