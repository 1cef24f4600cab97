//! Why rows could not be written.

use std::path::Path;

use crate::app::AppError;
use crate::archive::ArchiveError;
use crate::bundle::BundleError;
use crate::domain::CatalogueError;
use crate::store::StoreError;
use crate::tables::TableError;

/// The fault, with the file that has it.
#[derive(Debug, thiserror::Error)]
pub enum BackfillError {
    /// A table could not be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The tracks are no catalogue.
    #[error("tracks.parquet: {0}")]
    Catalogue(#[from] CatalogueError),
    /// The bundle, or the rows it must go with.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A model does not open.
    #[error(transparent)]
    App(#[from] AppError),
    /// The history is too short to be cut, or holds nothing to learn from.
    #[error("events.parquet: {0}")]
    History(String),
    /// A bundle that the rows cannot be made with.
    #[error("bundle: {0}")]
    Unfit(String),
    /// A directory or a bucket.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive of events.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A file that is no table.
    #[error("{0}")]
    File(String),
}

/// Names the file in an I/O fault.
pub(super) fn file_fault(path: &Path, fault: impl std::fmt::Display) -> BackfillError {
    BackfillError::Table(TableError { file: path.display().to_string(), fault: fault.to_string() })
}
