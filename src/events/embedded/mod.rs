//! The event log on this machine's disk: a directory of SQLite files, each holding the entries from one offset up to the
//! next file's. `docs/formats.md` describes the files, `docs/performance.md` why they are SQLite's.

mod committer;
mod dead_letters;
mod files;
mod inspect;
mod mark;
mod outbox;
mod repair;
mod row;
mod segment;

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Sender, bounded};

use super::{Entry, EventLog, EventLogError, Position};
use crate::config::{Durability, EventsConfig};
use crate::domain::{Event, UserId};
use crate::metrics::EventMetrics;
use committer::{Answer, Committer, Shared, Work};
pub use dead_letters::{DeadLetters, KeptLetter, Letter, Origin};
use files::SegmentFile;
pub use inspect::{Look, Step, look, read_step, scan};
use mark::Mark;
use segment::{Segment, SegmentError};

/// Batches that may wait for a commit; beyond them callers wait to be let in.
const QUEUE: usize = 4_096;
/// Segments that a full log has, at least: what is removed at once is a small part of it.
const SEGMENTS: u64 = 16;
/// Bounds of a segment: the active one is checked whole at start, and its damage costs at most itself.
const SEGMENT_BYTES: (u64, u64) = (1 << 20, 64 << 20);
const DAY_MS: i64 = 86_400_000;

/// What bounds a log.
#[derive(Debug, Clone, Copy)]
struct Limits {
    durability: Durability,
    segment_bytes: u64,
    segment_ms: i64,
    retain_bytes: u64,
    retain_ms: i64,
}

impl Limits {
    fn new(config: &EventsConfig) -> Self {
        let retain_bytes = config.retain_mib.saturating_mul(1 << 20);
        let retain_ms = i64::try_from(config.retain_days).unwrap_or(i64::MAX).saturating_mul(DAY_MS);
        Self {
            durability: config.durability,
            segment_bytes: (retain_bytes / SEGMENTS).clamp(SEGMENT_BYTES.0, SEGMENT_BYTES.1),
            segment_ms: retain_ms / SEGMENTS as i64,
            retain_bytes,
            retain_ms,
        }
    }
}

/// A log on disk that is read before it is written: what [`EmbeddedLog::start`] begins with.
pub struct Opened {
    dir: PathBuf,
    limits: Limits,
    active: Segment,
    mark: Mark,
    metrics: EventMetrics,
    lock: File,
    sends: bool,
    exports: bool,
}

impl Opened {
    /// Opens the log of `events.data_dir`, made if absent. Segments that are not as they were written are cut back to
    /// their last good entry; what is lost is logged and counted in `segue_events_log_lost_total`.
    ///
    /// # Errors
    /// The directory: not to be made, written by another server, or of a newer segue.
    pub fn new(config: &EventsConfig, metrics: &EventMetrics) -> Result<Self, EventLogError> {
        let dir = config.data_dir.clone();
        let (lock, limits, now) = (files::take(&dir)?, Limits::new(config), now_ms());
        repair::clear_up(&dir)?;
        let (mut mark, marked) = Mark::open(&dir)?;
        let last = files::segments(&dir)?.pop();
        if last.is_none() && marked > 0 {
            metrics.log_damaged.inc();
            tracing::error!(dir = %dir.display(), marked, "the event log's files are gone; it begins anew where they ended");
        }
        let (path, first) =
            last.as_ref().map_or_else(|| (files::segment_path(&dir, marked, 0), marked), |f| (f.path.clone(), f.first));
        // What lies beyond the mark is there only if the last entry says so itself: its offset may be what is damaged.
        let writable = Segment::writable(&path, first, limits.durability, now).and_then(|active| {
            if active.next() > marked {
                active.check_last()?;
            }
            Ok(active)
        });
        let mut active = match writable {
            Ok(active) => active,
            Err(SegmentError::Damaged(why)) => {
                let file = last.unwrap_or(SegmentFile { path, first, repairs: 0, bytes: 0 });
                let file = cut(&dir, &file, marked.max(first), &why, metrics)?;
                open_active(&file, limits.durability)?
            }
            Err(failed) => return Err(failed.at(&path)),
        };
        files::sync_dir(&dir)?;
        let missing = marked.saturating_sub(active.next());
        if missing > 0 {
            report(active.path(), missing, "entries that were acknowledged are not there", metrics);
            active.lose_until(marked).map_err(|error| error.at(active.path()))?;
        }
        mark.set(active.next()).map_err(|error| files::fault(&dir, &error))?;
        let (sends, exports) = (config.fluvio.endpoint.is_some(), config.export.dir.is_some());
        Ok(Self { dir, limits, active, mark, metrics: metrics.clone(), lock, sends, exports })
    }

