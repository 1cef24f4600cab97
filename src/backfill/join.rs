//! The feature log and the archive of events, joined: every answer's rows with what became of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::file_fault;
use super::outcomes::{Outcome, Outcomes};
use super::rows::{RANKER, RankerRow, split, write_schema};
use super::settling::SETTLE_MS;
use super::{BackfillError, Progress};
use crate::archive::read_hours;
use crate::config::Config;
use crate::domain::Catalogue;
use crate::feature_log::{LoggedGroup, LoggedPart, parts};
use crate::features::ITEM_LEN;
use crate::features::schema::{RowsInfo, TASKS, VERSION};
use crate::store;
use crate::tables::{Column, Hour, RowWriter, Type, read_tracks};

const HOUR_MS: i64 = 3_600_000;
/// How far a client's clock may be behind: a play may seem to begin before its answer.
const CLOCKS_MS: i64 = 5 * 60_000;
/// Last part of the time of the log that is `valid`.
const VALID_PART: f64 = 0.1;

/// What to join.
#[derive(Debug, Clone)]
pub struct JoinPlan {
    /// The feature log, a directory or a bucket.
    pub log: PathBuf,
    /// The archive of events, likewise.
    pub archive: PathBuf,
    /// The catalogue: `tracks.parquet` of the data or of the bundle.
    pub tracks: PathBuf,
    /// The rows directory; made if absent.
    pub out: PathBuf,
    /// Whether hours are closed whose wait is not over at the last event: the history ends there.
    pub to_the_end: bool,
    /// Whether answers of which nothing was played are written too.
    pub untouched: bool,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JoinSummary {
    /// Answers written, each a group.
    pub groups: u64,
    /// Rows in `ranker.parquet`.
    pub rows: u64,
    /// Rows that were played.
    pub played: u64,
    /// Of them, those whose end is unknown, or not the listener's verdict.
    pub censored: u64,
    /// Answers of which nothing was played.
    pub untouched: u64,
    /// Answers whose wait is not over: a later join has them.
    pub waiting: u64,
    /// Plays that ended after their answer's wait.
    pub late: u64,
    /// Plays of answers that are not in the log, or were over long before.
    pub unmatched: u64,
    /// Events that the replay refused: tracks that the catalogue lacks, sessions of two listeners.
    pub refused: u64,
}

/// A row of the joined `ranker.parquet`: as `backfill ranker` writes it, and what only the log knows.
#[derive(serde::Serialize)]
struct JoinedRow {
    #[serde(flatten)]
    row: RankerRow,
    recommendation_id: String,
    bundle: String,
    arm: Option<String>,
    position: Option<i32>,
    propensity: Option<f32>,
    score: Option<f32>,
    played_ms: Option<i32>,
    censored: bool,
}

const MORE: [Column; 8] = [
    Column::required("recommendation_id", Type::Utf8),
    Column::required("bundle", Type::Utf8),
    Column::optional("arm", Type::Utf8),
    Column::optional("position", Type::Int32),
    Column::optional("propensity", Type::Float32),
    Column::optional("score", Type::Float32),
    Column::optional("played_ms", Type::Int32),
    Column::required("censored", Type::Bool),
];

/// Writes `schema.json` and `ranker.parquet`. Reads both directories hour by hour; memory: live state, an hour of events,
/// the outcomes of the wait, and the answers and items of one part of the log.
///
/// # Errors
/// A table that cannot be read or written, a log of another feature version, or an empty one.
pub fn join(
    plan: &JoinPlan,
    config: &Config,
    progress: &mut dyn FnMut(Progress),
) -> Result<JoinSummary, BackfillError> {
    std::fs::create_dir_all(&plan.out).map_err(|e| file_fault(&plan.out, e))?;
    let catalogue = Catalogue::new(read_tracks(&plan.tracks)?)?;
    let log = parts(&store::open(&plan.log)?)?;
    let (Some(first), Some(last)) = (log.keys().next().copied(), log.keys().last().copied()) else {
        return Err(BackfillError::File(format!("{}: no finished part of a feature log here", plan.log.display())));
    };
    let window = (first.end_ms() - HOUR_MS, last.end_ms());
    let wait_ms = i64::try_from(config.feature_log.wait_min).unwrap_or(i64::MAX / 60_000).saturating_mul(60_000);
    let writer = RowWriter::create(&plan.out.join("ranker.parquet"), &[RANKER, &MORE].concat())?;
    let mut rows = Rows { window, wait_ms, untouched: plan.untouched, writer, dim: None, done: JoinSummary::default() };
    let mut outcomes = Outcomes::new(config, &catalogue);
    let mut waiting = Waiting { log, wait_ms };
    let mut events = 0;
    for hour in read_hours(&store::open(&plan.archive)?)? {
        let hour = hour?;
        for event in &hour.events {
            rows.done.refused += u64::from(!outcomes.event(event));
        }
        events += hour.events.len() as u64;
        progress(Progress { step: "events", done: events, total: 0 });
        waiting.close(hour.hour.end_ms(), &mut outcomes, &mut rows)?;
    }
    outcomes.settle_all();
    if plan.to_the_end {
        waiting.close(i64::MAX, &mut outcomes, &mut rows)?;
    }
    rows.done.unmatched += outcomes.forget(waiting.begin_ms().saturating_sub(CLOCKS_MS));
    rows.done.waiting = waiting.answers()?;
    let Rows { writer, dim, mut done, .. } = rows;
    done.rows = writer.finish()?;
    let (artists, genres) = (catalogue.artist_count(), catalogue.genres().len());
    let (rank_from_ms, test_from_ms) = window;
    let info = RowsInfo { dim, tracks: catalogue.len(), artists, genres, rank_from_ms, test_from_ms };
    write_schema(&plan.out, &info)?;
    Ok(done)
}

/// Hours of the log whose wait is not over.
struct Waiting {
    log: BTreeMap<Hour, Vec<LoggedPart>>,
    wait_ms: i64,
}

impl Waiting {
    /// Writes the hours of which nothing after `now_ms` can change the outcome.
    fn close(&mut self, now_ms: i64, outcomes: &mut Outcomes<'_>, rows: &mut Rows) -> Result<(), BackfillError> {
        let until = now_ms.saturating_sub(self.wait_ms).saturating_sub(SETTLE_MS);
        outcomes.settle(now_ms);
        while let Some(hour) = self.log.first_entry().filter(|hour| hour.key().end_ms() <= until) {
            for part in hour.remove() {
                rows.part(&part, outcomes)?;
            }
        }
        // A play begins after its answer, so what began before the oldest open hour belongs to none.
        rows.done.unmatched += outcomes.forget(self.begin_ms().saturating_sub(CLOCKS_MS).min(until));
        Ok(())
    }

