//! The graph engine. `hnsw_rs` builds the graph; what it built is copied into flat rows, which our own walk searches.
//!
//! Searching through `hnsw_rs` itself takes several times as long (a pointer and a lock a node, an allocation a visited
//! candidate), holds 2-3 KB a track, has no deadline and can panic. Here it only ever runs inside [`HnswIndex::build`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use anndists::dist::distances::Distance;
use hnsw_rs::hnsw::Hnsw;

use super::exact::check_dimension;
use super::graph::{Graph, Level};
use super::walk::Walk;
use super::{Gate, IndexError, RowFilter, VectorIndex, dot, graph_file};
use crate::config::IndexConfig;
use crate::domain::{ItemVectors, Retrieved, UnitVector};
use crate::pipeline::Deadline;

/// Levels that `hnsw_rs` can hold.
const MAX_LEVELS: usize = 16;
/// Rows inserted one after the other before others follow in parallel: a graph of a few nodes must not be raced for.
const SERIAL_ROWS: usize = 1_000;
/// Rows of one parallel insertion: between two of them the progress is told.
const ROWS_A_BATCH: usize = 4_096;
/// Least width of a query's search: for few results `k` times a factor is too narrow to find them.
const MIN_EF: usize = 64;
/// How many of a row's nearest links are made to lead back to it.
const LINKS_BACK: usize = 4;

/// `1 - dot`, never below 0: the library asserts that, and rounding makes `dot` of two equal unit vectors exceed 1.
#[derive(Debug, Clone, Copy, Default)]
struct ClampedDot;

impl Distance<f32> for ClampedDot {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        (1.0 - dot(a, b)).max(0.0)
    }
}

/// A hierarchical navigable small world graph over the item vectors. Approximate; about `ef` times the number of links
/// dot products a search, whatever the size. Scores are exact. No allocation once the largest `k` has been seen.
#[derive(Debug)]
pub struct HnswIndex {
    graph: Arc<Graph>,
    vectors: Arc<ItemVectors>,
    ef_factor: f32,
    walk: Walk,
    gate: Gate,
}

impl HnswIndex {
    /// Builds the graph on all cores; `progress` is called with the number of rows done so far.
    ///
    /// Levels are drawn from a fixed seed, but rows are inserted in parallel, and which insertion sees which differs from
    /// run to run: two builds of the same vectors are equally good, not equal. A saved graph is what makes searches
    /// repeatable. Up to 1,000 rows are inserted one after the other: their graph is the same each time.
    ///
    /// # Errors
    /// [`IndexError::Parameter`] for parameters out of range, [`IndexError::Engine`] if the library panicked.
    pub fn build(
        vectors: Arc<ItemVectors>,
        config: &IndexConfig,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, IndexError> {
        check_config(config, vectors.built())?;
        let graph = if vectors.is_empty() {
            Graph::empty(vectors.dim())
        } else {
            contain(|| {
                let hnsw =
                    Hnsw::new(config.connections, vectors.built(), MAX_LEVELS, config.ef_construction, ClampedDot);
                insert_all(&hnsw, &vectors, progress);
                flatten(&hnsw, &vectors)
            })?
        };
        Self::over(graph, vectors, config).map_err(|message| engine_fault(message.to_owned()))
    }

    /// Reads what [`Self::save`] wrote. Damage is an error, never a panic or a wrong access.
    ///
    /// # Errors
    /// [`IndexError::File`] when the file is missing, damaged, or was built of other vectors (by number and dimension;
    /// the manifest's digests do the rest); [`IndexError::Parameter`] for an `ef_factor` out of range.
    pub fn load(dir: &Path, vectors: Arc<ItemVectors>, config: &IndexConfig) -> Result<Self, IndexError> {
        check_config(config, vectors.built())?;
        let graph = graph_file::load(dir, vectors.built(), vectors.dim())?;
        Self::over(graph, vectors, config).map_err(|message| engine_fault(message.to_owned()))
    }

    fn over(graph: Graph, vectors: Arc<ItemVectors>, config: &IndexConfig) -> Result<Self, &'static str> {
        graph.check()?;
        Ok(Self {
            graph: Arc::new(graph),
            vectors,
            ef_factor: config.ef_factor,
            walk: Walk::default(),
            gate: Gate::default(),
        })
    }