    /// The offset that the next entry gets.
    pub fn next_offset(&self) -> u64 {
        self.active.next()
    }

    /// Sees to it that the next offset is not below `offset`: what lies between is lost from the log.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn reach(&mut self, offset: u64) -> Result<(), EventLogError> {
        let missing = offset.saturating_sub(self.active.next());
        if missing > 0 {
            report(self.active.path(), missing, "entries are not there that the snapshot has seen", &self.metrics);
        }
        self.active.lose_until(offset).map_err(|error| error.at(self.active.path()))
    }

    /// Hands out the entries from an offset on, in order; damage is cut away, logged and counted.
    ///
    /// # Errors
    /// The disk's, or what `visit` returns.
    pub fn replay(
        &mut self,
        from: u64,
        visit: &mut dyn FnMut(u64, Entry) -> Result<(), EventLogError>,
    ) -> Result<(), EventLogError> {
        let files = files::segments(&self.dir)?;
        for (at, file) in files.iter().enumerate() {
            let is_active = at + 1 == files.len();
            let end = files.get(at + 1).map_or(self.active.next(), |next| next.first);
            if end <= from {
                continue;
            }
            let (next, damage) = if is_active {
                let walk = self.active.walk(from, visit)?;
                (walk.next, walk.damage)
            } else {
                walk(file, from, visit)?
            };
            if damage.is_none() && next >= end {
                continue;
            }
            let why = damage.unwrap_or_else(|| format!("it ends at {next} instead of {end}"));
            let file = cut(&self.dir, file, end, &why, &self.metrics)?;
            if is_active {
                self.active = open_active(&file, self.limits.durability)?;
            }
        }
        Ok(())
    }
}

/// Walks over a segment by its file; next offset and damage.
fn walk(file: &SegmentFile, from: u64, visit: &mut segment::Visit<'_>) -> Result<(u64, Option<String>), EventLogError> {
    match Segment::existing(&file.path, file.first) {
        Ok(segment) => segment.walk(from, visit).map(|walk| (walk.next, walk.damage)),
        Err(SegmentError::Damaged(why)) => Ok((file.first, Some(why))),
        Err(failed) => Err(failed.at(&file.path)),
    }
}

/// Cuts a damaged segment back to its last good entry.
fn cut(
    dir: &Path,
    file: &SegmentFile,
    end: u64,
    why: &str,
    metrics: &EventMetrics,
) -> Result<SegmentFile, EventLogError> {
    let repaired = repair::repair(dir, file, end, now_ms())?;
    report(&file.path, repaired.lost, why, metrics);
    Ok(repaired.file)
}

/// Says loudly what is lost.
fn report(path: &Path, lost: u64, why: &str, metrics: &EventMetrics) {
    metrics.log_lost.inc_by(lost);
    metrics.log_damaged.inc();
    tracing::error!(path = %path.display(), lost, why, "the event log was damaged; it was cut to its last good entry");
}

fn open_active(file: &SegmentFile, durability: Durability) -> Result<Segment, EventLogError> {
    Segment::writable(&file.path, file.first, durability, now_ms()).map_err(|error| error.at(&file.path))
}