    /// When the oldest open hour begins; the end of time without one.
    fn begin_ms(&self) -> i64 {
        self.log.keys().next().map_or(i64::MAX, |hour| hour.end_ms() - HOUR_MS)
    }

    fn answers(&self) -> Result<u64, BackfillError> {
        let mut answers = 0;
        for part in self.log.values().flatten() {
            answers += part.answers()?.len() as u64;
        }
        Ok(answers)
    }
}

/// The table in the making.
struct Rows {
    window: (i64, i64),
    wait_ms: i64,
    untouched: bool,
    writer: RowWriter<JoinedRow>,
    dim: Option<usize>,
    done: JoinSummary,
}

impl Rows {
    fn part(&mut self, part: &LoggedPart, outcomes: &mut Outcomes<'_>) -> Result<(), BackfillError> {
        for group in part.groups()? {
            let group = group?;
            if group.answer.feature_version != VERSION as i32 {
                return Err(BackfillError::Unfit(format!(
                    "{} logged features of version {}, this segue has {VERSION}: join it with the segue that wrote it",
                    group.answer.bundle, group.answer.feature_version
                )));
            }
            self.group(group, outcomes)?;
        }
        Ok(())
    }

    fn group(&mut self, group: LoggedGroup, outcomes: &mut Outcomes<'_>) -> Result<(), BackfillError> {
        let LoggedGroup { answer, rows } = group;
        let until = answer.ts_ms.saturating_add(self.wait_ms);
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let outcome = outcomes.take(&answer.recommendation_id, &row.track_id);
            let is_late = outcome.is_some_and(|outcome| outcome.ended_ms.is_some_and(|ended| ended > until));
            self.done.late += u64::from(is_late);
            found.push(outcome.map(|outcome| if is_late { unknown(outcome) } else { outcome }));
        }
        let played = found.iter().flatten().count() as u64;
        self.done.untouched += u64::from(played == 0);
        if played == 0 && !self.untouched {
            return Ok(());
        }
        self.done.played += played;
        self.done.censored += found.iter().flatten().filter(|outcome| outcome.censored).count() as u64;
        let number = self.done.groups as i64;
        self.done.groups += 1;
        let split = split(answer.ts_ms, self.window, VALID_PART);
        for (ranked, outcome) in rows.into_iter().zip(found) {
            self.dim = Some(ranked.item.len().saturating_sub(ITEM_LEN));
            let (label, mask) = labels(outcome.as_ref());
            self.writer.write(JoinedRow {
                recommendation_id: answer.recommendation_id.clone(),
                bundle: answer.bundle.clone(),
                arm: answer.arm.clone(),
                position: ranked.position,
                propensity: ranked.propensity,
                score: ranked.score,
                played_ms: outcome
                    .and_then(|outcome| outcome.played_ms)
                    .map(|ms| i32::try_from(ms).unwrap_or(i32::MAX)),
                censored: outcome.is_some_and(|outcome| outcome.censored),
                row: RankerRow {
                    group: number,
                    user_id: answer.user_id.clone(),
                    ts_ms: answer.ts_ms,
                    split: split.into(),
                    track_ix: ranked.track_ix,
                    played: outcome.is_some(),
                    user: answer.user.clone(),
                    item: ranked.item.to_vec(),
                    cross: ranked.cross,
                    label,
                    mask,
                },
            })?;
        }
        Ok(())
    }
}

/// A play that ended too late: that it began is all that counts.
fn unknown(outcome: Outcome) -> Outcome {
    Outcome { labels: [None; 3], played_ms: None, censored: true, ..outcome }
}

/// Labels and masks; of a track that was not played only `complete` = 0 is known, as in `backfill ranker`.
fn labels(outcome: Option<&Outcome>) -> (Vec<f32>, Vec<f32>) {
    match outcome {
        None => (vec![0.0; TASKS.len()], vec![1.0, 0.0, 0.0]),
        Some(outcome) => {
            let label = outcome.labels.iter().map(|label| f32::from(label.unwrap_or(false)));
            (label.collect(), outcome.labels.iter().map(|label| f32::from(label.is_some())).collect())
        }
    }
}
