//! The thread that gives finished parts to the store, so that the one that writes does not wait for it.

use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::part::ClosedPart;
use crate::metrics::FeatureLogMetrics;
use crate::tables::TableError;

/// Parts that may wait. Beyond them the writer waits, its channel fills, and answers go unlogged and are counted.
const WAITING: usize = 4;

/// Publishes parts until it is dropped, which waits for those that it was given.
pub(super) struct Publisher {
    to: Option<Sender<ClosedPart>>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Begins.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(super) fn start(metrics: FeatureLogMetrics) -> std::io::Result<Self> {
        let (to, parts) = bounded(WAITING);
        let run = move || publish(&parts, &metrics);
        let thread = std::thread::Builder::new().name("feature-log-store".into()).spawn(run)?;
        Ok(Self { to: Some(to), thread: Some(thread) })
    }

    /// Hands a part over.
    pub(super) fn give(&self, part: ClosedPart) {
        if let Some(to) = &self.to {
            // That thread ends with this sender only.
            let _ = to.send(part);
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.to = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn publish(parts: &Receiver<ClosedPart>, metrics: &FeatureLogMetrics) {
    for part in parts {
        let answers = part.answers();
        match part.publish() {
            Ok(done) => {
                metrics.answers.inc_by(done.answers);
                metrics.rows.inc_by(done.candidates);
                metrics.bytes.inc_by(done.bytes);
            }
            Err(error) => shed(metrics, answers, &error),
        }
    }
}

/// Counts answers that the store did not take.
pub(super) fn shed(metrics: &FeatureLogMetrics, answers: u64, error: &TableError) {
    metrics.shed_store.inc_by(answers);
    tracing::error!(%error, answers, "the feature log could not be written; these answers are not in it");
}
