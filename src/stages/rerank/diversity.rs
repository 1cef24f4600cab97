//! Maximal marginal relevance (Carbonell and Goldstein 1998) over item vectors.

use std::sync::Arc;

use crate::domain::{CandidateSet, ItemVectors, RequestContext};
use crate::pipeline::{Reranker, StageError};
use crate::stages::similarity::dot;

/// Candidates looked at: this many times the limit, but not fewer than [`MIN_POOL`].
const POOL_FACTOR: usize = 5;
/// Fewest candidates looked at.
const MIN_POOL: usize = 100;
/// Places filled, as a multiple of the limit: what later re-rankers may need beyond it.
const FILLED_FACTOR: usize = 2;

/// Fills the first `2 * limit` places one by one with the candidate that maximises
/// `(1 - d) * relevance - d * similarity`, where `d` = `request.diversity`, relevance is the score scaled to 0..1 over
/// the pool, and similarity the largest cosine to what has been chosen (0 for the first). The pool is the best
/// `max(5 * limit, 100)`; what was not chosen follows in its old order. Scores stay: only places change.
///
/// `d` = 0 is the identity. `O(2 * limit * pool * dim)`; no allocation once grown.
#[derive(Debug)]
pub struct Diversity {
    vectors: Arc<ItemVectors>,
    relevance: Vec<f32>,
    nearest: Vec<f32>,
    pool: Vec<u32>,
    taken: Vec<bool>,
}

impl Diversity {
    /// Takes the item vectors of the loaded bundle.
    pub fn new(vectors: Arc<ItemVectors>) -> Self {
        Self { vectors, relevance: Vec::new(), nearest: Vec::new(), pool: Vec::new(), taken: Vec::new() }
    }

    /// Copies the pool and scales its scores.
    fn prepare(&mut self, order: &[u32], list_scores: &[f32], limit: usize) {
        let size = order.len().min((limit * POOL_FACTOR).max(MIN_POOL));
        self.pool.clear();
        self.pool.extend_from_slice(&order[..size]);
        let scores = self.pool.iter().map(|row| list_scores[*row as usize]);
        let (least, most) = scores.clone().fold((f32::MAX, f32::MIN), |(lo, hi), s| (lo.min(s), hi.max(s)));
        let scale = if most > least { 1.0 / (most - least) } else { 0.0 };
        self.relevance.clear();
        self.relevance.extend(scores.map(|s| (s - least) * scale));
        self.nearest.clear();
        self.nearest.resize(size, f32::NEG_INFINITY);
        self.taken.clear();
        self.taken.resize(size, false);
    }

    /// Position in the pool of the best candidate left; ties by old place.
    fn best(&self, diversity: f32, first: bool) -> Option<usize> {
        let mut best: Option<(usize, f32)> = None;
        for at in (0..self.pool.len()).filter(|at| !self.taken[*at]) {
            let similarity = if first { 0.0 } else { self.nearest[at] };
            let value = (1.0 - diversity) * self.relevance[at] - diversity * similarity;
            if best.is_none_or(|(_, most)| value > most) {
                best = Some((at, value));
            }
        }
        best.map(|(at, _)| at)
    }

    /// Brings the similarities up to date after a choice.
    fn choose(&mut self, chosen: usize, candidates: &CandidateSet) {
        self.taken[chosen] = true;
        let vectors = &*self.vectors;
        let vector_of = |row: u32| {
            let track = candidates.tracks[row as usize].at();
            (track < vectors.len()).then(|| vectors.row(track))
        };
        let chosen = vector_of(self.pool[chosen]);
        for (at, row) in self.pool.iter().enumerate() {
            if !self.taken[at] {
                // A track without a vector is like no other.
                let similarity = chosen.zip(vector_of(*row)).map_or(0.0, |(a, b)| dot(a, b));
                self.nearest[at] = self.nearest[at].max(similarity);
            }
        }
    }
}

