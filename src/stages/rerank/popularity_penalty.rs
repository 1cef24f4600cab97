//! The discovery dial: the more discovery is asked for, the less popular tracks are preferred.

use std::sync::Arc;

use crate::domain::{CandidateSet, Popularity, RequestContext};
use crate::pipeline::{Reranker, StageError};

/// Subtracts `knobs.popularity_penalty * dials.discovery * popularity` (global score, 0..1) from each score and sorts
/// again. With `discovery` = 0 nothing changes.
#[derive(Debug)]
pub struct PopularityPenalty {
    popularity: Arc<Popularity>,
}

impl PopularityPenalty {
    /// Takes the popularity of the loaded bundle.
    pub fn new(popularity: Arc<Popularity>) -> Self {
        Self { popularity }
    }
}

impl Reranker for PopularityPenalty {
    fn name(&self) -> &'static str {
        "popularity_penalty"
    }

    fn rerank(
        &mut self,
        context: &RequestContext,
        candidates: &CandidateSet,
        list_scores: &mut [f32],
        _propensity: &mut [Option<f32>],
        order: &mut Vec<u32>,
        _limit: usize,
    ) -> Result<(), StageError> {
        let weight = context.knobs.popularity_penalty * context.dials.discovery;
        if weight == 0.0 || context.request.candidates.is_some() {
            return Ok(());
        }
        for (score, track) in list_scores.iter_mut().zip(&candidates.tracks) {
            // A track added after the bundle was built has no plays yet.
            *score -= weight * self.popularity.score.get(track.at()).copied().unwrap_or(0.0);
        }
        candidates.sort_rows(order, list_scores);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::testing::{context, ranking, rerank};
    use proptest::prelude::*;

    fn stage(score: Vec<f32>) -> PopularityPenalty {
        PopularityPenalty::new(Arc::new(Popularity { score, ..Popularity::default() }))
    }

    proptest! {
        #[test]
        fn no_discovery_changes_nothing(rows in prop::collection::vec((-1.0f32..1.0, 0.0f32..1.0), 0..40)) {
            let (scores, popularity): (Vec<f32>, Vec<f32>) = rows.into_iter().unzip();
            let got = rerank(&mut stage(popularity), &context(0.0, 0.5), &scores, 10);
            prop_assert_eq!(got, (ranking(&scores), scores));
        }

        #[test]
        fn orders_by_the_formula(
            rows in prop::collection::vec((-1.0f32..1.0, 0.0f32..1.0), 0..40),
            discovery in 0.0f32..1.0,
        ) {
            let (scores, popularity): (Vec<f32>, Vec<f32>) = rows.iter().copied().unzip();
            let expected: Vec<f32> = rows.iter().map(|(s, p)| s - 0.3 * discovery * p).collect();
            let (order, scores) = rerank(&mut stage(popularity), &context(discovery, 0.5), &scores, 10);
            prop_assert_eq!(order, ranking(&expected));
            prop_assert_eq!(scores, expected);
        }
    }

    #[test]
    fn tracks_without_plays_are_not_punished() {
        let (order, _) = rerank(&mut stage(vec![1.0]), &context(1.0, 0.0), &[0.2, 0.1], 10);
        assert_eq!(order, [1, 0]);
    }
}
