//! Fewer, larger files, without the events of listeners who asked to be forgotten.

use std::sync::Arc;

use super::erasures::rows;
use super::export::{begin_erasures, begin_events};
use super::files::{self, Ranged, finished, in_force};
use super::{ArchiveError, Erasures, read_erasures};
use crate::store::{Store, Stored};
use crate::tables::{Hour, read_archived, read_notes};

/// Note in a file's metadata: erasures up to this offset have been applied to it.
const ERASED: &str = "segue.erased_through";

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// Hours looked at.
    pub hours: u64,
    /// Of them, those that were written anew.
    pub rewritten: u64,
    /// Files removed.
    pub removed: u64,
    /// Events of erased listeners that are gone.
    pub dropped: u64,
}

/// Makes one file of each hour's, in order of time, and drops events of erased listeners. The new file is there before the
/// old ones go; one that is killed between leaves files that no reader of ours counts and the next compaction removes.
/// Leaves alone what an export that runs meanwhile has not finished. Holds one hour in memory.
///
/// # Errors
/// The store's, a damaged file, or another compaction that removed a file first. The archive is as it was, but for the
/// hours that are done.
pub fn compact(archive: &Arc<dyn Store>) -> Result<Compacted, ArchiveError> {
    let erasures = read_erasures(archive)?;
    let mut done = Compacted::default();
    for (hour, objects) in files::events(archive, finished(archive)?)?.0 {
        let (files, replaced) = in_force(objects);
        done.hours += 1;
        remove(replaced.iter(), &mut done)?;
        if files.len() > 1 || !erasures.is_empty() && erased_through(&files)? < erasures.through() {
            compact_hour(archive, hour, &files, &erasures, &mut done)?;
        }
    }
    compact_erasures(archive, &mut done)?;
    Ok(done)
}

fn erased_through(files: &[Ranged]) -> Result<u64, ArchiveError> {
    let Some(file) = files.first() else { return Ok(u64::MAX) };
    Ok(read_notes(&file.object)?.get(ERASED).and_then(|offset| offset.parse().ok()).unwrap_or(0))
}

fn remove<'o>(objects: impl Iterator<Item = &'o Stored>, done: &mut Compacted) -> Result<(), ArchiveError> {
    for object in objects {
        object.delete()?;
        done.removed += 1;
    }
    Ok(())
}

fn compact_hour(
    archive: &Arc<dyn Store>,
    hour: Hour,
    files: &[Ranged],
    erasures: &Erasures,
    done: &mut Compacted,
) -> Result<(), ArchiveError> {
    let (Some(first), Some(last)) = (files.first(), files.last()) else { return Ok(()) };
    let offsets = first.offsets.start..last.offsets.end;
    let mut events = Vec::new();
    for file in files {
        for archived in read_archived(&file.object)? {
            let archived = archived?;
            if erasures.covers_offset(&archived.event.user_id, archived.offset) {
                done.dropped += 1;
            } else {
                events.push(archived);
            }
        }
    }
    events.sort_by_key(|archived| (archived.event.ts_ms, archived.offset));
    let mut writer = begin_events(archive, hour, &offsets)?;
    writer.note(ERASED, erasures.through());
    for event in &events {
        writer.write_archived(event)?;
    }
    writer.finish()?;
    done.rewritten += 1;
    // The one with all these offsets was replaced just now.
    remove(files.iter().filter(|file| file.offsets != offsets).map(|file| &file.object), done)
}

/// The erasures' files say how far the export came, so the new one ends where the last one did.
fn compact_erasures(archive: &Arc<dyn Store>, done: &mut Compacted) -> Result<(), ArchiveError> {
    let (files, replaced) = files::erasures(archive)?;
    remove(replaced.iter(), done)?;
    let (Some(first), Some(last)) = (files.first(), files.last()) else { return Ok(()) };
    if files.len() == 1 {
        return Ok(());
    }
    let mut writer = begin_erasures(archive, &(first.offsets.start..last.offsets.end))?;
    for file in &files {
        for row in rows(&file.object)? {
            writer.write(row)?;
        }
    }
    writer.finish()?;
    remove(files.iter().map(|file| &file.object), done)
}