impl Reranker for Diversity {
    fn name(&self) -> &'static str {
        "diversity"
    }

    fn rerank(
        &mut self,
        context: &RequestContext,
        candidates: &CandidateSet,
        list_scores: &mut [f32],
        _propensity: &mut [Option<f32>],
        order: &mut Vec<u32>,
        limit: usize,
    ) -> Result<(), StageError> {
        let diversity = context.request.diversity;
        if diversity == 0.0 || context.request.candidates.is_some() {
            return Ok(());
        }
        self.prepare(order, list_scores, limit);
        let filled = self.pool.len().min(limit * FILLED_FACTOR);
        for (at, place) in order[..filled].iter_mut().enumerate() {
            let Some(chosen) = self.best(diversity, at == 0) else { break };
            self.choose(chosen, candidates);
            *place = self.pool[chosen];
        }
        let left = (0..self.pool.len()).filter(|at| !self.taken[*at]).map(|at| self.pool[at]);
        order[filled..].iter_mut().zip(left).for_each(|(place, row)| *place = row);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UnitVector;
    use crate::stages::testing::{context, ranking, rerank};
    use proptest::prelude::*;

    const DIM: usize = 3;

    fn vectors(rows: &[[f32; DIM]]) -> Arc<ItemVectors> {
        let unit = rows.iter().flat_map(|row| UnitVector::new(row.to_vec(), DIM).unwrap().as_slice().to_vec());
        Arc::new(ItemVectors::from_raw(unit.collect(), DIM).unwrap())
    }

    /// The definition, word for word: every similarity computed again for every place.
    fn naive(scores: &[f32], vectors: &ItemVectors, diversity: f32, limit: usize) -> Vec<u32> {
        let mut left = ranking(scores);
        let beyond = left.split_off(left.len().min((limit * 5).max(100)));
        let least = left.iter().map(|r| scores[*r as usize]).fold(f32::MAX, f32::min);
        let most = left.iter().map(|r| scores[*r as usize]).fold(f32::MIN, f32::max);
        let scale = if most > least { 1.0 / (most - least) } else { 0.0 };
        let mut list: Vec<u32> = vec![];
        while list.len() < limit * 2 && !left.is_empty() {
            let value = |row: u32| {
                let similar = |c: &u32| dot(vectors.row(*c as usize), vectors.row(row as usize));
                let nearest = list.iter().map(similar).reduce(f32::max).unwrap_or(0.0);
                (1.0 - diversity) * ((scores[row as usize] - least) * scale) - diversity * nearest
            };
            let best = (0..left.len()).rev().max_by(|a, b| value(left[*a]).total_cmp(&value(left[*b]))).unwrap();
            list.push(left.remove(best));
        }
        list.into_iter().chain(left).chain(beyond).collect()
    }

    fn rows() -> impl Strategy<Value = Vec<(f32, [f32; DIM])>> {
        prop::collection::vec((-1.0f32..1.0, [0.1f32..1.0, -1.0f32..1.0, -1.0f32..1.0]), 1..130)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_diversity_is_the_identity(rows in rows(), limit in 1usize..30) {
            let (scores, points): (Vec<f32>, Vec<_>) = rows.into_iter().unzip();
            let got = rerank(&mut Diversity::new(vectors(&points)), &context(0.3, 0.0), &scores, limit);
            prop_assert_eq!(got, (ranking(&scores), scores));
        }

        #[test]
        fn equals_the_definition_and_is_a_permutation(rows in rows(), diversity in 0.01f32..=1.0, limit in 1usize..9) {
            let (scores, points): (Vec<f32>, Vec<_>) = rows.into_iter().unzip();
            let vectors = vectors(&points);
            let (mut order, after) = rerank(&mut Diversity::new(vectors.clone()), &context(0.0, diversity), &scores, limit);
            prop_assert_eq!(&order, &naive(&scores, &vectors, diversity, limit));
            prop_assert_eq!(after, scores);
            order.sort_unstable();
            prop_assert!(order.iter().copied().eq(0..order.len() as u32));
        }
    }

    #[test]
    fn prefers_what_is_unlike() {
        let vectors = vectors(&[[1.0, 0.0, 0.0], [1.0, 0.01, 0.0], [0.0, 1.0, 0.0]]);
        let (order, _) = rerank(&mut Diversity::new(vectors), &context(0.0, 0.7), &[0.9, 0.8, 0.1], 3);
        assert_eq!(order, [0, 2, 1]);
    }
}
