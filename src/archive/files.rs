//! Which files make an archive. A file's name is the first offset that it may hold and the one after the last. A file whose
//! offsets lie within those of another beside it was replaced by that one, and is left over from a compaction that was
//! killed. Files from beyond the last erasures' file belong to an export that has not finished.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::ArchiveError;
use crate::store::{Store, Stored};
use crate::tables::{Hour, TableError, read_notes, tables_by_hour};

/// Folder of the events.
pub(super) const EVENTS: &str = "events";
/// Folder of the erasures.
pub(super) const ERASURES: &str = "erasures";
/// Notes in a file's metadata: the first offset that it may hold, and the one after the last.
pub(super) const FIRST: &str = "segue.offset_first";
pub(super) const NEXT: &str = "segue.offset_next";

/// A file of the archive.
#[derive(Debug, Clone)]
pub(super) struct Ranged {
    pub(super) object: Stored,
    pub(super) offsets: Range<u64>,
}

/// Files of events by hour.
pub(super) type ByHour = BTreeMap<Hour, Vec<Stored>>;

/// The name of a file with entries of these offsets.
pub(super) fn name(offsets: &Range<u64>) -> String {
    format!("{:020}-{:020}.parquet", offsets.start, offsets.end)
}

/// A file by the offsets in its name.
fn ranged(object: Stored) -> Option<Ranged> {
    let (first, next) = object.file_name().strip_suffix(".parquet")?.split_once('-')?;
    let offsets = first.parse().ok()?..next.parse().ok()?;
    Some(Ranged { object, offsets })
}

/// Files that count, in order of their offsets, and those that others replaced.
pub(super) fn in_force(objects: Vec<Stored>) -> (Vec<Ranged>, Vec<Stored>) {
    let mut all: Vec<Ranged> = objects.into_iter().filter_map(ranged).collect();
    all.sort_by_key(|file| (file.offsets.start, std::cmp::Reverse(file.offsets.end)));
    let (mut counts, mut replaced): (Vec<Ranged>, Vec<Stored>) = (Vec::new(), Vec::new());
    for file in all {
        if counts.last().is_some_and(|last| file.offsets.end <= last.offsets.end) {
            replaced.push(file.object);
        } else {
            counts.push(file);
        }
    }
    (counts, replaced)
}

/// The files of erasures: those that count, and those that others replaced.
pub(super) fn erasures(archive: &Arc<dyn Store>) -> Result<(Vec<Ranged>, Vec<Stored>), ArchiveError> {
    Ok(in_force(Stored::list(archive, ERASURES)?))
}

/// The offset up to which everything is there: the end of the last erasures' file, as its metadata says.
pub(super) fn finished(archive: &Arc<dyn Store>) -> Result<u64, ArchiveError> {
    let Some(last) = erasures(archive)?.0.pop() else { return Ok(0) };
    let noted = read_notes(&last.object)?.get(NEXT).and_then(|next| next.parse().ok());
    let fault = || TableError { file: last.object.name(), fault: format!("has no {NEXT} in its metadata") };
    Ok(noted.ok_or_else(fault)?)
}

/// The files of events by hour: those of exports that finished, and those from an offset on that did not.
pub(super) fn events(archive: &Arc<dyn Store>, finished: u64) -> Result<(ByHour, Vec<Stored>), TableError> {
    let mut begun = Vec::new();
    let mut hours = tables_by_hour(archive, EVENTS)?;
    for objects in hours.values_mut() {
        let is_begun = |object: &mut Stored| ranged(object.clone()).is_some_and(|file| file.offsets.start >= finished);
        begun.extend(objects.extract_if(.., is_begun));
    }
    hours.retain(|_, objects| !objects.is_empty());
    Ok((hours, begun))
}
