//! Why nothing was evaluated.

use crate::backfill::BackfillError;
use crate::domain::CatalogueError;
use crate::inference::InferenceError;
use crate::store::StoreError;
use crate::tables::TableError;

/// The fault.
#[derive(Debug, thiserror::Error)]
pub enum OpeError {
    /// The logs.
    #[error(transparent)]
    Logs(#[from] BackfillError),
    /// A table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A directory or a bucket.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tracks are no catalogue.
    #[error("tracks.parquet: {0}")]
    Catalogue(#[from] CatalogueError),
    /// The ranker of a bundle.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// A bundle whose ranker cannot be asked about these rows.
    #[error("policy {policy}: {fault}")]
    Unfit {
        /// The policy.
        policy: String,
        /// Why.
        fault: String,
    },
    /// Nothing in the log was drawn.
    #[error(
        "no place of the logged answers was drawn by exploration: nothing can be said of another policy. Log with \
         `exploration.positions` set and requests whose `discovery` is not 0"
    )]
    NothingDrawn,
}