    /// Writes the graph to [`super::GRAPH_FILE`] in `dir`, which must exist.
    ///
    /// # Errors
    /// [`IndexError::File`].
    pub fn save(&self, dir: &Path) -> Result<(), IndexError> {
        graph_file::save(&self.graph, dir)
    }

    /// The same index with a lane's own scratch memory.
    pub fn for_lane(&self) -> Self {
        self.with_ef_factor(self.ef_factor)
    }

    /// The same index with another width of search, which its users have checked.
    pub(super) fn with_ef_factor(&self, ef_factor: f32) -> Self {
        Self {
            graph: Arc::clone(&self.graph),
            vectors: Arc::clone(&self.vectors),
            ef_factor,
            walk: Walk::default(),
            gate: Gate::default(),
        }
    }

    /// Bytes of the links.
    pub(super) fn graph_bytes(&self) -> usize {
        self.graph.levels.iter().map(|level| 4 * (level.nodes.len() + level.starts.len() + level.links.len())).sum()
    }
}

impl VectorIndex for HnswIndex {
    fn engine(&self) -> &'static str {
        "hnsw"
    }

    fn len(&self) -> usize {
        self.vectors.built()
    }

    /// A walk knows no filter: it is made again, four times as wide, until enough of what it finds is let through.
    fn search_where(
        &mut self,
        query: &UnitVector,
        k: usize,
        mut filter: Option<&mut dyn RowFilter>,
        deadline: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), IndexError> {
        check_dimension(query.as_slice(), self.vectors.dim())?;
        let k = k.min(self.len());
        let mut wanted = k;
        loop {
            let ef = ((wanted as f32 * self.ef_factor) as usize).max(MIN_EF).clamp(wanted, self.len());
            self.walk.search(&self.graph, &self.vectors, query.as_slice(), (wanted, ef), deadline, out);
            let Some(filter) = &mut filter else { return Ok(()) };
            let mut removed = self.gate.removed(out.iter().map(|hit| hit.track), &mut **filter).iter();
            out.retain(|_| !removed.next().copied().unwrap_or(true));
            if out.len() >= k || wanted >= self.len() || deadline.passed() {
                out.truncate(k);
                return Ok(());
            }
            out.clear();
            wanted = wanted.saturating_mul(4).min(self.len());
        }
    }
}

/// The ranges of `[index]`; beyond 256 connections the library would exit the process.
fn check_config(config: &IndexConfig, rows: usize) -> Result<(), IndexError> {
    let fault = |text: String| Err(IndexError::Parameter(text));
    if !(4..=64).contains(&config.connections) {
        return fault(format!("index.connections is {}, must be 4..64", config.connections));
    }
    if !(8..=2_000).contains(&config.ef_construction) {
        return fault(format!("index.ef_construction is {}, must be 8..2,000", config.ef_construction));
    }
    if !(1.0..=10.0).contains(&config.ef_factor) {
        return fault(format!("index.ef_factor is {}, must be 1..10", config.ef_factor));
    }
    // Positions of links are kept in 32 bits; a row has at most twice `connections` links and those that lead back.
    if rows.saturating_mul(2 * config.connections + LINKS_BACK) >= u32::MAX as usize {
        return fault(format!("{rows} vectors are too many for one graph with {} connections", config.connections));
    }
    Ok(())
}

fn engine_fault(message: String) -> IndexError {
    IndexError::Engine { engine: "hnsw", message }
}

/// Runs library code; its panic becomes an error.
fn contain<T>(work: impl FnOnce() -> T) -> Result<T, IndexError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&'static str>().copied());
        engine_fault(format!("the build panicked: {}", text.unwrap_or("no message")))
    })
}

