//! A search whose filter knows that it lets few rows through: they are scored, one by one, and nothing else is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::exact::check_dimension;
use super::{Gate, IndexError, RowFilter, TopK, VectorIndex, dot};
use crate::domain::{ItemVectors, Retrieved, TrackIx, UnitVector};
use crate::pipeline::Deadline;

/// Rows scored between two looks at the clock.
const ROWS_A_CHECK: usize = 4_096;

/// An index, and a scan for filters that name what they let through.
pub(super) struct Few {
    all: Box<dyn VectorIndex>,
    vectors: Arc<ItemVectors>,
    /// Rows that may be found.
    rows: Arc<AtomicUsize>,
    best: TopK,
    rows_of_chunk: Vec<TrackIx>,
    gate: Gate,
}

impl Few {
    pub(super) fn new(all: Box<dyn VectorIndex>, vectors: Arc<ItemVectors>, rows: Arc<AtomicUsize>) -> Self {
        Self { all, vectors, rows, best: TopK::default(), rows_of_chunk: Vec::new(), gate: Gate::default() }
    }

    /// Scores the rows that the filter names, and those that were added since it learnt them.
    fn scan(&mut self, query: &[f32], filter: &mut dyn RowFilter, named: usize, deadline: &Deadline) {
        let built = self.vectors.built();
        let added = self.rows.load(Ordering::Acquire).saturating_sub(built);
        let mut from = 0;
        while from < named + added && (from == 0 || !deadline.passed()) {
            let until = (from + ROWS_A_CHECK).min(named + added);
            let few = filter.only().unwrap_or_default();
            let row = |at: usize| few.get(at).copied().unwrap_or(TrackIx((built + at - named) as u32));
            self.rows_of_chunk.clear();
            self.rows_of_chunk.extend((from..until).map(row));
            let scored = self.rows_of_chunk.iter().map(|track| (*track, dot(self.vectors.row(track.at()), query)));
            self.gate.offer(scored, Some(&mut *filter), &mut self.best);
            from = until;
        }
    }
}

impl VectorIndex for Few {
    fn engine(&self) -> &'static str {
        self.all.engine()
    }

    fn len(&self) -> usize {
        self.all.len()
    }

    fn search_where(
        &mut self,
        query: &UnitVector,
        k: usize,
        filter: Option<&mut dyn RowFilter>,
        deadline: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), IndexError> {
        match filter {
            Some(filter) if filter.only().is_some() => {
                check_dimension(query.as_slice(), self.vectors.dim())?;
                self.best.start(k.min(self.len()));
                let named = filter.only().map_or(0, <[TrackIx]>::len);
                self.scan(query.as_slice(), filter, named, deadline);
                self.best.finish(out);
                Ok(())
            }
            filter => self.all.search_where(query, k, filter, deadline, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ExactIndex;
    use super::super::testing::{query, random};
    use super::*;
    use proptest::prelude::*;

    struct Named(Vec<TrackIx>, u32);

    impl RowFilter for Named {
        fn mark(&mut self, tracks: &[TrackIx], removed: &mut [bool]) {
            for (track, removed) in tracks.iter().zip(removed) {
                *removed = track.0.is_multiple_of(3) || track.0 < self.1 && !self.0.contains(track);
            }
        }

        fn only(&self) -> Option<&[TrackIx]> {
            Some(&self.0)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_a_scan_of_all(rows in 1usize..300, added in 0usize..40, k in 0usize..60, seed: u64,
            named in prop::collection::btree_set(0u32..300, 0..40)) {
            let all = random(rows + added, 6, 4, 0.2, seed);
            let named: Vec<TrackIx> = named.into_iter().filter(|row| (*row as usize) < rows).map(TrackIx).collect();
            let built = Arc::new(ItemVectors::from_raw(all.as_slice()[..rows * 6].to_vec(), 6).unwrap());
            for row in rows..rows + added {
                built.add(UnitVector::new(all.row(row).to_vec(), 6).unwrap()).unwrap();
            }
            let visible = Arc::new(AtomicUsize::new(rows + added));
            let mut few = Few::new(Box::new(ExactIndex::new(Arc::clone(&built))), built, visible);
            let mut whole = ExactIndex::new(Arc::new(all));
            let (mut got, mut wanted, never) = (Vec::new(), Vec::new(), Deadline::never());
            let mut filter = Named(named, rows as u32);
            few.search_where(&query(6, seed), k, Some(&mut filter), &never, &mut got).unwrap();
            let mut marks = |tracks: &[TrackIx], removed: &mut [bool]| filter.mark(tracks, removed);
            whole.search_where(&query(6, seed), k, Some(&mut marks), &never, &mut wanted).unwrap();
            // An index of k rows at most keeps k of all.
            wanted.truncate(k.min(few.len()));
            prop_assert_eq!(got, wanted);
        }
    }

    #[test]
    fn other_filters_and_queries_go_to_the_index() {
        let vectors = Arc::new(random(50, 6, 4, 0.2, 1));
        let mut few =
            Few::new(Box::new(ExactIndex::new(Arc::clone(&vectors))), vectors, Arc::new(AtomicUsize::new(50)));
        let (mut out, never) = (Vec::new(), Deadline::never());
        few.search(&query(6, 1), 10, &never, &mut out).unwrap();
        assert_eq!((out.len(), few.len(), few.engine()), (10, 50, "exact"));
        let refused = few.search_where(&query(5, 1), 10, Some(&mut Named(vec![], 50)), &never, &mut out);
        assert_eq!(refused, Err(IndexError::Dimension { got: 5, expected: 6 }));
    }
}
