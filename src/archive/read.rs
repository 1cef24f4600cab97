//! The events of an archive in time order, hour by hour.

use std::sync::Arc;

use super::ArchiveError;
use super::files::{self, finished, in_force};
use crate::domain::Event;
use crate::store::Store;
use crate::tables::{Hour, read_archived};

/// The events of one hour, by time, then by offset.
#[derive(Debug, Clone, PartialEq)]
pub struct HourOfEvents {
    /// The hour.
    pub hour: Hour,
    /// Its events.
    pub events: Vec<Event>,
}

/// Whether a store has an archive, by its erasures.
///
/// # Errors
/// The store's.
pub fn is_archive(store: &Arc<dyn Store>) -> Result<bool, ArchiveError> {
    Ok(!files::erasures(store)?.0.is_empty())
}

/// Reads an archive hour by hour, oldest first; one hour is in memory at a time. What an export that has not finished wrote is
/// passed over.
///
/// # Errors
/// The store's; from the iterator also a file that is not as it was written.
pub fn read_hours(
    archive: &Arc<dyn Store>,
) -> Result<impl Iterator<Item = Result<HourOfEvents, ArchiveError>> + use<>, ArchiveError> {
    let (hours, _) = files::events(archive, finished(archive)?)?;
    Ok(hours.into_iter().map(|(hour, objects)| {
        let mut events = Vec::new();
        for file in in_force(objects).0 {
            for archived in read_archived(&file.object)? {
                events.push(archived?);
            }
        }
        events.sort_by_key(|archived| (archived.event.ts_ms, archived.offset));
        Ok(HourOfEvents { hour, events: events.into_iter().map(|archived| archived.event).collect() })
    }))
}
