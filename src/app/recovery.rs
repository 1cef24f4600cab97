//! The event log at start: what it holds goes back into the live state before the first request.

use std::sync::Arc;
use std::time::Instant;

use super::AppError;
use crate::bundle::Bundle;
use crate::config::{Config, EventStore};
use crate::events::{EmbeddedLog, EventLog, Ground, MemoryLog, Notes, recover as recover_state};
use crate::features::StateStore;

/// Events that the in-memory log keeps.
const MEMORY_EVENTS: usize = 10_000;

/// A log that the state is up to.
pub(super) struct Recovered {
    /// The log.
    pub(super) log: Arc<dyn EventLog>,
    /// The same where it is on disk, and so is the state.
    pub(super) disk: Option<Arc<EmbeddedLog>>,
}

/// Opens the configured log and brings the state up to it.
///
/// # Errors
/// The log's directory or files.
pub(super) fn recover(
    config: &Config,
    bundle: &Bundle,
    ground: &str,
    state: &StateStore,
    notes: &Notes,
) -> Result<Recovered, AppError> {
    if config.events.store == EventStore::Memory {
        return Ok(Recovered { log: Arc::new(MemoryLog::new(MEMORY_EVENTS)), disk: None });
    }
    let start = Instant::now();
    let ground = Ground { catalogue: &bundle.catalogue, vectors: &bundle.vectors, bundle: ground };
    let (log, done) = recover_state(config, ground, state, notes)?;
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
    let log = Arc::new(log);
    Ok(Recovered { log: Arc::clone(&log) as _, disk: Some(log) })
}

/// Names what the rows in a state depend on: the bundle's tracks and vectors, not its models, and the file of changes, of
/// whose id it is.
pub(super) fn ground_id(bundle: &Bundle, changes: &str) -> String {
    let files =
        bundle.manifest.files.iter().filter(|file| ["tracks.parquet", "item_vectors.bin"].contains(&&*file.name));
    let files: String = files.map(|file| format!("{}={};", file.name, file.sha256)).collect();
    format!("{files}changes={changes}")
}
