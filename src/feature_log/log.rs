//! The thread that writes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, at, bounded, never, select};

use super::part::Part;
use super::tables::{AnswerRow, CandidateBatch, ItemRow};
use crate::config::FeatureLogConfig;
use crate::domain::{Catalogue, TrackIx};
use crate::features::schema::{CROSS, VERSION};
use crate::features::{CROSS_LEN, LoggedAnswer};
use crate::metrics::FeatureLogMetrics;
use crate::tables::{Hour, TableError};

/// Hours that are written at once; answers of others push the oldest out. More than two are only open in a replay.
const OPEN_HOURS: usize = 4;
/// After a failure nothing is tried for as long.
const PAUSE: Duration = Duration::from_secs(1);

/// What the logged rows were computed from.
#[derive(Debug, Clone)]
pub struct Served {
    /// The bundle's version.
    pub bundle: String,
    /// The id of the file of changes to its catalogue; empty without one.
    pub changes: String,
    /// Names the tracks.
    pub catalogue: Arc<Catalogue>,
}

/// Writes answers until it is dropped, which takes what was sent until then and completes what is open.
pub struct FeatureLog {
    to: Sender<LoggedAnswer>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FeatureLog {
    /// Begins; `None` where no directory is configured. The directory is made when there is something to write, so that a
    /// store that is away costs rows and no start.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn start(
        config: &FeatureLogConfig,
        served: Served,
        metrics: &FeatureLogMetrics,
    ) -> std::io::Result<Option<Self>> {
        let Some(dir) = config.dir.clone() else { return Ok(None) };
        let (to, from) = bounded(config.queue);
        let open = Duration::from_secs(config.part_s);
        let mut writer = Writer {
            dir,
            served,
            open,
            part_rows: config.part_rows,
            metrics: metrics.clone(),
            parts: BTreeMap::new(),
            paused: None,
        };
        let (stop, stopped) = bounded(0);
        let run = move || writer.run(&from, &stopped);
        let thread = std::thread::Builder::new().name("feature-log".into()).spawn(run)?;
        Ok(Some(Self { to, stop: Some(stop), thread: Some(thread) }))
    }

    /// Where answers go in. Bounded: a sender must not wait.
    pub fn sender(&self) -> Sender<LoggedAnswer> {
        self.to.clone()
    }
}

impl Drop for FeatureLog {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// A part and what it has of the catalogue.
struct Open {
    part: Part,
    known: Vec<u64>,
    due: Instant,
}

struct Writer {
    dir: PathBuf,
    served: Served,
    open: Duration,
    part_rows: u64,
    metrics: FeatureLogMetrics,
    parts: BTreeMap<Hour, Open>,
    paused: Option<Instant>,
}

impl Writer {
    fn run(&mut self, from: &Receiver<LoggedAnswer>, stopped: &Receiver<()>) {
        loop {
            let due = self.parts.values().map(|open| open.due).min();
            let wake = due.map_or_else(never, at);
            select! {
                recv(from) -> answer => answer.into_iter().for_each(|answer| self.take(answer)),
                recv(wake) -> _ => {}
                recv(stopped) -> _ => break,
            }
            let now = Instant::now();
            if due.is_some_and(|due| due <= now) {
                self.close(|open| open.due <= now);
            }
        }
        from.try_iter().for_each(|answer| self.take(answer));
        self.close(|_| true);
    }

    /// Logs one answer, or sheds it.
    fn take(&mut self, answer: LoggedAnswer) {
        if self.paused.is_some_and(|since| since.elapsed() < PAUSE) {
            self.metrics.shed_store.inc();
            return;
        }
        let hour = Hour::of(answer.ts_ms);
        if !self.parts.contains_key(&hour) && self.parts.len() >= OPEN_HOURS {
            let oldest = self.parts.keys().next().copied();
            self.close_hour(oldest);
        }
        if let Err(error) = self.write(hour, answer) {
            let lost = self.parts.remove(&hour).map_or(0, |open| open.part.answers());
            // The answer itself is counted too, where it did not come as far as the part.
            self.lose(lost.max(1), &error);
        } else if self.parts.get(&hour).is_some_and(|open| open.part.candidates() >= self.part_rows) {
            self.close_hour(Some(hour));
        }
    }

