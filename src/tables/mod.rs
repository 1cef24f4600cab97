//! The canonical Parquet tables of `docs/formats.md`; the only importer of arrow and parquet.

mod events;
mod read;
mod schema;
mod tracks;
mod write;

use std::path::Path;

pub use events::{EventWriter, read_events};
pub use read::read_rows;
pub use schema::{Column, Type};
pub use tracks::{read_tracks, write_tracks};
pub use write::RowWriter;

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
    fn new(file: &Path, fault: impl ToString) -> Self {
        Self { file: file.display().to_string(), fault: fault.to_string() }
    }
}

/// Runs a piece of the Parquet library and turns its panic, which crafted files can cause, into an error.
fn contained<T>(file: &Path, work: impl FnOnce() -> Result<T, TableError>) -> Result<T, TableError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(TableError::new(file, "not a Parquet file that can be read (the reader panicked)")))
}

#[cfg(test)]
mod tests;
