//! Looks into a log that a server may be writing, and changes nothing.

use std::path::Path;

use super::{files, walk};
use crate::events::embedded::segment::{Segment, Visit};
use crate::events::{Entry, EventLogError};

/// A log from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Its first offset that is still kept.
    pub first: u64,
    /// The offset that the next entry gets.
    pub next: u64,
    /// Its files.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Looks at the log of a directory.
///
/// # Errors
/// If there is none, or its newest file cannot be read.
pub fn look(dir: &Path) -> Result<Look, EventLogError> {
    let none = || EventLogError(format!("{}: no event log here; --data-dir names another directory", dir.display()));
    let files = if dir.is_dir() { files::segments(dir)? } else { Vec::new() };
    let (oldest, newest) = files.first().zip(files.last()).ok_or_else(none)?;
    let end = Segment::existing(&newest.path, newest.first).and_then(|segment| segment.read_end());
    Ok(Look {
        first: oldest.first,
        next: end.map_err(|error| error.at(&newest.path))?,
        segments: files.len(),
        bytes: files.iter().map(|file| file.bytes).sum(),
    })
}

/// Hands out the entries from an offset on, in order. Returns what is damaged, as the next start of a server would cut it.
///
/// # Errors
/// The disk's, or what `visit` returns.
pub fn scan(
    dir: &Path,
    from: u64,
    visit: &mut dyn FnMut(u64, Entry) -> Result<(), EventLogError>,
) -> Result<Vec<String>, EventLogError> {
    let visit: &mut Visit<'_> = visit;
    let (files, mut damage) = (files::segments(dir)?, Vec::new());
    for (at, file) in files.iter().enumerate() {
        let end = files.get(at + 1).map(|next| next.first);
        if end.is_some_and(|end| end <= from) {
            continue;
        }
        let (next, why) = walk(file, from, visit)?;
        let short = end.filter(|end| next < *end).map(|end| format!("it ends at {next} instead of {end}"));
        damage.extend(why.or(short).map(|why| format!("{}: {why}", file.path.display())));
    }
    Ok(damage)
}

/// Some entries of a log.
#[derive(Debug, Default)]
pub struct Step {
    /// The entries with their offsets, in order.
    pub entries: Vec<(u64, Entry)>,
    /// The offset to read on from.
    pub next: u64,
    /// What of the log is damaged there.
    pub damage: Vec<String>,
}

/// Reads at most `most` entries from an offset on. What is not there, or lies behind damage in its file, is passed over, but in
/// the newest file, which the next start of the server repairs; where nothing is readable, `next` is `from`. Holds no file open
/// when it returns: a server that writes the log waits for readers of a file that it closes.
///
/// # Errors
/// The disk's.
pub fn read_step(dir: &Path, from: u64, most: usize) -> Result<Step, EventLogError> {
    let files = files::segments(dir)?;
    let mut step = Step { next: from, ..Step::default() };
    for (at, file) in files.iter().enumerate() {
        let end = files.get(at + 1).map(|next| next.first);
        if end.is_some_and(|end| end <= step.next) {
            continue;
        }
        let Step { entries, next, .. } = &mut step;
        let walked = walk(file, file.first.max(*next), &mut |at, entry| {
            if entries.len() >= most {
                return Err(EventLogError("enough".into()));
            }
            entries.push((at, entry));
            *next = at + 1;
            Ok(())
        });
        let (walked, why) = match walked {
            Ok(walked) => walked,
            Err(_) if step.entries.len() >= most => break,
            Err(error) => return Err(error),
        };
        let short = end.filter(|end| walked < *end).map(|end| format!("it ends at {walked} instead of {end}"));
        step.damage.extend(why.or(short).map(|why| format!("{}: {why}", file.path.display())));
        step.next = end.unwrap_or(walked).max(step.next);
    }
    Ok(step)
}
