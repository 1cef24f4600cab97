//! The events of an archive in time order, hour by hour.

use std::path::Path;

use super::ArchiveError;
use super::files::{ERASURES, EVENTS, in_force};
use crate::domain::Event;
use crate::tables::{Hour, read_archived, tables_by_hour};

/// The events of one hour, by time, then by offset.
#[derive(Debug, Clone, PartialEq)]
pub struct HourOfEvents {
    /// The hour.
    pub hour: Hour,
    /// Its events.
    pub events: Vec<Event>,
}

/// Whether a directory is an archive, by the directory of its erasures.
pub fn is_archive(dir: &Path) -> bool {
    dir.join(ERASURES).is_dir()
}

/// Reads an archive hour by hour, oldest first; one hour is in memory at a time.
///
/// # Errors
/// A directory that cannot be read; from the iterator a file that is not as it was written.
pub fn read_hours(
    archive: &Path,
) -> Result<impl Iterator<Item = Result<HourOfEvents, ArchiveError>> + use<>, ArchiveError> {
    let hours = tables_by_hour(&archive.join(EVENTS))?;
    Ok(hours.into_iter().map(|(hour, paths)| {
        let mut events = Vec::new();
        for file in in_force(&paths).0 {
            for archived in read_archived(&file.path)? {
                events.push(archived?);
            }
        }
        events.sort_by_key(|archived| (archived.event.ts_ms, archived.offset));
        Ok(HourOfEvents { hour, events: events.into_iter().map(|archived| archived.event).collect() })
    }))
}
