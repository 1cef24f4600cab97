//! The Parquet tables of `docs/formats.md`; the only importer of arrow and parquet.

mod events;
mod flat;
mod hours;
mod read;
mod schema;
mod tracks;
mod write;

use crate::store::StoreError;

pub use events::{ArchivedEvent, EventWriter, read_archived, read_events, stored_events};
pub use flat::{Coding, Flat, FlatWriter, Packing, read_flat};
pub use hours::{Hour, tables_by_hour};
pub use read::{Rows, read_notes, read_rows, stored_rows};
pub use schema::{Column, Type};
pub use tracks::{read_tracks, stored_tracks, write_tracks, write_unlabelled_tracks};
pub use write::{Closed, Published, RowWriter};

/// Why a table could not be read or written.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{file}: {fault}")]
pub struct TableError {
    /// The file, as it was named.
    pub file: String,
    /// What is wrong with it, and in which row where that is known.
    pub fault: String,
}

impl TableError {
    fn new(file: &str, fault: impl ToString) -> Self {
        Self { file: file.to_owned(), fault: fault.to_string() }
    }
}

impl From<StoreError> for TableError {
    fn from(error: StoreError) -> Self {
        Self { file: error.object, fault: error.fault }
    }
}

/// Runs a piece of the Parquet library and turns its panic, which crafted files can cause, into an error.
fn contained<T>(file: &str, work: impl FnOnce() -> Result<T, TableError>) -> Result<T, TableError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(TableError::new(file, "not a Parquet file that can be read (the reader panicked)")))
}

#[cfg(test)]
mod tests;