/// Blanks a listener's events in a segment that takes no more; a damaged one is cut first.
fn blank(dir: &Path, file: &SegmentFile, end: u64, user: &UserId, metrics: &EventMetrics) -> Result<(), EventLogError> {
    let run = |path: &Path| Segment::existing(path, file.first).and_then(|mut segment| segment.blank(user));
    match run(&file.path) {
        Ok(()) => Ok(()),
        Err(SegmentError::Damaged(why)) => {
            let file = cut(dir, file, end, &why, metrics)?;
            run(&file.path).map_err(|error| error.at(&file.path))
        }
        Err(failed) => Err(failed.at(&file.path)),
    }
}

/// Events on this machine's disk: durable, ordered, bounded by age and size.
///
/// One thread commits. Batches that come while it does share the next commit and its one sync. [`EventLog::append`] costs
/// the caller one wait for that; call it where waiting is allowed.
pub struct EmbeddedLog {
    dir: PathBuf,
    work: Option<Sender<Work>>,
    committer: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    metrics: EventMetrics,
}

impl EmbeddedLog {
    /// Begins to take entries. None is removed, however old, until [`EventLog::cover`] says which may be.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn start(opened: Opened) -> Result<Self, EventLogError> {
        let Opened { dir, limits, active, mark, metrics, lock, sends, exports } = opened;
        let shared = Arc::new(Shared {
            next: AtomicU64::new(active.next()),
            covered: AtomicU64::new(0),
            sent: AtomicU64::new(if sends { 0 } else { u64::MAX }),
            exported: AtomicU64::new(if exports { 0 } else { u64::MAX }),
            old_segments: Mutex::new(()),
        });
        let (work, queue) = bounded(QUEUE);
        let own = (dir.clone(), Arc::clone(&shared), metrics.clone());
        let committer = Committer { dir: own.0, active, mark, limits, shared: own.1, metrics: own.2, _lock: lock };
        let thread = std::thread::Builder::new().name("event-log".into()).spawn(move || committer.run(&queue));
        let thread = thread.map_err(|error| EventLogError(format!("no thread for the event log: {error}")))?;
        Ok(Self { dir, work: Some(work), committer: Some(thread), shared, metrics })
    }

    fn ask(&self, work: impl FnOnce(Sender<Answer>) -> Work) -> Answer {
        let gone = || EventLogError("its thread has ended; see the log for why, and restart".into());
        let (reply, answer) = bounded(1);
        self.work.as_ref().ok_or_else(gone)?.send(work(reply)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

impl EventLog for EmbeddedLog {
    fn next_offset(&self) -> u64 {
        self.shared.next.load(Ordering::Acquire)
    }

    fn take_in(&self, events: &[Event], from: Option<&Position>) -> Result<Range<u64>, EventLogError> {
        self.ask(|reply| Work::Append(events.iter().cloned().map(Entry::Event).collect(), from.cloned(), reply))
    }

    fn cover(&self, offset: u64) {
        self.shared.covered.store(offset, Ordering::Release);
    }

    fn read(&self, from: u64, most: usize) -> Result<Step, EventLogError> {
        read_step(&self.dir, from, most)
    }

    /// Scans every segment.
    fn erase(&self, user: &UserId, from: Option<&Position>) -> Result<Range<u64>, EventLogError> {
        let turn = self.shared.old_segments.lock().unwrap_or_else(PoisonError::into_inner);
        let mut files = files::segments(&self.dir)?;
        let newest = files.pop().map_or(0, |active| active.first);
        for (at, file) in files.iter().enumerate() {
            let end = files.get(at + 1).map_or(newest, |next| next.first);
            blank(&self.dir, file, end, user, &self.metrics)?;
        }
        repair::remove_set_aside(&self.dir)?;
        let done = self.ask(|reply| Work::Erase(user.clone(), newest, from.cloned(), reply));
        drop(turn);
        done
    }
}

impl Drop for EmbeddedLog {
    /// Waits for what is queued.
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.committer.take() {
            // A panic of that thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// Now, Unix ms.
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod outbox_tests;
#[cfg(test)]
mod tests;