fn insert_all(hnsw: &Hnsw<'_, f32, ClampedDot>, vectors: &ItemVectors, progress: &mut dyn FnMut(u64)) {
    let serial = vectors.built().min(SERIAL_ROWS);
    for row in 0..serial {
        hnsw.insert((vectors.row(row), row));
    }
    progress(serial as u64);
    let mut batch = Vec::with_capacity(ROWS_A_BATCH);
    for first in (serial..vectors.built()).step_by(ROWS_A_BATCH) {
        let end = vectors.built().min(first + ROWS_A_BATCH);
        batch.clear();
        batch.extend((first..end).map(|row| (vectors.row(row), row)));
        hnsw.parallel_insert_slice(&batch);
        progress(end as u64);
    }
}

/// Copies the links out of the library's structure.
fn flatten(hnsw: &Hnsw<'_, f32, ClampedDot>, vectors: &ItemVectors) -> Graph {
    let points = hnsw.get_point_indexation();
    let top = usize::from(hnsw.get_max_level_observed());
    let mut bottom = vec![Vec::new(); vectors.built()];
    let mut upper: Vec<Vec<(u32, Vec<u32>)>> = vec![Vec::new(); top];
    // A point is listed on its highest level only and has links on all levels from there down.
    for highest in 0..=top {
        for point in points.get_layer_iterator(highest) {
            let row = point.get_origin_id();
            let mut links = point.get_neighborhood_id().into_iter().map(|level| {
                let links = level.iter().map(|n| n.get_origin_id() as u32);
                links.filter(|to| *to as usize != row).collect::<Vec<u32>>()
            });
            bottom[row] = links.next().unwrap_or_default();
            for (level, links) in upper.iter_mut().zip(links).take(highest) {
                level.push((row as u32, links));
            }
        }
    }
    link_back(&mut bottom);
    let entry = upper.last().and_then(|level| level.iter().map(|node| node.0).min()).unwrap_or(0);
    let mut levels = vec![Level::pack(Vec::new(), &bottom)];
    for mut level in upper {
        level.sort_unstable_by_key(|node| node.0);
        let (nodes, lists): (Vec<_>, Vec<_>) = level.into_iter().unzip();
        levels.push(Level::pack(nodes, &lists));
    }
    Graph { rows: vectors.built(), dim: vectors.dim(), entry, levels }
}

