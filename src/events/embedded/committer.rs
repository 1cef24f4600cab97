//! The one thread that writes the log. Whoever appends while it commits is taken into its next commit, so that any number
//! of callers share one sync of the disk.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::files::{self, SegmentFile, segment_path, sync_dir};
use super::mark::Mark;
use super::segment::{Segment, SegmentError, Taken};
use super::{Limits, now_ms};
use crate::domain::UserId;
use crate::events::{Entry, EventLogError, Position};
use crate::metrics::EventMetrics;

/// Most entries of one commit: beyond them the first callers would wait for the last ones.
const MAX_GROUP: usize = 20_000;
/// How often old segments are looked for when nothing else happens.
const TICK: Duration = Duration::from_secs(60);

/// The offsets that were given, or why not.
pub(super) type Answer = Result<Range<u64>, EventLogError>;

/// What a caller wants.
pub(super) enum Work {
    /// Entries, wholly or not at all, and where they came from.
    Append(Vec<Entry>, Option<Position>, Sender<Answer>),
    /// Blanks a listener's events in the segments from an offset on, and says so in the log.
    Erase(UserId, u64, Option<Position>, Sender<Answer>),
}

/// What callers and the thread share.
pub(super) struct Shared {
    /// The offset that the next entry gets.
    pub(super) next: AtomicU64,
    /// No segment that holds an entry from here on may be removed: the live state could not be built again.
    pub(super) covered: AtomicU64,
    /// The same of what a stream has not got yet.
    pub(super) sent: AtomicU64,
    /// What is not in the archive yet goes by size, and not by age.
    pub(super) exported: AtomicU64,
    /// Held by whoever changes segments that take no more entries.
    pub(super) old_segments: Mutex<()>,
}

/// The thread's own.
pub(super) struct Committer {
    pub(super) dir: PathBuf,
    pub(super) active: Segment,
    pub(super) mark: Mark,
    pub(super) limits: Limits,
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: EventMetrics,
    /// Keeps other servers out of the directory.
    pub(super) _lock: File,
}

