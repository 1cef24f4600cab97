//! The thread that writes the live state beside the event log, when it starts, every so often and when it stops.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use super::AppError;
use crate::events::Ingest;

/// Writes snapshots until it is dropped, and then one more.
pub(super) struct Snapshots {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Snapshots {
    /// Begins; the snapshot on disk is of offset `known`.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(super) fn start(
        ingest: Arc<Ingest>,
        bundle: String,
        mut known: u64,
        every: Duration,
    ) -> Result<Self, AppError> {
        let (stop, stopped) = bounded::<()>(0);
        let run = move || {
            let mut stopping = false;
            // The first one at once: a server that is killed again and again must not replay more each time.
            loop {
                let start = Instant::now();
                match ingest.snapshot(&bundle, known) {
                    Ok(offset) if offset == known => {}
                    Ok(offset) => {
                        known = offset;
                        tracing::info!(offset, took_ms = start.elapsed().as_millis() as u64, "wrote a snapshot");
                    }
                    Err(error) => tracing::error!(%error, "no snapshot; the one before it stands"),
                }
                if stopping {
                    return;
                }
                stopping = stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout);
            }
        };
        let thread = std::thread::Builder::new().name("snapshots".into()).spawn(run).map_err(AppError::Snapshots)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
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
