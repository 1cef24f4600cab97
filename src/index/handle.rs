//! The index of a bundle, shared by all lanes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::few::Few;
use super::with_added::WithAdded;
use super::{BuildProgress, ExactIndex, FLAT_FILE, FlatConfig, FlatIndex, HnswIndex, IndexError, VectorIndex};
use crate::config::{Engine, IndexConfig};
use crate::domain::{ItemVectors, TrackIx, UnitVector};

/// An opened index. Immutable and cheap to clone; each lane takes its own [`IndexHandle::searcher`].
#[derive(Debug, Clone)]
pub struct IndexHandle {
    vectors: Arc<ItemVectors>,
    engine: Opened,
    /// Rows that searches may find.
    rows: Arc<AtomicUsize>,
}

#[derive(Debug, Clone)]
enum Opened {
    Exact,
    Lists { index: FlatIndex, miss: f32 },
    Hnsw(Arc<HnswIndex>),
}

impl IndexHandle {
    /// Which engine it is; never `Auto`.
    pub fn engine(&self) -> Engine {
        match self.engine {
            Opened::Exact => Engine::Exact,
            Opened::Lists { .. } => Engine::Lists,
            Opened::Hnsw(_) => Engine::Hnsw,
        }
    }

    fn new(vectors: Arc<ItemVectors>, engine: Opened) -> Self {
        let rows = Arc::new(AtomicUsize::new(vectors.built()));
        Self { vectors, engine, rows }
    }

    /// Lists that were built or opened elsewhere.
    pub fn lists(index: FlatIndex, vectors: Arc<ItemVectors>) -> Self {
        Self::new(vectors, Opened::Lists { index, miss: IndexConfig::default().miss })
    }

    /// The same index searched with another `miss` or `ef_factor`.
    pub fn with_effort(&self, config: &IndexConfig) -> Self {
        let engine = match &self.engine {
            Opened::Exact => Opened::Exact,
            Opened::Lists { index, .. } => Opened::Lists { index: index.clone(), miss: config.miss },
            Opened::Hnsw(graph) => Opened::Hnsw(Arc::new(graph.with_ef_factor(config.ef_factor))),
        };
        Self { vectors: Arc::clone(&self.vectors), engine, rows: Arc::clone(&self.rows) }
    }

    /// Bytes that searches read.
    pub fn resident_bytes(&self) -> usize {
        let vectors = 4 * self.vectors.as_slice().len();
        match &self.engine {
            Opened::Exact => vectors,
            Opened::Lists { index, .. } => index.resident_bytes(),
            Opened::Hnsw(graph) => vectors + graph.graph_bytes(),
        }
    }

    /// Scans all short codes of `lists` for a query as searches do, for measurements; the bytes that were scanned.
    pub fn scan_codes(&self, query: &UnitVector) -> usize {
        match &self.engine {
            Opened::Lists { index, .. } => index.scan_codes(query),
            Opened::Exact | Opened::Hnsw(_) => 0,
        }
    }

    /// The indexed vectors.
    pub fn vectors(&self) -> &Arc<ItemVectors> {
        &self.vectors
    }

    /// A searcher with a lane's own scratch memory.
    pub fn searcher(&self) -> Box<dyn VectorIndex> {
        match &self.engine {
            Opened::Exact => self.exact(),
            Opened::Lists { index, miss } => self.with_few(index.searcher(*miss)),
            Opened::Hnsw(graph) => self.with_added(graph.for_lane()),
        }
    }

    /// A searcher that finds everything, whatever the engine. `O(n dim)` a search.
    pub fn exact(&self) -> Box<dyn VectorIndex> {
        self.with_added(ExactIndex::new(Arc::clone(&self.vectors)))
    }

    fn with_added(&self, built: impl VectorIndex + 'static) -> Box<dyn VectorIndex> {
        self.with_few(Box::new(WithAdded::new(built, Arc::clone(&self.vectors), Arc::clone(&self.rows))))
    }

    fn with_few(&self, all: Box<dyn VectorIndex>) -> Box<dyn VectorIndex> {
        Box::new(Few::new(all, Arc::clone(&self.vectors), Arc::clone(&self.rows)))
    }

    /// Lets searches that begin after the return find a row that was added to the vectors. Rows come in their order.
    ///
    /// # Errors
    /// A row of another dimension.
    pub fn add(&self, track: TrackIx) -> Result<(), IndexError> {
        if let Opened::Lists { index, .. } = &self.engine {
            index.add(track, self.vectors.row(track.at()))?;
        }
        // The other engines scan what the vectors hold up to here.
        self.rows.fetch_max(track.at() + 1, Ordering::AcqRel);
        Ok(())
    }

