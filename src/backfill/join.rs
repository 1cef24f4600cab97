//! The feature log and the archive of events, joined: every answer's rows with what became of them, for training.

use std::path::PathBuf;

use super::error::file_fault;
use super::outcomes::Outcome;
use super::rows::{RANKER, RankerRow, split, write_schema};
use super::walk::{GroupWithOutcomes, Logs, each_outcome};
use super::{BackfillError, Progress};
use crate::config::Config;
use crate::domain::{Catalogue, TrackIx};
use crate::feature_log::LoggedGroup;
use crate::features::schema::{RowsInfo, TASKS};
use crate::features::{ITEM_LEN, is_sampled};
use crate::tables::{Column, RowWriter, Type, read_tracks};

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
    weight: f32,
    played_ms: Option<i32>,
    censored: bool,
}

const MORE: [Column; 9] = [
    Column::required("recommendation_id", Type::Utf8),
    Column::required("bundle", Type::Utf8),
    Column::optional("arm", Type::Utf8),
    Column::optional("position", Type::Int32),
    Column::optional("propensity", Type::Float32),
    Column::optional("score", Type::Float32),
    Column::required("weight", Type::Float32),
    Column::optional("played_ms", Type::Int32),
    Column::required("censored", Type::Bool),
];

/// Writes `schema.json` and `ranker.parquet`. Memory and order as in [`each_outcome`].
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
    let writer = RowWriter::create(&plan.out.join("ranker.parquet"), &[RANKER, &MORE].concat())?;
    let mut rows = Rows { untouched: plan.untouched, writer, dim: None, done: JoinSummary::default() };
    let logs = Logs { log: plan.log.clone(), archive: plan.archive.clone(), to_the_end: plan.to_the_end };
    let walked = each_outcome(&logs, &catalogue, config, progress, |group, window| rows.group(group, window))?;
    let Rows { writer, dim, mut done, .. } = rows;
    done.rows = writer.finish()?;
    (done.waiting, done.late, done.unmatched, done.refused) =
        (walked.waiting, walked.late, walked.unmatched, walked.refused);
    let (artists, genres) = (catalogue.artist_count(), catalogue.genres().len());
    let (rank_from_ms, test_from_ms) = walked.window;
    let info = RowsInfo { dim, tracks: catalogue.len(), artists, genres, rank_from_ms, test_from_ms };
    write_schema(&plan.out, &info)?;
    Ok(done)
}

/// The table in the making.
struct Rows {
    untouched: bool,
    writer: RowWriter<JoinedRow>,
    dim: Option<usize>,
    done: JoinSummary,
}

impl Rows {
    fn group(&mut self, group: GroupWithOutcomes, window: (i64, i64)) -> Result<(), BackfillError> {
        let GroupWithOutcomes { group: LoggedGroup { answer, rows }, outcomes: found } = group;
        let played = found.iter().flatten().count() as u64;
        self.done.untouched += u64::from(played == 0);
        if played == 0 && !self.untouched {
            return Ok(());
        }
        self.done.played += played;
        self.done.censored += found.iter().flatten().filter(|outcome| outcome.censored).count() as u64;
        let number = self.done.groups as i64;
        self.done.groups += 1;
        let split = split(answer.ts_ms, window, VALID_PART);
        for (ranked, outcome) in rows.into_iter().zip(found) {
            // Who only competed for a place that explores is no random candidate: the rows stay what they are without.
            let seed = answer.seed.cast_unsigned();
            let track = TrackIx(ranked.track_ix.cast_unsigned());
            if ranked.position.is_none() && outcome.is_none() && !is_sampled(seed, track, answer.unserved_share) {
                continue;
            }
            self.dim = Some(ranked.item.len().saturating_sub(ITEM_LEN));
            let (label, mask) = labels(outcome.as_ref());
            self.writer.write(JoinedRow {
                recommendation_id: answer.recommendation_id.clone(),
                bundle: answer.bundle.clone(),
                arm: answer.arm.clone(),
                position: ranked.position,
                propensity: ranked.propensity,
                score: ranked.score,
                weight: if ranked.position.is_none() && outcome.is_none() { 1.0 / answer.unserved_share } else { 1.0 },
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
