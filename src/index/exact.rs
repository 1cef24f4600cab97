//! The scan: exact, and fastest up to some ten thousand tracks.

use std::sync::Arc;

use super::{Gate, IndexError, RowFilter, TopK, VectorIndex, dot};
use crate::domain::{ItemVectors, Retrieved, TrackIx, UnitVector};
use crate::pipeline::Deadline;

/// Rows scanned between two looks at the clock: 1 MiB of vectors at dimension 64.
const ROWS_A_CHECK: usize = 4_096;

/// Scores every vector of the bundle. One pass over the matrix in memory order, `O(n dim)`: bound by memory bandwidth, so lanes that
/// scan at the same time share it. No allocation once `k` has been seen.
#[derive(Debug)]
pub struct ExactIndex {
    vectors: Arc<ItemVectors>,
    best: TopK,
    gate: Gate,
}

impl ExactIndex {
    /// An index over the rows that `vectors` were built with. Copies nothing.
    pub fn new(vectors: Arc<ItemVectors>) -> Self {
        Self { vectors, best: TopK::default(), gate: Gate::default() }
    }
}

impl VectorIndex for ExactIndex {
    fn engine(&self) -> &'static str {
        "exact"
    }

    fn len(&self) -> usize {
        self.vectors.built()
    }

    fn search_where(
        &mut self,
        query: &UnitVector,
        k: usize,
        mut filter: Option<&mut dyn RowFilter>,
        deadline: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), IndexError> {
        let (query, dim) = (query.as_slice(), self.vectors.dim());
        check_dimension(query, dim)?;
        self.best.start(k.min(self.len()));
        for (block, vectors) in (0u32..).zip(self.vectors.as_slice().chunks(ROWS_A_CHECK * dim)) {
            let first = block * ROWS_A_CHECK as u32;
            let scored = (first..).zip(vectors.chunks_exact(dim)).map(|(row, v)| (TrackIx(row), dot(v, query)));
            self.gate.offer(scored, filter.as_deref_mut(), &mut self.best);
            if deadline.passed() {
                break;
            }
        }
        self.best.finish(out);
        Ok(())
    }
}

/// Whether a query fits an index of dimension `expected`.
pub(super) fn check_dimension(query: &[f32], expected: usize) -> Result<(), IndexError> {
    if query.len() == expected { Ok(()) } else { Err(IndexError::Dimension { got: query.len(), expected }) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{query, random};
    use super::super::top_k::best_first;
    use super::*;
    use proptest::prelude::*;

    fn naive(vectors: &ItemVectors, query: &UnitVector, k: usize) -> Vec<Retrieved> {
        naive_of(vectors, query, k, |_| true)
    }

    fn naive_of(vectors: &ItemVectors, query: &UnitVector, k: usize, keep: impl Fn(usize) -> bool) -> Vec<Retrieved> {
        let mut all: Vec<_> = (0..vectors.len())
            .filter(|row| keep(*row))
            .map(|row| Retrieved { track: TrackIx(row as u32), score: dot(vectors.row(row), query.as_slice()) })
            .collect();
        all.sort_by(best_first);
        all.truncate(k);
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_a_full_sort(rows in 0usize..400, dim in 1usize..40, k in 0usize..450, seed: u64) {
            // Coarse vectors, so that there are ties.
            let vectors = Arc::new(random(rows, dim, 3, 0.0, seed));
            let mut index = ExactIndex::new(Arc::clone(&vectors));
            let query = query(dim, seed ^ 1);
            let mut out = Vec::new();
            index.search(&query, k, &Deadline::never(), &mut out).unwrap();
            prop_assert_eq!(&out, &naive(&vectors, &query, k));
            let third = |row: usize| row.is_multiple_of(3);
            let mut filter = |tracks: &[TrackIx], removed: &mut [bool]| {
                tracks.iter().zip(removed).for_each(|(track, removed)| *removed = !third(track.at()));
            };
            out.clear();
            index.search_where(&query, k, Some(&mut filter), &Deadline::never(), &mut out).unwrap();
            prop_assert_eq!(out, naive_of(&vectors, &query, k, third));
        }
    }

    #[test]
    fn a_passed_deadline_gives_the_best_so_far() {
        let vectors = Arc::new(random(3 * ROWS_A_CHECK, 4, 50, 0.2, 7));
        let (query, mut out) = (query(4, 3), Vec::new());
        let mut index = ExactIndex::new(Arc::clone(&vectors));
        index.search(&query, 10, &Deadline::after_checks(1), &mut out).unwrap();
        let seen = ItemVectors::from_raw(vectors.as_slice()[..2 * ROWS_A_CHECK * 4].to_vec(), 4).unwrap();
        assert_eq!(out, naive(&seen, &query, 10));
    }

    #[test]
    fn refuses_a_query_of_another_space() {
        let mut index = ExactIndex::new(Arc::new(random(5, 4, 2, 0.1, 1)));
        let refused = index.search(&query(8, 1), 3, &Deadline::never(), &mut Vec::new());
        assert_eq!(refused, Err(IndexError::Dimension { got: 8, expected: 4 }));
    }
}
