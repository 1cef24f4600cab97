//! A list whose tracks are unlike each other, as far as `diversity` asks.

use std::sync::Arc;

use super::dpp::Dpp;
use super::greedy::{Greedy, Objective};
use super::likeness::Likeness;
use super::mmr::Mmr;
use crate::domain::{CandidateSet, Catalogue, ItemVectors, RequestContext};
use crate::pipeline::{Reranker, StageError};

/// Candidates looked at: this many times the limit, but not fewer than [`MIN_POOL`].
const POOL_FACTOR: usize = 3;
/// Fewest candidates looked at.
const MIN_POOL: usize = 100;
/// Places filled beyond the limit: what later re-rankers may need.
const SPARE: usize = 8;

/// Fills the first `limit + 8` places one by one with the candidate of the highest `(1 - d) * relevance + d * gain`, where
/// `d` = `dials.diversity`, relevance is the score scaled to 0..1 over the pool, and the gain is what [`Dpp`] or [`Mmr`]
/// says the candidate adds to those before it. The pool is the best `max(3 * limit, 100)`; what was not chosen follows in
/// its old order. Scores stay: only places change.
///
/// `d` = 0 is the identity; at 1 the first track is the best and every other the one most unlike those before it. No
/// allocation once grown. Cost: `docs/performance.md`.
#[derive(Debug)]
pub struct Diversity<O> {
    likeness: Likeness,
    greedy: Greedy,
    objective: O,
    relevance: Vec<f32>,
    pool: Vec<u32>,
    taken: Vec<bool>,
}

impl Diversity<Dpp> {
    /// By a determinantal point process. `audio_share`: what sound counts beside the item vectors, 0..1.
    pub fn dpp(catalogue: Arc<Catalogue>, vectors: Arc<ItemVectors>, audio_share: f32) -> Self {
        Self::new(Likeness::new(catalogue, vectors, audio_share))
    }
}

impl Diversity<Mmr> {
    /// By maximal marginal relevance; `audio_share` as above.
    pub fn mmr(catalogue: Arc<Catalogue>, vectors: Arc<ItemVectors>, audio_share: f32) -> Self {
        Self::new(Likeness::new(catalogue, vectors, audio_share))
    }
}

impl<O: Objective> Diversity<O> {
    fn new(likeness: Likeness) -> Self {
        let (greedy, objective) = (Greedy::default(), O::default());
        Self { likeness, greedy, objective, relevance: Vec::new(), pool: Vec::new(), taken: Vec::new() }
    }

    /// Copies the pool and scales its scores.
    fn prepare(&mut self, candidates: &CandidateSet, order: &[u32], list_scores: &[f32], limit: usize) {
        let size = order.len().min((limit * POOL_FACTOR).max(MIN_POOL));
        self.pool.clear();
        self.pool.extend_from_slice(&order[..size]);
        let scores = self.pool.iter().map(|row| list_scores[*row as usize]);
        let (least, most) = scores.clone().fold((f32::MAX, f32::MIN), |(lo, hi), s| (lo.min(s), hi.max(s)));
        let scale = if most > least { 1.0 / (most - least) } else { 0.0 };
        self.relevance.clear();
        self.relevance.extend(scores.map(|s| (s - least) * scale));
        self.likeness.load(self.pool.iter().map(|row| candidates.tracks[*row as usize]));
        self.taken.clear();
        self.taken.resize(size, false);
    }
}

impl<O: Objective> Reranker for Diversity<O> {
    fn name(&self) -> &'static str {
        O::NAME
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
        let diversity = context.dials.diversity;
        if diversity == 0.0 || order.is_empty() || context.request.candidates.is_some() {
            return Ok(());
        }
        self.prepare(candidates, order, list_scores, limit);
        let like = |a: usize, b: usize| self.likeness.of(a, b);
        let filled = limit + SPARE;
        let chosen = self.greedy.choose(&mut self.objective, &self.relevance, diversity, filled, &like);
        for (place, at) in order.iter_mut().zip(chosen) {
            self.taken[*at as usize] = true;
            *place = self.pool[*at as usize];
        }
        let left = (0..self.pool.len()).filter(|at| !self.taken[*at]).map(|at| self.pool[at]);
        order[chosen.len()..].iter_mut().zip(left).for_each(|(place, row)| *place = row);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::likeness::tests::{Heard, heard, parts};
    use super::*;
    use crate::stages::testing::{context, ranking, rerank};
    use proptest::prelude::*;

    fn both(tracks: &[Heard], diversity: f32, scores: &[f32], limit: usize) -> [(Vec<u32>, Vec<f32>); 2] {
        let (catalogue, vectors) = parts(tracks);
        let context = context(0.3, diversity);
        let mut dpp = Diversity::dpp(Arc::clone(&catalogue), Arc::clone(&vectors), 0.3);
        let mut mmr = Diversity::mmr(catalogue, vectors, 0.3);
        // Twice, so that nothing of the first list is left in the buffers.
        _ = rerank(&mut dpp, &context, scores, limit + 3);
        [rerank(&mut dpp, &context, scores, limit), rerank(&mut mmr, &context, scores, limit)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn no_diversity_is_the_identity(
            rows in prop::collection::vec((-1.0f32..1.0, heard()), 0..130), limit in 1usize..30,
        ) {
            let (scores, tracks): (Vec<f32>, Vec<_>) = rows.into_iter().unzip();
            for got in both(&tracks, 0.0, &scores, limit) {
                prop_assert_eq!(got, (ranking(&scores), scores.clone()));
            }
        }

        /// A permutation that begins with the best, leaves what lies beyond the pool, and keeps scores.
        #[test]
        fn only_places_in_the_pool_change(
            rows in prop::collection::vec((-1.0f32..1.0, heard()), 1..130), diversity in 0.01f32..=1.0, limit in 1usize..9,
        ) {
            let (scores, tracks): (Vec<f32>, Vec<_>) = rows.into_iter().unzip();
            let ranked = ranking(&scores);
            for (mut order, after) in both(&tracks, diversity, &scores, limit) {
                prop_assert_eq!(&after, &scores);
                prop_assert_eq!(order[0], ranked[0]);
                let pool = 100.min(order.len());
                prop_assert_eq!(&order[pool..], &ranked[pool..]);
                let rest = &order[(limit + SPARE).min(pool)..pool];
                let place = |row: &u32| ranked.iter().position(|r| r == row);
                prop_assert!(rest.is_sorted_by_key(place), "what was not chosen keeps its order");
                order.sort_unstable();
                prop_assert!(order.iter().copied().eq(0..order.len() as u32));
            }
        }
    }

    #[test]
    fn prefers_what_is_unlike_and_more_so_with_the_dial() {
        let tracks = [([1.0, 0.0, 0.0], None), ([1.0, 0.01, 0.0], None), ([0.1, 1.0, 0.0], None)];
        for (order, _) in both(&tracks, 0.9, &[0.9, 0.8, 0.1], 3) {
            assert_eq!(order, [0, 2, 1]);
        }
        for (order, _) in both(&tracks, 0.05, &[0.9, 0.8, 0.1], 3) {
            assert_eq!(order, [0, 1, 2]);
        }
    }
}