    fn write(&mut self, hour: Hour, answer: LoggedAnswer) -> Result<(), TableError> {
        let open = match self.parts.entry(hour) {
            std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                let part = Part::create(&self.dir, hour, &ulid::Ulid::generate().to_string())?;
                place.insert(Open { part, known: Vec::new(), due: Instant::now() + self.open })
            }
        };
        let width = answer.items.len() / answer.rows.len().max(1);
        for (at, row) in answer.rows.iter().enumerate() {
            if is_new(&mut open.known, row.track) {
                open.part.item(ItemRow {
                    bundle: self.served.bundle.clone(),
                    changes: self.served.changes.clone(),
                    track_ix: row.track.0 as i32,
                    track_id: self.served.catalogue.track(row.track).track_id.to_string(),
                    item: answer.items[at * width..(at + 1) * width].to_vec(),
                })?;
            }
        }
        let row = answer_row(&answer, &self.served);
        open.part.answer(row, |batch, number| candidates(&answer, number, batch))
    }

    fn close(&mut self, which: impl Fn(&Open) -> bool) {
        let hours: Vec<Hour> = self.parts.iter().filter(|(_, open)| which(open)).map(|(hour, _)| *hour).collect();
        hours.into_iter().for_each(|hour| self.close_hour(Some(hour)));
    }

    fn close_hour(&mut self, hour: Option<Hour>) {
        let Some(open) = hour.and_then(|hour| self.parts.remove(&hour)) else { return };
        let answers = open.part.answers();
        match open.part.finish() {
            Ok(done) => {
                self.paused = None;
                self.metrics.answers.inc_by(done.answers);
                self.metrics.rows.inc_by(done.candidates);
                self.metrics.bytes.inc_by(done.bytes);
            }
            Err(error) => self.lose(answers, &error),
        }
    }

    /// Counts answers that the store did not take, and leaves it alone for a moment.
    fn lose(&mut self, answers: u64, error: &TableError) {
        self.metrics.shed_store.inc_by(answers);
        self.paused = Some(Instant::now());
        tracing::error!(%error, answers, "the feature log could not be written; these answers are not in it");
    }
}

/// Whether a track is new to a bitmap, which it is in from now on.
fn is_new(known: &mut Vec<u64>, track: TrackIx) -> bool {
    let (word, bit) = (track.at() / 64, 1u64 << (track.at() % 64));
    if known.len() <= word {
        known.resize(word + 1, 0);
    }
    let is_new = known[word] & bit == 0;
    known[word] |= bit;
    is_new
}

fn answer_row(answer: &LoggedAnswer, served: &Served) -> AnswerRow {
    AnswerRow {
        recommendation_id: answer.recommendation_id.to_string(),
        user_id: answer.user_id.to_string(),
        session_id: answer.session_id.as_ref().map(ToString::to_string),
        ts_ms: answer.ts_ms,
        seed: answer.seed.cast_signed(),
        rung: answer.rung.as_str().to_owned(),
        bundle: served.bundle.clone(),
        changes: served.changes.clone(),
        feature_version: VERSION as i32,
        arm: answer.arm.clone(),
        own_candidates: answer.own_candidates,
        pool: answer.pool as i32,
        unserved_share: answer.unserved_share,
        user: answer.user.clone(),
        unranked: answer.unranked.iter().map(|track| served.catalogue.track(*track).track_id.to_string()).collect(),
    }
}

/// Turns rows into columns.
fn candidates(answer: &LoggedAnswer, number: i32, batch: &mut CandidateBatch) {
    let rows = &answer.rows;
    batch.answer.extend(rows.iter().map(|_| number));
    batch.track_ix.extend(rows.iter().map(|row| row.track.0 as i32));
    batch.position.extend(rows.iter().map(|row| row.position.map(|at| at as i32)));
    batch.propensity.extend(rows.iter().map(|row| row.propensity));
    batch.score.extend(rows.iter().map(|row| row.score));
    batch.complete.extend(rows.iter().map(|row| row.tasks[0]));
    batch.skip.extend(rows.iter().map(|row| row.tasks[1]));
    batch.like.extend(rows.iter().map(|row| row.tasks[2]));
    batch.blended.extend(rows.iter().map(|row| row.blended));
    for (at, column) in batch.cross.iter_mut().enumerate().take(CROSS.len()) {
        column.extend(answer.cross.iter().skip(at).step_by(CROSS_LEN));
    }
}
