//! How much the index finds of what there is, on the queries of real listeners.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::AppError;
use crate::config::Engine;
use crate::domain::{Retrieved, UnitVector};
use crate::index::{IndexError, IndexHandle};
use crate::metrics::{Metrics, NodeMetrics};
use crate::pipeline::Deadline;
use crate::stages::observe::RecallObserver;

/// A thread that searches for some user vectors with the index and exactly, one after the other, without filters, and
/// counts what both found. Ends when the lanes that hand vectors to it are gone.
pub(super) struct RecallProbe {
    to: Option<Sender<UnitVector>>,
    thread: Option<JoinHandle<()>>,
    seen: Arc<AtomicU64>,
    every: u64,
}

impl RecallProbe {
    /// Begins, with searches for `k` hits; `None` where `every` is 0 or the index is exact itself.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(super) fn start(
        index: &IndexHandle,
        every: u64,
        k: usize,
        metrics: &Arc<Metrics>,
    ) -> Result<Option<Self>, AppError> {
        if every == 0 || k == 0 || index.engine() == Engine::Exact {
            return Ok(None);
        }
        // One waits while one is searched for.
        let (to, from) = bounded(1);
        let (index, metrics) = (index.clone(), Arc::clone(metrics));
        let run = move || probe(&index, k, &from, &metrics.node);
        let thread = std::thread::Builder::new().name("recall".into()).spawn(run).map_err(AppError::RecallProbe)?;
        Ok(Some(Self { to: Some(to), thread: Some(thread), seen: Arc::default(), every }))
    }

    /// The observer of one lane.
    pub(super) fn observer(&self, metrics: &Metrics) -> Option<RecallObserver> {
        let to = self.to.clone()?;
        Some(RecallObserver::new(self.every, Arc::clone(&self.seen), to, metrics.node.probes_dropped.clone()))
    }
}

impl Drop for RecallProbe {
    fn drop(&mut self) {
        self.to = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn probe(index: &IndexHandle, k: usize, from: &Receiver<UnitVector>, metrics: &NodeMetrics) {
    let (mut fast, mut exact) = (index.searcher(), index.exact());
    let (mut found, mut wanted) = (Vec::new(), Vec::new());
    for vector in from {
        found.clear();
        wanted.clear();
        let never = Deadline::never();
        let mut both = || {
            fast.search(&vector, k, &never, &mut found)?;
            exact.search(&vector, k, &never, &mut wanted)?;
            Ok::<_, IndexError>(())
        };
        if let Err(error) = both() {
            tracing::error!(%error, "a probe of the index");
            continue;
        }
        metrics.probe_wanted.inc_by(wanted.len() as u64);
        metrics.probe_found.inc_by(found_of(&found, &wanted) as u64);
    }
}

/// How many of the hits of an exact search, best first, were found. Rows of the same score as the last may stand for one
/// another.
pub(super) fn found_of(found: &[Retrieved], wanted: &[Retrieved]) -> usize {
    let least = wanted.last().map_or(f32::MIN, |hit| hit.score);
    let mut rows: Vec<_> = found.iter().map(|hit| hit.track).collect();
    rows.sort_unstable();
    wanted.iter().filter(|hit| hit.score == least || rows.binary_search(&hit.track).is_ok()).count()
}
