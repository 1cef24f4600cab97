//! Nearest neighbours over the item vectors, behind one trait: [`ExactIndex`] scans, [`FlatIndex`] scans the cells that
//! matter, [`HnswIndex`] walks a graph, and [`IndexHandle`] is whichever of them a bundle is served with.

mod dot;
mod exact;
mod few;
mod flat;
mod graph;
mod graph_file;
mod handle;
mod hnsw;
mod source;
#[cfg(test)]
pub(crate) mod testing;
mod top_k;
mod walk;
mod with_added;

pub use dot::dot;
pub use exact::ExactIndex;
pub use flat::{BuildProgress, FLAT_FILE, FlatConfig, FlatIndex, cluster_directions, instruction_set};
pub use graph_file::GRAPH_FILE;
pub use handle::{IndexHandle, build, load};
pub use hnsw::HnswIndex;
pub use source::{VectorSource, Visit};
pub use top_k::TopK;

use crate::domain::{Retrieved, TrackIx, UnitVector};
use crate::pipeline::Deadline;

/// Finds the items whose vectors are most similar to a query.
///
/// A value belongs to one lane: it may keep scratch memory. Shared, immutable parts sit behind an `Arc` inside.
pub trait VectorIndex: Send {
    /// Engine name: `exact`, `lists` or `hnsw`.
    fn engine(&self) -> &'static str;

    /// Number of indexed vectors.
    fn len(&self) -> usize;

    /// Whether nothing is indexed.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the `k` most similar items that `filter` lets through to `out` (handed over empty), best first, ties by
    /// row; `score` = dot product in -1..1. Fewer than `k` only when fewer are let through, when the deadline passed (best
    /// so far), or for approximate engines when the walk ended early.
    ///
    /// # Errors
    /// A query of the wrong dimension, or a fault of the engine (its panics are contained).
    fn search_where(
        &mut self,
        query: &UnitVector,
        k: usize,
        filter: Option<&mut dyn RowFilter>,
        deadline: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), IndexError>;

    /// The same with every item let through.
    ///
    /// # Errors
    /// As [`VectorIndex::search_where`].
    fn search(
        &mut self,
        query: &UnitVector,
        k: usize,
        deadline: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), IndexError> {
        self.search_where(query, k, None, deadline, out)
    }
}

/// Says which rows a search may return. Engines ask for some rows at a time, each at most once a search.
pub trait RowFilter {
    /// Sets `removed[i]`, handed over `false`, where `tracks[i]` must not be returned.
    fn mark(&mut self, tracks: &[TrackIx], removed: &mut [bool]);

    /// The few rows, each once, that may be let through of those that the vectors were built with, where that is known: all
    /// others are removed. The same until the search ends. Listed ones are asked for all the same, added ones too.
    fn only(&self) -> Option<&[TrackIx]> {
        None
    }
}

impl<F: FnMut(&[TrackIx], &mut [bool])> RowFilter for F {
    fn mark(&mut self, tracks: &[TrackIx], removed: &mut [bool]) {
        self(tracks, removed);
    }
}

/// Rows on their way through a filter. Keeps its memory.
#[derive(Debug, Default)]
struct Gate {
    tracks: Vec<TrackIx>,
    removed: Vec<bool>,
    hits: Vec<(TrackIx, f32)>,
}

impl Gate {
    /// Which of `tracks` the filter removes.
    fn removed(&mut self, tracks: impl Iterator<Item = TrackIx>, filter: &mut dyn RowFilter) -> &[bool] {
        self.tracks.clear();
        self.tracks.extend(tracks);
        self.removed.clear();
        self.removed.resize(self.tracks.len(), false);
        filter.mark(&self.tracks, &mut self.removed);
        &self.removed
    }

    /// Offers rows with their scores to the best so far. The filter is asked only for those that reach the bar.
    fn offer(
        &mut self,
        scored: impl Iterator<Item = (TrackIx, f32)>,
        filter: Option<&mut (dyn RowFilter + '_)>,
        best: &mut TopK,
    ) {
        let Some(filter) = filter else { return scored.for_each(|(track, score)| best.offer(track, score)) };
        let (bar, mut hits) = (best.bar(), std::mem::take(&mut self.hits));
        hits.clear();
        hits.extend(scored.filter(|(_, score)| *score >= bar));
        let removed = self.removed(hits.iter().map(|hit| hit.0), filter);
        let kept = hits.iter().zip(removed).filter(|(_, removed)| !**removed);
        kept.for_each(|((track, score), _)| best.offer(*track, *score));
        self.hits = hits;
    }
}

/// Why a search or a build gave nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IndexError {
    /// Query and index differ in dimension.
    #[error("query of dimension {got}, index of dimension {expected}")]
    Dimension {
        /// The query's.
        got: usize,
        /// The index's.
        expected: usize,
    },
    /// A parameter is out of range.
    #[error("{0}")]
    Parameter(String),
    /// The engine failed or panicked.
    #[error("engine {engine}: {message}")]
    Engine {
        /// Which.
        engine: &'static str,
        /// What it said.
        message: String,
    },
    /// A file could not be read or written, or does not match.
    #[error("{file}: {message}")]
    File {
        /// Which.
        file: String,
        /// What is wrong.
        message: String,
    },
}

fn fault(path: &std::path::Path, message: impl Into<String>) -> IndexError {
    IndexError::File { file: path.display().to_string(), message: message.into() }
}
