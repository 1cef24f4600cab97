//! The event log at start: what it holds goes back into the live state before the first request.

use std::sync::Arc;
use std::time::Instant;

use super::AppError;
use crate::bundle::Bundle;
use crate::config::{Config, EventStore};
use crate::events::{EmbeddedLog, EventLog, MemoryLog, Opened, Replay};
use crate::features::StateStore;
use crate::metrics::Metrics;

/// Events that the in-memory log keeps.
const MEMORY_EVENTS: usize = 10_000;

/// Opens the configured log and brings the state up to it.
///
/// # Errors
/// The log's directory or files.
pub(super) fn recover(
    config: &Config,
    bundle: &Bundle,
    state: &StateStore,
    metrics: &Metrics,
) -> Result<Arc<dyn EventLog>, AppError> {
    if config.events.store == EventStore::Memory {
        return Ok(Arc::new(MemoryLog::new(MEMORY_EVENTS)));
    }
    let start = Instant::now();
    let mut opened = Opened::new(&config.events, &metrics.events)?;
    let mut replay = Replay::new(state, &bundle.catalogue, &bundle.vectors, 0);
    opened.replay(0, &mut |at, entry| replay.take(at, entry))?;
    let done = replay.done();
    metrics.events.replayed.set(done.applied as i64);
    tracing::info!(
        dir = %config.events.data_dir.display(),
        next = opened.next_offset(),
        applied = done.applied,
        refused = done.refused,
        repeated = done.repeated,
        took_ms = start.elapsed().as_millis() as u64,
        "read the event log"
    );
    Ok(Arc::new(EmbeddedLog::start(opened)?))
}
