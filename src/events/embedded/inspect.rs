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