/// Makes the nearest links of each row lead back to it. The library drops the farthest link of a full node whoever hangs
/// on it, so that where vectors cluster some rows are linked from nowhere and could never be found.
fn link_back(lists: &mut [Vec<u32>]) {
    for row in 0..lists.len() {
        for at in 0..lists[row].len().min(LINKS_BACK) {
            let to = lists[row][at] as usize;
            if !lists[to].contains(&(row as u32)) {
                lists[to].push(row as u32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ExactIndex;
    use super::super::testing::{query, random};
    use super::*;

    fn find(index: &mut dyn VectorIndex, query: &UnitVector, k: usize) -> Vec<Retrieved> {
        let mut out = Vec::new();
        index.search(query, k, &Deadline::never(), &mut out).unwrap();
        out
    }

    /// The library's own dot distance panics on a third of these.
    #[test]
    fn indexed_vectors_find_themselves() {
        for dim in [32, 64, 128, 256] {
            let vectors = Arc::new(random(300, dim, 20, 0.5, dim as u64));
            let mut index = HnswIndex::build(Arc::clone(&vectors), &IndexConfig::default(), &mut |_| {}).unwrap();
            for row in 0..300 {
                let query = UnitVector::new(vectors.row(row).to_vec(), dim).unwrap();
                assert_eq!(find(&mut index, &query, 5)[0].track.at(), row, "dimension {dim}");
            }
        }
    }

    #[test]
    fn finds_nearly_what_the_scan_finds_where_vectors_cluster() {
        let vectors = Arc::new(random(3_000, 16, 40, 0.3, 5));
        let mut exact = ExactIndex::new(Arc::clone(&vectors));
        let mut index = HnswIndex::build(vectors, &IndexConfig::default(), &mut |_| {}).unwrap();
        let mut found = 0;
        for seed in 0..20 {
            let (wanted, got) = (find(&mut exact, &query(16, seed), 50), find(&mut index, &query(16, seed), 50));
            assert!(got.is_sorted_by_key(|hit| (-hit.score, hit.track)) && got.len() == 50);
            // The same kernel scores both, so equal hits are equal to the bit.
            found += got.iter().filter(|hit| wanted.contains(hit)).count();
        }
        assert!(found >= 900, "recall {}", found as f32 / 1_000.0);
    }

    #[test]
    fn a_filter_takes_nothing_from_the_list() {
        let vectors = Arc::new(random(1_500, 16, 30, 0.5, 5));
        let mut index = HnswIndex::build(Arc::clone(&vectors), &IndexConfig::default(), &mut |_| {}).unwrap();
        let mut even = |tracks: &[crate::domain::TrackIx], removed: &mut [bool]| {
            tracks.iter().zip(removed).for_each(|(track, removed)| *removed = track.0 % 50 != 0);
        };
        let mut out = Vec::new();
        index.search_where(&query(16, 1), 25, Some(&mut even), &Deadline::never(), &mut out).unwrap();
        assert!(out.len() == 25 && out.iter().all(|hit| hit.track.0 % 50 == 0), "{out:?}");
    }

    #[test]
    fn refuses_other_dimensions_and_wild_parameters() {
        let vectors = Arc::new(random(20, 8, 2, 0.3, 1));
        let mut index = HnswIndex::build(Arc::clone(&vectors), &IndexConfig::default(), &mut |_| {}).unwrap();
        let refused = index.search(&query(16, 1), 3, &Deadline::never(), &mut Vec::new());
        assert_eq!(refused, Err(IndexError::Dimension { got: 16, expected: 8 }));
        for config in [
            IndexConfig { connections: 65, ..IndexConfig::default() },
            IndexConfig { ef_construction: 0, ..IndexConfig::default() },
            IndexConfig { ef_factor: f32::NAN, ..IndexConfig::default() },
        ] {
            assert!(matches!(
                HnswIndex::build(Arc::clone(&vectors), &config, &mut |_| {}),
                Err(IndexError::Parameter(_))
            ));
        }
    }

    #[test]
    fn gives_all_there_is_when_asked_for_more() {
        for rows in [0, 1, 2, 30] {
            let vectors = Arc::new(random(rows, 8, 3, 0.0, 1));
            let mut index = HnswIndex::build(vectors, &IndexConfig::default(), &mut |_| {}).unwrap();
            assert_eq!(find(&mut index, &query(8, 2), 100).len(), rows);
        }
    }

    /// New tracks of an artist without audio may share one vector.
    #[test]
    fn reaches_rows_that_are_equal() {
        let vectors = Arc::new(random(2_000, 16, 20, 0.0, 4));
        let mut index = HnswIndex::build(vectors, &IndexConfig::default(), &mut |_| {}).unwrap();
        for seed in 0..5 {
            let found = find(&mut index, &query(16, seed), 300).len();
            assert!(found >= 300, "{found} of 300");
        }
    }

    #[test]
    fn a_saved_graph_answers_as_the_built_one() {
        let dir = tempfile::tempdir().unwrap();
        let config = IndexConfig::default();
        let vectors = Arc::new(random(1_500, 16, 10, 0.4, 9));
        let mut told = Vec::new();
        let mut built = HnswIndex::build(Arc::clone(&vectors), &config, &mut |rows| told.push(rows)).unwrap();
        assert_eq!(told, [1_000, 1_500]);
        built.save(dir.path()).unwrap();
        let mut loaded = HnswIndex::load(dir.path(), Arc::clone(&vectors), &config).unwrap().for_lane();
        for seed in 0..5 {
            assert_eq!(find(&mut built, &query(16, seed), 40), find(&mut loaded, &query(16, seed), 40));
        }
        let fewer = Arc::new(random(1_499, 16, 10, 0.4, 9));
        assert!(matches!(HnswIndex::load(dir.path(), fewer, &config), Err(IndexError::File { .. })));
    }

    #[test]
    fn a_panic_of_the_library_is_an_error() {
        let result: Result<(), _> = contain(|| panic!("boom"));
        assert!(matches!(result, Err(IndexError::Engine { message, .. }) if message.contains("boom")));
    }
}
