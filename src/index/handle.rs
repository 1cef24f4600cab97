//! The index of a bundle, shared by all lanes.

use std::path::Path;
use std::sync::Arc;

use super::{ExactIndex, GRAPH_FILE, HnswIndex, IndexError, VectorIndex};
use crate::config::{Engine, IndexConfig};
use crate::domain::ItemVectors;

/// An opened index. Immutable and cheap to clone; each lane takes its own [`IndexHandle::searcher`].
#[derive(Debug, Clone)]
pub struct IndexHandle {
    vectors: Arc<ItemVectors>,
    /// Absent: scan.
    graph: Option<Arc<HnswIndex>>,
}

impl IndexHandle {
    /// Engine name: `exact` or `hnsw`.
    pub fn engine(&self) -> &'static str {
        if self.graph.is_some() { "hnsw" } else { "exact" }
    }

    /// The indexed vectors.
    pub fn vectors(&self) -> &Arc<ItemVectors> {
        &self.vectors
    }

    /// A searcher with a lane's own scratch memory.
    pub fn searcher(&self) -> Box<dyn VectorIndex> {
        match &self.graph {
            Some(graph) => Box::new(graph.for_lane()),
            None => Box::new(ExactIndex::new(Arc::clone(&self.vectors))),
        }
    }

    /// Writes what the engine needs beside the vectors into `dir` and returns the names of the files: none for `exact`.
    ///
    /// # Errors
    /// [`IndexError::File`].
    pub fn save(&self, dir: &Path) -> Result<&'static [&'static str], IndexError> {
        match &self.graph {
            Some(graph) => graph.save(dir).map(|()| &[GRAPH_FILE] as &[_]),
            None => Ok(&[]),
        }
    }
}

/// Opens the index over `vectors`: the graph is read from `dir`, whose digests have been verified, or built on all cores
/// where there is no `dir` (minutes from some hundred thousand tracks on).
///
/// `Engine::Auto` scans up to `config.exact_below` vectors and walks a graph above.
///
/// # Errors
/// [`IndexError::Parameter`] for parameters out of range; [`IndexError::File`] when `dir` holds no fitting graph;
/// [`IndexError::Engine`] when a build failed.
pub fn open(
    engine: Engine,
    config: &IndexConfig,
    vectors: Arc<ItemVectors>,
    dir: Option<&Path>,
) -> Result<IndexHandle, IndexError> {
    let scan = match engine {
        Engine::Auto => vectors.len() <= config.exact_below,
        Engine::Exact => true,
        Engine::Hnsw => false,
    };
    let graph = match (scan, dir) {
        (true, _) => None,
        (false, Some(dir)) => Some(HnswIndex::load(dir, Arc::clone(&vectors), config)?),
        (false, None) => Some(HnswIndex::build(Arc::clone(&vectors), config, |_| {})?),
    };
    Ok(IndexHandle { vectors, graph: graph.map(Arc::new) })
}

#[cfg(test)]
mod tests {
    use super::super::testing::random;
    use super::*;

    #[test]
    fn auto_goes_by_size() {
        let vectors = Arc::new(random(50, 8, 5, 0.2, 1));
        let config = IndexConfig { exact_below: 50, ..IndexConfig::default() };
        let scan = open(Engine::Auto, &config, Arc::clone(&vectors), None).unwrap();
        let config = IndexConfig { exact_below: 49, ..config };
        let graph = open(Engine::Auto, &config, Arc::clone(&vectors), None).unwrap();
        assert_eq!((scan.engine(), graph.engine()), ("exact", "hnsw"));
        assert_eq!((scan.searcher().engine(), graph.searcher().engine()), ("exact", "hnsw"));
        assert_eq!(open(Engine::Exact, &config, vectors, None).unwrap().engine(), "exact");
    }

    #[test]
    fn what_was_saved_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let vectors = Arc::new(random(50, 8, 5, 0.2, 1));
        let config = IndexConfig::default();
        let missing = open(Engine::Hnsw, &config, Arc::clone(&vectors), Some(dir.path()));
        assert!(matches!(missing, Err(IndexError::File { .. })));
        let built = open(Engine::Hnsw, &config, Arc::clone(&vectors), None).unwrap();
        assert_eq!(built.save(dir.path()).unwrap(), [GRAPH_FILE]);
        assert_eq!(open(Engine::Hnsw, &config, Arc::clone(&vectors), Some(dir.path())).unwrap().engine(), "hnsw");
        assert!(open(Engine::Exact, &config, vectors, None).unwrap().save(dir.path()).unwrap().is_empty());
    }
}
