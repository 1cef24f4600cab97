//! The index of large catalogues: one flat, memory-mapped file of cells.
//!
//! Rows that lie together stand together: k-means makes cells, and each row is coded as what is left of it after its
//! cell's mean, once in 2 bits a component and once in 8 (`codec`). A search scans the most promising cells' 2-bit codes
//! with table look-ups that stay in registers, looks at the 8-bit codes of what these let through, and stops when
//! the cells left are expected to hold hardly a hit (`lists`).

mod agenda;
mod build;
mod cells;
mod codec;
mod file;
mod finder;
mod kernels;
mod layout;
mod lists;
mod live;
#[cfg(target_arch = "aarch64")]
mod neon;
mod rotation;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::path::Path;
use std::sync::Arc;

pub use build::{BuildProgress, FlatConfig};
pub use file::FLAT_FILE;

use super::{IndexError, VectorIndex, VectorSource};
use crate::domain::{ItemVectors, TrackIx, UnitVector};
use agenda::CellTable;
use file::Flat;
use lists::Lists;
use live::Live;

/// The instruction set that searches run on: `scalar`, `avx2`, `avx512` or `neon`.
pub fn instruction_set() -> &'static str {
    kernels::fastest().name()
}

/// The directions `[clusters, dim]` of clusters of unit vectors `[n, dim]`, by the k-means that makes cells: none is swollen
/// or starved. Fewer where there are fewer vectors. The same seed gives the same. `O(n clusters dim)`.
pub fn cluster_directions(vectors: &[f32], dim: usize, clusters: usize, seed: u64) -> Vec<f32> {
    let width = layout::width(dim);
    let widened = |row: &[f32]| row.iter().copied().chain(std::iter::repeat_n(0.0, width - dim)).collect::<Vec<_>>();
    let rows: Vec<f32> = vectors.chunks_exact(dim).flat_map(widened).collect();
    let directions = cells::directions(&rows, width, clusters, seed, 1, || {});
    directions.chunks_exact(width).flat_map(|direction| direction[..dim].iter().copied()).collect()
}

/// A flat index that lanes search. Clones share it.
#[derive(Debug, Clone)]
pub struct FlatIndex {
    flat: Arc<Flat>,
    table: Arc<CellTable>,
    live: Arc<Live>,
}

impl FlatIndex {
    fn new(flat: Flat) -> Self {
        let table = Arc::new(CellTable::new(flat.sizes(), flat.counts()));
        let live = Arc::new(Live::new(flat.shape.cells));
        Self { flat: Arc::new(flat), table, live }
    }

    /// Builds one over all vectors of `source`.
    ///
    /// # Errors
    /// A row that is no unit vector, a dimension above 1,024, too many rows, or memory that is not there.
    pub fn build(
        source: &mut dyn VectorSource,
        config: &FlatConfig,
        progress: &mut dyn FnMut(BuildProgress),
    ) -> Result<Self, IndexError> {
        build::build(source, config, progress).map(Self::new)
    }

    /// Opens the file at `path` after checking all of it, and touches every page.
    ///
    /// # Errors
    /// [`IndexError::File`] with the part that is damaged.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        let flat = Flat::open(path)?;
        flat.warm();
        Ok(Self::new(flat))
    }

    /// Opens the file at `path`, which must be of these vectors.
    ///
    /// # Errors
    /// [`IndexError::File`]: damaged, or of other vectors.
    pub fn open_for(path: &Path, vectors: &ItemVectors) -> Result<Self, IndexError> {
        let index = Self::open(path)?;
        match index.flat.differs_from(vectors) {
            None => Ok(index),
            Some(message) => Err(super::fault(path, message)),
        }
    }

    /// Writes it to `path`, whole or not at all.
    ///
    /// # Errors
    /// [`IndexError::File`].
    pub fn save(&self, path: &Path) -> Result<(), IndexError> {
        self.flat.save(path)
    }

    /// Scans all short codes for a query as searches do, for measurements; the bytes that were scanned.
    pub fn scan_codes(&self, query: &UnitVector) -> usize {
        self.lists(0.0).scan_codes(query)
    }

    /// A lane's searcher that may miss the share `miss` of the hits, as it expects them, by leaving cells out.
    pub fn searcher(&self, miss: f32) -> Box<dyn VectorIndex> {
        Box::new(self.lists(miss))
    }

    fn lists(&self, miss: f32) -> Lists {
        Lists::new(Arc::clone(&self.flat), Arc::clone(&self.table), Arc::clone(&self.live), miss)
    }

    /// Adds a row while lanes search; searches that begin after the return find it. `O(cells)`. It is not saved.
    ///
    /// # Errors
    /// A vector of another dimension.
    pub fn add(&self, track: TrackIx, vector: &[f32]) -> Result<(), IndexError> {
        self.live.add(&self.flat, track, vector)
    }

    /// Number of cells.
    pub fn cells(&self) -> usize {
        self.flat.shape.cells
    }

    /// Number of vectors that were built in.
    pub fn rows(&self) -> usize {
        self.flat.shape.rows
    }

    /// Bytes that searches read.
    pub fn resident_bytes(&self) -> usize {
        self.flat.resident_bytes()
    }
}

#[cfg(test)]
mod tests;
