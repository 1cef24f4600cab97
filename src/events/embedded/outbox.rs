//! What of the log came out of a stream, and what is to go into one.

use std::sync::atomic::Ordering;

use super::segment::{Segment, Taken};
use super::{EmbeddedLog, files};
use crate::events::{Entry, EventLogError, Position, Unsent};

impl EmbeddedLog {
    /// Where the log lies.
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// The offset that the next entry gets.
    pub fn end(&self) -> u64 {
        self.shared.next.load(Ordering::Acquire)
    }

    /// Says that everything below an offset has been sent: the rest is kept, whatever the bounds.
    pub fn release(&self, offset: u64) {
        self.shared.sent.store(offset, Ordering::Release);
    }

    /// Says that everything below an offset is in the archive: the rest is kept however old it is, as long as the log's
    /// size allows.
    pub fn exported(&self, offset: u64) {
        self.shared.exported.store(offset, Ordering::Release);
    }

    /// How far each partition of each stream is in the log. Looks from the newest file on until one says.
    ///
    /// # Errors
    /// The disk's.
    pub fn positions(&self) -> Result<Vec<Position>, EventLogError> {
        for file in files::segments(&self.dir)?.iter().rev() {
            let known = Segment::existing(&file.path, file.first).and_then(|segment| segment.positions());
            // A file that cannot be read is repaired at the next start; what it knew is read again, and dropped.
            let known = known.unwrap_or_default();
            if !known.is_empty() {
                return Ok(known);
            }
        }
        Ok(Vec::new())
    }

    /// The node's own entries from an offset on, out of at most `most` entries; where nothing is readable, `next` is `from`.
    ///
    /// # Errors
    /// The disk's.
    pub fn unsent(&self, from: u64, most: usize) -> Result<Unsent, EventLogError> {
        let (files, mut out) = (files::segments(&self.dir)?, Unsent { entries: Vec::new(), next: from });
        let mut left = most;
        for (at, file) in files.iter().enumerate() {
            let end = files.get(at + 1).map(|next| next.first);
            if end.is_some_and(|end| end <= out.next) {
                continue;
            }
            let segment = Segment::existing(&file.path, file.first).map_err(|error| error.at(&file.path))?;
            // What age and size removed before there was a stream is passed over.
            let next = look(&segment, out.next.max(file.first), &mut left, &mut out.entries)?;
            if left > 0 && end.is_some_and(|end| next < end) {
                tracing::error!(path = %file.path.display(), next, end, "damaged: the entries between are not sent");
            }
            out.next = if left > 0 { end.unwrap_or(next) } else { next };
            if left == 0 {
                break;
            }
        }
        Ok(out)
    }
}

/// Looks at `left` of a file's entries and keeps those that were not taken out of a stream; how far it came.
fn look(segment: &Segment, from: u64, left: &mut usize, own: &mut Vec<(u64, Entry)>) -> Result<u64, EventLogError> {
    let (taken, mut next) = (segment.taken().unwrap_or_default(), from);
    // In the order in which they were appended.
    let foreign = |at: u64| {
        let before = taken.partition_point(|Taken { at: first, .. }| *first <= at);
        taken[..before].last().is_some_and(|Taken { at: first, count, .. }| at < first + count)
    };
    let walk = segment.walk(from, &mut |at, entry| {
        *left = left.checked_sub(1).ok_or_else(|| EventLogError("enough".into()))?;
        next = at + 1;
        if !foreign(at) {
            own.push((at, entry));
        }
        Ok(())
    });
    match walk {
        Ok(walk) => Ok(walk.next),
        Err(_) if *left == 0 => Ok(next),
        Err(error) => Err(error),
    }
}
