//! Rows that were added to the vectors, beside an index that does not know them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Gate, IndexError, RowFilter, TopK, VectorIndex, dot};
use crate::domain::{ItemVectors, Retrieved, TrackIx, UnitVector};
use crate::pipeline::Deadline;

/// An index of the bundle's rows, and a scan of those behind them.
#[derive(Debug)]
pub(super) struct WithAdded<I> {
    built: I,
    vectors: Arc<ItemVectors>,
    /// Rows that may be found. The vectors may hold one more, of which nothing else knows yet.
    rows: Arc<AtomicUsize>,
    best: TopK,
    gate: Gate,
}

impl<I> WithAdded<I> {
    pub(super) fn new(built: I, vectors: Arc<ItemVectors>, rows: Arc<AtomicUsize>) -> Self {
        Self { built, vectors, rows, best: TopK::default(), gate: Gate::default() }
    }
}

impl<I: VectorIndex> VectorIndex for WithAdded<I> {
    fn engine(&self) -> &'static str {
        self.built.engine()
    }

    fn len(&self) -> usize {
        self.rows.load(Ordering::Acquire)
    }

    fn search_where(
        &mut self,
        query: &UnitVector,
        k: usize,
        mut filter: Option<&mut dyn RowFilter>,
        deadline: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), IndexError> {
        let rows = self.vectors.built()..self.len();
        let inner = filter.as_mut().map(|filter| &mut **filter as &mut dyn RowFilter);
        self.built.search_where(query, k, inner, deadline, out)?;
        if rows.is_empty() || deadline.passed() {
            return Ok(());
        }
        self.best.start(k.min(rows.end));
        out.drain(..).for_each(|hit| self.best.offer(hit.track, hit.score));
        let scored = rows.map(|row| (TrackIx(row as u32), dot(self.vectors.row(row), query.as_slice())));
        self.gate.offer(scored, filter, &mut self.best);
        self.best.finish(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ExactIndex;
    use super::super::testing::{query, random};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_an_index_of_all(rows in 0usize..200, added in 0usize..60, k in 0usize..300, seed: u64) {
            let all = random(rows + added, 6, 4, 0.2, seed);
            let built = Arc::new(ItemVectors::from_raw(all.as_slice()[..rows * 6].to_vec(), 6).unwrap());
            let visible = Arc::new(AtomicUsize::new(rows + added));
            let mut index = WithAdded::new(ExactIndex::new(Arc::clone(&built)), Arc::clone(&built), visible);
            for row in rows..rows + added {
                built.add(UnitVector::new(all.row(row).to_vec(), 6).unwrap()).unwrap();
            }
            built.add(UnitVector::new(vec![1.0; 6], 6).unwrap()).unwrap();
            let mut whole = ExactIndex::new(Arc::new(all));
            let mut third = |tracks: &[TrackIx], removed: &mut [bool]| {
                tracks.iter().zip(removed).for_each(|(track, removed)| *removed = !track.0.is_multiple_of(3));
            };
            let never = Deadline::never();
            let (query, mut got, mut wanted) = (query(6, seed ^ 1), Vec::new(), Vec::new());
            index.search(&query, k, &never, &mut got).unwrap();
            whole.search(&query, k, &never, &mut wanted).unwrap();
            prop_assert_eq!(&got, &wanted);
            got.clear();
            wanted.clear();
            index.search_where(&query, k, Some(&mut third), &never, &mut got).unwrap();
            whole.search_where(&query, k, Some(&mut third), &never, &mut wanted).unwrap();
            prop_assert_eq!(got, wanted);
            prop_assert_eq!(index.len(), rows + added);
        }
    }
}
