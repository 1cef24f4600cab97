//! The feature log and the archive of events, read side by side: every logged answer with what became of its tracks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::outcomes::{Outcome, Outcomes};
use super::settling::SETTLE_MS;
use super::{BackfillError, Progress};
use crate::archive::read_hours;
use crate::config::Config;
use crate::domain::Catalogue;
use crate::feature_log::{LoggedGroup, LoggedPart, parts};
use crate::features::schema::VERSION;
use crate::store;
use crate::tables::Hour;

const HOUR_MS: i64 = 3_600_000;
/// How far a client's clock may be behind: a play may seem to begin before its answer.
const CLOCKS_MS: i64 = 5 * 60_000;

/// What is read.
#[derive(Debug, Clone)]
pub struct Logs {
    /// The feature log, a directory or a bucket.
    pub log: PathBuf,
    /// The archive of events, likewise.
    pub archive: PathBuf,
    /// Whether hours are closed whose wait is not over at the last event: the history ends there.
    pub to_the_end: bool,
}

/// A logged answer, and for each of its rows what became of it; `None` of a track that was not played.
#[derive(Debug, Clone)]
pub struct GroupWithOutcomes {
    /// The answer and its rows.
    pub group: LoggedGroup,
    /// One a row.
    pub outcomes: Vec<Option<Outcome>>,
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Walked {
    /// The log's time: when its first answer was given, and the moment after its last, Unix ms.
    pub window: (i64, i64),
    /// Answers whose wait is not over.
    pub waiting: u64,
    /// Plays that ended after their answer's wait.
    pub late: u64,
    /// Plays of answers that are not in the log, or were over long before.
    pub unmatched: u64,
    /// Events that the replay refused: tracks that the catalogue lacks, sessions of two listeners.
    pub refused: u64,
}

/// Gives every logged answer that the ranker scored to `visit`, with what became of its rows and the log's time. Reads both
/// directories hour by hour, an hour of the log once nothing can change its outcomes any more; memory: live state, an hour of
/// events, the outcomes of the wait, and the answers and items of one part of the log.
///
/// # Errors
/// A table that cannot be read, a log of another feature version or an empty one; whatever `visit` meets.
pub fn each_outcome(
    logs: &Logs,
    catalogue: &Catalogue,
    config: &Config,
    progress: &mut dyn FnMut(Progress),
    visit: impl FnMut(GroupWithOutcomes, (i64, i64)) -> Result<(), BackfillError>,
) -> Result<Walked, BackfillError> {
    let log = parts(&store::open(&logs.log)?)?;
    let window = window(&log)?.ok_or_else(|| {
        BackfillError::File(format!("{}: no finished part of a feature log here", logs.log.display()))
    })?;
    let wait_ms = i64::try_from(config.feature_log.wait_min).unwrap_or(i64::MAX / 60_000).saturating_mul(60_000);
    let mut outcomes = Outcomes::new(config, catalogue);
    let mut walk = Walk { log, wait_ms, visit, done: Walked { window, ..Walked::default() } };
    let mut events = 0;
    for hour in read_hours(&store::open(&logs.archive)?)? {
        let hour = hour?;
        for event in &hour.events {
            walk.done.refused += u64::from(!outcomes.event(event));
        }
        events += hour.events.len() as u64;
        progress(Progress { step: "events", done: events, total: 0 });
        walk.close(hour.hour.end_ms(), &mut outcomes)?;
    }
    outcomes.settle_all();
    if logs.to_the_end {
        walk.close(i64::MAX, &mut outcomes)?;
    }
    walk.done.unmatched += outcomes.forget(walk.begin_ms().saturating_sub(CLOCKS_MS));
    walk.done.waiting = walk.answers()?;
    Ok(walk.done)
}

/// When the first answer of a log was given, and the moment after its last; `None` of an empty one. Reads the answers of its
/// first and last hour: a log of some minutes has a last tenth too.
fn window(log: &BTreeMap<Hour, Vec<LoggedPart>>) -> Result<Option<(i64, i64)>, BackfillError> {
    let (Some((first, early)), Some((last, late))) = (log.first_key_value(), log.last_key_value()) else {
        return Ok(None);
    };
    let mut bounds = (first.end_ms(), last.end_ms() - HOUR_MS);
    for answer in early.iter().map(LoggedPart::answers) {
        bounds.0 = answer?.iter().map(|answer| answer.ts_ms).fold(bounds.0, i64::min);
    }
    for answer in late.iter().map(LoggedPart::answers) {
        bounds.1 = answer?.iter().map(|answer| answer.ts_ms + 1).fold(bounds.1, i64::max);
    }
    let whole = (first.end_ms() - HOUR_MS, last.end_ms());
    Ok(Some(if bounds.0 < bounds.1 { bounds } else { whole }))
}

/// Hours of the log whose wait is not over.
struct Walk<V> {
    log: BTreeMap<Hour, Vec<LoggedPart>>,
    wait_ms: i64,
    visit: V,
    done: Walked,
}

impl<V: FnMut(GroupWithOutcomes, (i64, i64)) -> Result<(), BackfillError>> Walk<V> {
    /// Visits the hours of which nothing after `now_ms` can change the outcome.
    fn close(&mut self, now_ms: i64, outcomes: &mut Outcomes<'_>) -> Result<(), BackfillError> {
        let until = now_ms.saturating_sub(self.wait_ms).saturating_sub(SETTLE_MS);
        outcomes.settle(now_ms);
        while let Some(hour) = self.log.first_entry().filter(|hour| hour.key().end_ms() <= until) {
            for part in hour.remove() {
                self.part(&part, outcomes)?;
            }
        }
        // A play begins after its answer, so what began before the oldest open hour belongs to none.
        self.done.unmatched += outcomes.forget(self.begin_ms().saturating_sub(CLOCKS_MS).min(until));
        Ok(())
    }

    fn part(&mut self, part: &LoggedPart, outcomes: &mut Outcomes<'_>) -> Result<(), BackfillError> {
        for group in part.groups()? {
            let group = group?;
            if group.answer.feature_version != VERSION as i32 {
                return Err(BackfillError::Unfit(format!(
                    "{} logged features of version {}, this segue has {VERSION}: read it with the segue that wrote it",
                    group.answer.bundle, group.answer.feature_version
                )));
            }
            let until = group.answer.ts_ms.saturating_add(self.wait_ms);
            let mut found = Vec::with_capacity(group.rows.len());
            for row in &group.rows {
                let outcome = outcomes.take(&group.answer.recommendation_id, &row.track_id);
                let is_late = outcome.is_some_and(|outcome| outcome.ended_ms.is_some_and(|ended| ended > until));
                self.done.late += u64::from(is_late);
                found.push(outcome.map(|outcome| if is_late { unknown(outcome) } else { outcome }));
            }
            (self.visit)(GroupWithOutcomes { group, outcomes: found }, self.done.window)?;
        }
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

/// A play that ended too late: that it began is all that counts.
fn unknown(outcome: Outcome) -> Outcome {
    Outcome { labels: [None; 3], played_ms: None, censored: true, ..outcome }
}
