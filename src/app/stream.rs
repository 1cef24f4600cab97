//! The stream between nodes, where one is configured.

use std::sync::Arc;

use crate::config::EventsConfig;
use crate::events::{EmbeddedLog, EventLogError, Ingest};
use crate::metrics::Metrics;

#[cfg(feature = "fluvio")]
pub(super) use crate::events::fluvio::Stream;

/// What a build without a stream has: nothing.
#[cfg(not(feature = "fluvio"))]
pub(super) enum Stream {}

/// Begins to send and to read where `events.fluvio.endpoint` is given.
///
/// # Errors
/// It is given and cannot be used: the build has no stream, the log is not on disk, or its directory cannot be written.
pub(super) fn start(
    config: &EventsConfig,
    log: Option<Arc<EmbeddedLog>>,
    ingest: &Arc<Ingest>,
    metrics: &Metrics,
) -> Result<Option<Stream>, EventLogError> {
    let Some(endpoint) = &config.fluvio.endpoint else { return Ok(None) };
    let log = log.ok_or_else(|| EventLogError("events.fluvio.endpoint needs events.store = \"disk\"".into()))?;
    connect(config, endpoint, log, Arc::clone(ingest), metrics).map(Some)
}

#[cfg(feature = "fluvio")]
fn connect(
    config: &EventsConfig,
    endpoint: &str,
    log: Arc<EmbeddedLog>,
    ingest: Arc<Ingest>,
    metrics: &Metrics,
) -> Result<Stream, EventLogError> {
    Stream::start(&config.fluvio, endpoint, log, ingest, metrics.stream.clone())
}

#[cfg(not(feature = "fluvio"))]
fn connect(
    _: &EventsConfig,
    endpoint: &str,
    _: Arc<EmbeddedLog>,
    _: Arc<Ingest>,
    _: &Metrics,
) -> Result<Stream, EventLogError> {
    Err(EventLogError(format!(
        "events.fluvio.endpoint is {endpoint:?}, but this segue was built without it: build with --features fluvio"
    )))
}