impl Committer {
    /// Works until every sender is gone.
    pub(super) fn run(mut self, work: &Receiver<Work>) {
        self.retire();
        loop {
            match work.recv_timeout(TICK) {
                Ok(first) => self.serve(first, work),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.is_full() {
                self.rotate();
                self.retire();
            }
        }
        if let Err(error) = self.active.settle() {
            tracing::warn!(?error, "the event log was left with its last entries beside its file; they are not lost");
        }
    }

    /// Does what waits, up to [`MAX_GROUP`] entries or the next erasure.
    fn serve(&mut self, first: Work, work: &Receiver<Work>) {
        let (mut group, mut size) = (Vec::new(), 0);
        let mut next = Some(first);
        while let Some(one) = next {
            match one {
                Work::Append(entries, from, reply) => {
                    size += entries.len();
                    group.push((entries, from, reply));
                    next = if size < MAX_GROUP { work.try_recv().ok() } else { None };
                }
                Work::Erase(user, since, from, reply) => {
                    self.commit(std::mem::take(&mut group));
                    // A caller that is gone needs no answer.
                    let _ = reply.send(self.erase(&user, since, from));
                    next = None;
                }
            }
        }
        self.commit(group);
    }

    fn commit(&mut self, group: Vec<(Vec<Entry>, Option<Position>, Sender<Answer>)>) {
        if group.is_empty() {
            return;
        }
        let mut first = self.active.next();
        let (mut at, mut taken) = (first, Vec::new());
        for (entries, from, _) in &group {
            let count = entries.len() as u64;
            taken.extend(from.clone().map(|position| Taken { at, count, position }));
            at += count;
        }
        let done = self.active.append_taken(group.iter().flat_map(|(entries, ..)| entries), &taken);
        let done = self.noted(done, first);
        for (entries, _, reply) in group {
            let range = first..first + entries.len() as u64;
            first = range.end;
            let _ = reply.send(done.clone().map(|_| range));
        }
    }

    fn erase(&mut self, user: &UserId, since: u64, from: Option<Position>) -> Answer {
        // Segments that were closed since the caller went through the old ones.
        let closed = files::segments(&self.dir)?;
        for file in closed.iter().filter(|file| (since..self.active.first()).contains(&file.first)) {
            super::blank(&self.dir, file, self.active.first(), user, &self.metrics)?;
        }
        let first = self.active.next();
        let done = self.active.erase(user, from);
        self.noted(done, first)
    }

    /// Tells mark, metrics and readers how far the log is now.
    fn noted(&mut self, done: Result<u64, SegmentError>, first: u64) -> Answer {
        let next = match done {
            Ok(next) => next,
            Err(error) => {
                self.metrics.log_failures.inc();
                let error = error.at(self.active.path());
                tracing::error!(%error, "a batch of events was refused");
                return Err(error);
            }
        };
        if let Err(error) = self.mark.set(next) {
            tracing::warn!(%error, "the log's mark cannot be written: a damaged end of the log might go unseen");
        }
        self.shared.next.store(next, Ordering::Release);
        self.metrics.log_commits.inc();
        self.metrics.log_entries.inc_by(next - first);
        Ok(first..next)
    }

    fn is_full(&self) -> bool {
        let old = self.active.made_ms().ok().flatten().is_some_and(|made| made + self.limits.segment_ms < now_ms());
        let long = self.active.bytes().is_ok_and(|bytes| bytes >= self.limits.segment_bytes);
        self.active.next() > self.active.first() && (old || long)
    }

    /// Goes on in a new file. Where that cannot be made the old one takes more than it should.
    fn rotate(&mut self) {
        let (first, now) = (self.active.next(), now_ms());
        let path = segment_path(&self.dir, first, 0);
        let fresh = Segment::writable(&path, first, self.limits.durability, now).and_then(|mut fresh| {
            let known = self.active.positions()?.into_iter().map(|position| Taken { at: first, count: 0, position });
            fresh.carry(&known.collect::<Vec<_>>())?;
            Ok(fresh)
        });
        match fresh.map_err(|error| error.at(&path)).and_then(|fresh| sync_dir(&self.dir).map(|()| fresh)) {
            Ok(fresh) => {
                let full = std::mem::replace(&mut self.active, fresh);
                if let Err(error) = full.seal(now) {
                    tracing::warn!(error = %error.at(full.path()), "closing a segment of the event log");
                }
            }
            Err(error) => tracing::error!(%error, "no new segment of the event log"),
        }
    }

    /// Removes the oldest segments that are beyond the bounds and that the live state needs no more.
    fn retire(&self) {
        let _turn = match self.shared.old_segments.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let files = match files::segments(&self.dir) {
            Ok(files) => files,
            Err(error) => return tracing::error!(%error, "looking for old segments"),
        };
        let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
        let (covered, sent) = (&self.shared.covered, &self.shared.sent);
        let needless = covered.load(Ordering::Acquire).min(sent.load(Ordering::Acquire));
        for pair in files.windows(2) {
            let (file, end) = (&pair[0], pair[1].first);
            let (is_too_much, exported) =
                (bytes > self.limits.retain_bytes, self.shared.exported.load(Ordering::Acquire));
            let may_go = is_too_much || end <= exported && self.is_past(file);
            if !may_go || end > needless {
                break;
            }
            let unexported = end.saturating_sub(exported.max(file.first));
            match files::remove(&file.path) {
                Ok(()) => tracing::info!(path = %file.path.display(), "removed an old segment of the event log"),
                Err(error) => return tracing::error!(%error, path = %file.path.display(), "removing an old segment"),
            }
            bytes -= file.bytes;
            if unexported > 0 {
                self.metrics.log_unexported.inc_by(unexported);
                let path = file.path.display();
                tracing::error!(%path, unexported, "events left the log for its size before they were exported");
            }
        }
        self.metrics.log_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    fn is_past(&self, file: &SegmentFile) -> bool {
        let segment = Segment::existing(&file.path, file.first);
        let sealed = segment.and_then(|segment| Ok(segment.sealed_ms()?.or(segment.made_ms()?))).ok().flatten();
        sealed.is_some_and(|sealed| sealed + self.limits.retain_ms < now_ms())
    }
}
