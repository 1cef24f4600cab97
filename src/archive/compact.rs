//! Fewer, larger files, without the events of listeners who asked to be forgotten.

use std::path::Path;

use super::erasures::rows;
use super::export::{begin_erasures, begin_events};
use super::files::{ERASURES, EVENTS, Ranged, in_force, name, remove, tables, take};
use super::{ArchiveError, Erasures, read_erasures};
use crate::tables::{read_archived, read_notes, tables_by_hour};

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
/// Holds one hour in memory.
///
/// # Errors
/// A full disk, a damaged file, or another process that writes the archive. The archive is as it was, but for the hours
/// that are done.
pub fn compact(archive: &Path) -> Result<Compacted, ArchiveError> {
    let _lock = take(archive)?;
    let erasures = read_erasures(archive)?;
    let mut done = Compacted::default();
    for paths in tables_by_hour(&archive.join(EVENTS))?.into_values() {
        let (files, replaced) = in_force(&paths);
        done.hours += 1;
        done.removed += replaced.len() as u64;
        replaced.iter().try_for_each(|path| remove(path))?;
        if files.len() > 1 || !erasures.is_empty() && erased_through(&files)? < erasures.through() {
            compact_hour(&files, &erasures, &mut done)?;
        }
    }
    compact_erasures(archive, &mut done)?;
    Ok(done)
}

fn erased_through(files: &[Ranged]) -> Result<u64, ArchiveError> {
    let Some(file) = files.first() else { return Ok(u64::MAX) };
    Ok(read_notes(&file.path)?.get(ERASED).and_then(|offset| offset.parse().ok()).unwrap_or(0))
}

fn compact_hour(files: &[Ranged], erasures: &Erasures, done: &mut Compacted) -> Result<(), ArchiveError> {
    let (Some(first), Some(last)) = (files.first(), files.last()) else { return Ok(()) };
    let offsets = first.offsets.start..last.offsets.end;
    let mut events = Vec::new();
    for file in files {
        for archived in read_archived(&file.path)? {
            let archived = archived?;
            if erasures.covers_offset(&archived.event.user_id, archived.offset) {
                done.dropped += 1;
            } else {
                events.push(archived);
            }
        }
    }
    events.sort_by_key(|archived| (archived.event.ts_ms, archived.offset));
    let path = first.path.with_file_name(name(&offsets));
    let mut writer = begin_events(&path, &offsets)?;
    writer.note(ERASED, erasures.through());
    for event in &events {
        writer.write_archived(event)?;
    }
    writer.finish()?;
    done.rewritten += 1;
    for file in files.iter().filter(|file| file.path != path) {
        remove(&file.path)?;
        done.removed += 1;
    }
    Ok(())
}

/// The erasures' files say how far the export came, so the new one ends where the last one did.
fn compact_erasures(archive: &Path, done: &mut Compacted) -> Result<(), ArchiveError> {
    let (files, replaced) = in_force(&tables(&archive.join(ERASURES))?);
    done.removed += replaced.len() as u64;
    replaced.iter().try_for_each(|path| remove(path))?;
    let (Some(first), Some(last)) = (files.first(), files.last()) else { return Ok(()) };
    if files.len() == 1 {
        return Ok(());
    }
    let offsets = first.offsets.start..last.offsets.end;
    let mut writer = begin_erasures(&archive.join(ERASURES).join(name(&offsets)), &offsets)?;
    for file in &files {
        for row in rows(&file.path)? {
            writer.write(row)?;
        }
    }
    writer.finish()?;
    for file in &files {
        remove(&file.path)?;
        done.removed += 1;
    }
    Ok(())
}
