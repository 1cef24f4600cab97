//! The Parquet tables of `docs/formats.md`; the only importer of arrow and parquet.

mod events;
mod flat;
mod hours;
mod read;
mod schema;
mod tracks;
mod write;

use std::fs::File;
use std::path::Path;

pub use events::{ArchivedEvent, EventWriter, read_archived, read_events};
pub use flat::{Coding, Flat, FlatWriter, Packing, read_flat};
pub use hours::{Hour, tables_by_hour};
pub use read::{read_notes, read_rows};
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

/// Makes a finished file durable under its name.
fn publish(file: &File, partial: &Path, path: &Path) -> Result<(), TableError> {
    let fault = |e: std::io::Error| TableError::new(path, e);
    file.sync_all().map_err(fault)?;
    std::fs::rename(partial, path).map_err(fault)?;
    // A path without a directory before it lies in the current one.
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(fault)
}

/// Runs a piece of the Parquet library and turns its panic, which crafted files can cause, into an error.
fn contained<T>(file: &Path, work: impl FnOnce() -> Result<T, TableError>) -> Result<T, TableError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(TableError::new(file, "not a Parquet file that can be read (the reader panicked)")))
}

#[cfg(test)]
mod tests;
