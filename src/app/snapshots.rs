//! The thread that writes the live state to disk: when it starts, every so often, when memory needs it, and when it stops.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use super::AppError;
use crate::events::Ingest;

/// Writes the state until it is dropped, and then once more.
pub(super) struct Snapshots {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How often it is asked whether memory has no room for what is not written.
const TICK: Duration = Duration::from_secs(1);

impl Snapshots {
    /// Begins.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(super) fn start(ingest: Arc<Ingest>, every: Duration) -> Result<Self, AppError> {
        let (stop, stopped) = bounded::<()>(0);
        let run = move || {
            // The first one at once: a server that is killed again and again must not replay more each time.
            write(&ingest);
            let mut last = Instant::now();
            while stopped.recv_timeout(TICK.min(every)) == Err(RecvTimeoutError::Timeout) {
                if last.elapsed() >= every || ingest.is_crowded() {
                    write(&ingest);
                    last = Instant::now();
                }
            }
            write(&ingest);
        };
        let thread = std::thread::Builder::new().name("snapshots".into()).spawn(run).map_err(AppError::Snapshots)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

fn write(ingest: &Ingest) {
    let start = Instant::now();
    match ingest.snapshot() {
        Ok(offset) => tracing::debug!(offset, took_ms = start.elapsed().as_millis() as u64, "the state is on disk"),
        Err(error) => tracing::error!(%error, "the state was not written; what is on disk stands"),
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported when it happened.
            let _ = thread.join();
        }
    }
}
