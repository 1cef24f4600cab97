//! Why there is no report.

use crate::archive::ArchiveError;
use crate::domain::CatalogueError;
use crate::features::ApplyError;
use crate::store::StoreError;
use crate::tables::TableError;

/// The fault.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// A table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A directory or a bucket.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive of events.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The tracks are no catalogue.
    #[error("tracks.parquet: {0}")]
    Catalogue(#[from] CatalogueError),
    /// Memory for sessions and profiles ran out, so that plays were forgotten.
    #[error("{0} sessions or profiles did not fit into memory: raise state.sessions_mib and state.profiles_mib")]
    Forgotten(u64),
    /// An event that the state refused for another reason than its track or its session.
    #[error("an event was refused: {0}")]
    Event(#[from] ApplyError),
    /// Nobody was exposed.
    #[error("{0}: no answer of the feature log came past the point where its arms part, or its name is another")]
    Nobody(String),
    /// The arms are not as large as they should be.
    #[error(
        "sample-ratio mismatch: arms have {counts} listeners where {expected} were expected (p = {p:.2e}). Listeners were lost or \
         added by arm, so no difference between arms can be trusted; find the cause, or look at the figures all the same \
         with --despite-mismatch"
    )]
    Mismatch {
        /// Listeners of each arm.
        counts: String,
        /// As the weights have it.
        expected: String,
        /// Of the chi-square test.
        p: f64,
    },
}
