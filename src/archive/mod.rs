//! The archive: what the event log held, as Parquet by the hour of the events, for as long as anyone wants it.
//!
//! A directory or a bucket has `events/date=/hour=/` and `erasures/`. Files of both are named by the offsets of the log that they come
//! from. Each export writes the files of some events, and last the erasures among the same offsets, even if there are none:
//! that file says that everything up to its end is there, so an export that is killed anywhere is taken up where the last
//! such file ends (`docs/formats.md`).

mod compact;
mod erasures;
mod export;
mod files;
mod owner;
mod read;
#[cfg(test)]
mod tests;

pub use compact::{Compacted, compact};
pub use erasures::{Erasures, read_erasures};
pub use export::{Exported, export};
pub use read::{HourOfEvents, is_archive, read_hours};

use crate::events::EventLogError;
use crate::store::StoreError;
use crate::tables::TableError;

/// Why an archive could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The event log.
    #[error(transparent)]
    Log(#[from] EventLogError),
    /// A table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A directory or a bucket.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A log and an archive that do not go together, or that another process works on.
    #[error("{0}")]
    Refused(String),
}
