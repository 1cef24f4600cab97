//! Events between nodes, over a topic of a Fluvio cluster: what this node logs goes out, what the others logged comes in.
//!
//! The event log stays the first stop. Going out, it is the outbox: entries are published in its order, and how far that
//! came is noted beside it. Coming in, events are appended to it with the place in the topic in the same transaction, so
//! state, log and place never disagree, and a restart needs no cluster. What the published client gets wrong, and how it
//! is used here instead, stands in `docs/fluvio.md`.

mod incoming;
mod outgoing;
mod record;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ::fluvio::metadata::topic::TopicSpec;
use ::fluvio::{Fluvio, FluvioClusterConfig};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

use super::{EmbeddedLog, EventLogError, Ingest, Outbox};
use crate::config::FluvioConfig;
use crate::metrics::StreamMetrics;

/// Longest wait for one step of the cluster: the client itself may wait for minutes on a connection that is dead.
const PATIENCE: Duration = Duration::from_secs(10);
/// Waits before the next try, growing.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A new topic is not there at once.
const SETTLE: Duration = Duration::from_secs(1);

/// Why something has to be tried again.
type Fault = Box<dyn std::error::Error + Send + Sync>;

/// What both directions need.
struct Shared {
    config: FluvioConfig,
    endpoint: String,
    node: String,
    log: Arc<EmbeddedLog>,
    ingest: Arc<Ingest>,
    metrics: StreamMetrics,
}

/// The connection of one node, on a thread of its own until it is dropped. A cluster that is away is waited for.
pub struct Stream {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Stream {
    /// Begins to publish and to read; the cluster need not be there.
    ///
    /// # Errors
    /// The outbox's notes in the log's directory, or if there is no thread to be had.
    pub fn start(
        config: &FluvioConfig,
        endpoint: &str,
        log: Arc<EmbeddedLog>,
        ingest: Arc<Ingest>,
        metrics: StreamMetrics,
    ) -> Result<Self, EventLogError> {
        let outbox = Outbox::open(&log, &config.topic)?;
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("stream").enable_all().build();
        let runtime = runtime.map_err(|error| EventLogError(format!("no threads for the stream: {error}")))?;
        let (config, endpoint) = (config.clone(), endpoint.to_owned());
        let shared = Shared { config, endpoint, node: outbox.node().to_owned(), log, ingest, metrics };
        let (stop, mut stopped) = watch::channel(false);
        let run = move || {
            runtime.block_on(async {
                let work = async { tokio::join!(outgoing::run(&shared, outbox), incoming::run(&shared)) };
                tokio::select! {
                    _ = work => {}
                    _ = stopped.changed() => {}
                }
            });
            runtime.shutdown_timeout(PATIENCE);
        };
        let thread = std::thread::Builder::new().name("stream".into()).spawn(run);
        let thread = thread.map_err(|error| EventLogError(format!("no thread for the stream: {error}")))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// A fresh connection: the client's object does not reconnect to the cluster's controller.
    async fn connect(&self) -> Result<Fluvio, Fault> {
        let config = FluvioClusterConfig::new(&self.endpoint);
        patiently(Fluvio::connect_with_config(&config)).await
    }

    /// Partitions of the topic, which is made if absent.
    async fn partitions(&self, fluvio: &Fluvio) -> Result<u32, Fault> {
        let admin = fluvio.admin().await;
        let topic = &self.config.topic;
        for made in [false, true] {
            let all = patiently(admin.all::<TopicSpec>()).await?;
            if let Some(found) = all.into_iter().find(|found| found.name == *topic) {
                return Ok(found.spec.partitions());
            }
            if !made {
                let spec = TopicSpec::new_computed(self.config.partitions, self.config.replicas, None);
                // Another node may make it in the same moment.
                let done = patiently(admin.create(topic.clone(), false, spec)).await;
                tracing::info!(topic, refused = done.err().map(|error| error.to_string()), "made the topic of events");
                tokio::time::sleep(SETTLE).await;
            }
        }
        Err(format!("the topic {topic} is not there and cannot be made").into())
    }

    /// Runs `once` again and again until it says that it is done, with growing waits between failures that follow each
    /// other without progress; `once` says whether it came any further.
    async fn persistently(&self, what: &str, mut once: impl AsyncFnMut(&mut bool) -> Result<(), Fault>) {
        let mut wait = BACKOFF.0;
        loop {
            let mut progress = false;
            let Err(error) = once(&mut progress).await else { return };
            wait = if progress { BACKOFF.0 } else { wait };
            self.metrics.failures.inc();
            tracing::warn!(what, %error, wait_ms = wait.as_millis() as u64, "the stream of events; trying again");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(BACKOFF.1);
        }
    }
}

/// A step of the client, given up on after [`PATIENCE`].
async fn patiently<T, E: Into<Fault>>(step: impl Future<Output = Result<T, E>>) -> Result<T, Fault> {
    match tokio::time::timeout(PATIENCE, step).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs()).into()),
    }
}

/// Work that waits for the disk.
async fn waiting<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EventLogError> + Send + 'static,
) -> Result<T, Fault> {
    Ok(Handle::current().spawn_blocking(work).await??)
}
