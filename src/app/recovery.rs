//! The event log at start: what it holds goes back into the live state before the first request.

use std::sync::Arc;
use std::time::Instant;

use super::AppError;
use crate::bundle::Bundle;
use crate::config::{Config, EventStore};
use crate::events::{EventLog, Ground, MemoryLog, recover as recover_state};
use crate::features::StateStore;
use crate::metrics::Metrics;

/// Events that the in-memory log keeps.
const MEMORY_EVENTS: usize = 10_000;

/// A log that the state is up to.
pub(super) struct Recovered {
    /// The log.
    pub(super) log: Arc<dyn EventLog>,
    /// Whether there is a disk to write the state to.
    pub(super) on_disk: bool,
}

/// Opens the configured log and brings the state up to it.
///
/// # Errors
/// The log's directory or files.
pub(super) fn recover(
    config: &Config,
    bundle: &Bundle,
    changes: &str,
    state: &StateStore,
    metrics: &Metrics,
) -> Result<Recovered, AppError> {
    if config.events.store == EventStore::Memory {
        return Ok(Recovered { log: Arc::new(MemoryLog::new(MEMORY_EVENTS)), on_disk: false });
    }
    let start = Instant::now();
    let ground = Ground { catalogue: &bundle.catalogue, vectors: &bundle.vectors, bundle: &ground_id(bundle, changes) };
    let (log, done) = recover_state(config, ground, state, &metrics.events)?;
    tracing::info!(
        dir = %config.events.data_dir.display(),
        from = done.from,
        next = log.next_offset(),
        applied = done.applied,
        refused = done.refused,
        repeated = done.repeated,
        took_ms = start.elapsed().as_millis() as u64,
        "the live state is up to the event log"
    );
    Ok(Recovered { log: Arc::new(log), on_disk: true })
}

/// Names what the rows in a state depend on: the bundle's tracks and vectors, not its models, and the file of changes, of
/// whose id it is.
pub(super) fn ground_id(bundle: &Bundle, changes: &str) -> String {
    let files =
        bundle.manifest.files.iter().filter(|file| ["tracks.parquet", "item_vectors.bin"].contains(&&*file.name));
    let files: String = files.map(|file| format!("{}={};", file.name, file.sha256)).collect();
    format!("{files}changes={changes}")
}