    /// Writes what the engine needs beside the vectors into `dir`: nothing for `exact`.
    ///
    /// # Errors
    /// [`IndexError::File`].
    pub fn save(&self, dir: &Path) -> Result<(), IndexError> {
        match &self.engine {
            Opened::Exact => Ok(()),
            Opened::Lists { index, .. } => index.save(&dir.join(FLAT_FILE)),
            Opened::Hnsw(graph) => graph.save(dir),
        }
    }
}

/// Builds the index of `vectors` on all cores (`lists`: half a minute of CPU time a million tracks; `hnsw`: twenty).
///
/// `Engine::Auto` scans up to `config.exact_below` vectors and searches lists above.
///
/// # Errors
/// [`IndexError::Parameter`] for parameters out of range, [`IndexError::Engine`] when the library failed.
pub fn build(
    engine: Engine,
    config: &IndexConfig,
    vectors: Arc<ItemVectors>,
    progress: &mut dyn FnMut(BuildProgress),
) -> Result<IndexHandle, IndexError> {
    let engine = match choose(engine, config, vectors.built()) {
        Engine::Exact | Engine::Auto => Opened::Exact,
        Engine::Lists => {
            let index = FlatIndex::build(&mut &*vectors, &FlatConfig::new(config.cell_rows), progress)?;
            Opened::Lists { index, miss: config.miss }
        }
        Engine::Hnsw => {
            let total = vectors.built() as u64;
            let mut insert = |done| progress(BuildProgress { step: "insert", done, total });
            Opened::Hnsw(Arc::new(HnswIndex::build(Arc::clone(&vectors), config, &mut insert)?))
        }
    };
    Ok(IndexHandle::new(vectors, engine))
}

/// Opens the index of `vectors` whose file, if the engine has one, stands in `dir`; its digests have been verified.
///
/// # Errors
/// [`IndexError::File`] when `dir` holds no fitting file; [`IndexError::Parameter`] for parameters out of range.
pub fn load(
    engine: Engine,
    config: &IndexConfig,
    vectors: Arc<ItemVectors>,
    dir: &Path,
) -> Result<IndexHandle, IndexError> {
    let engine = match choose(engine, config, vectors.built()) {
        Engine::Exact | Engine::Auto => Opened::Exact,
        Engine::Lists => {
            Opened::Lists { index: FlatIndex::open_for(&dir.join(FLAT_FILE), &vectors)?, miss: config.miss }
        }
        Engine::Hnsw => Opened::Hnsw(Arc::new(HnswIndex::load(dir, Arc::clone(&vectors), config)?)),
    };
    Ok(IndexHandle::new(vectors, engine))
}

fn choose(engine: Engine, config: &IndexConfig, rows: usize) -> Engine {
    match engine {
        Engine::Auto if rows <= config.exact_below => Engine::Exact,
        Engine::Auto => Engine::Lists,
        Engine::Exact | Engine::Lists | Engine::Hnsw => engine,
    }
}

#[cfg(test)]
mod tests {
    use super::super::GRAPH_FILE;
    use super::super::testing::random;
    use super::*;

    #[test]
    fn auto_goes_by_size() {
        let vectors = Arc::new(random(50, 8, 5, 0.2, 1));
        let config = IndexConfig { exact_below: 50, ..IndexConfig::default() };
        let build = |engine, config: &_| build(engine, config, Arc::clone(&vectors), &mut |_| {}).unwrap();
        let scan = build(Engine::Auto, &config);
        let config = IndexConfig { exact_below: 49, ..config };
        let lists = build(Engine::Auto, &config);
        assert_eq!((scan.engine(), lists.engine()), (Engine::Exact, Engine::Lists));
        assert_eq!((scan.searcher().engine(), lists.searcher().engine()), ("exact", "lists"));
        assert_eq!(build(Engine::Exact, &config).engine(), Engine::Exact);
    }

    #[test]
    fn what_was_saved_is_opened_again() {
        let vectors = Arc::new(random(50, 8, 5, 0.2, 1));
        let config = IndexConfig::default();
        for (engine, file) in [(Engine::Hnsw, GRAPH_FILE), (Engine::Lists, FLAT_FILE)] {
            let dir = tempfile::tempdir().unwrap();
            let load = |vectors| load(engine, &config, vectors, dir.path());
            assert!(matches!(load(Arc::clone(&vectors)), Err(IndexError::File { .. })));
            let built = build(engine, &config, Arc::clone(&vectors), &mut |_| {}).unwrap();
            built.save(dir.path()).unwrap();
            assert!(dir.path().join(file).exists());
            assert_eq!(load(Arc::clone(&vectors)).unwrap().engine(), engine);
            assert!(matches!(load(Arc::new(random(49, 8, 5, 0.2, 1))), Err(IndexError::File { .. })));
        }
        let exact = build(Engine::Exact, &config, vectors, &mut |_| {}).unwrap();
        exact.save(Path::new("nowhere")).unwrap();
    }
}
