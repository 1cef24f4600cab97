//! What this session has skipped early weighs on what comes next, at once and whatever the model has learnt.

use std::sync::Arc;

use crate::domain::{CandidateSet, Catalogue, ItemVectors, RequestContext};
use crate::features::session::penalty_of;
use crate::pipeline::{Reranker, StageError};
use crate::stages::similarity::dot;

/// What looking like the skipped direction counts beside being by a skipped artist.
const DIRECTION: f32 = 0.5;

/// Subtracts `knobs.skip_penalty * (artist + 0.5 * direction)` from each score and sorts again. `artist`, 0..1, is the
/// session's penalty of the track's artist; `direction`, 0..1, how far the track lies in the direction of what was
/// skipped: the dot product with the sum of the skipped vectors, which fades with later plays. A session without skips
/// changes nothing. `O(n * (dim + penalties))`.
#[derive(Debug)]
pub struct SkipPenalty {
    catalogue: Arc<Catalogue>,
    vectors: Arc<ItemVectors>,
}

impl SkipPenalty {
    /// Takes catalogue and vectors of the loaded bundle.
    pub fn new(catalogue: Arc<Catalogue>, vectors: Arc<ItemVectors>) -> Self {
        Self { catalogue, vectors }
    }
}

impl Reranker for SkipPenalty {
    fn name(&self) -> &'static str {
        "skip_penalty"
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
        let (weight, session) = (context.knobs.skip_penalty, &context.session);
        let skipped = &session.skipped_direction;
        let no_direction = skipped.len() != self.vectors.dim();
        if weight == 0.0 || context.request.candidates.is_some() || (session.artist_penalty.is_empty() && no_direction)
        {
            return Ok(());
        }
        for (score, track) in list_scores.iter_mut().zip(&candidates.tracks) {
            let artist = penalty_of(session, self.catalogue.artist_of(*track));
            let direction = if no_direction { 0.0 } else { dot(skipped, self.vectors.row(track.at())).clamp(0.0, 1.0) };
            *score -= weight * (artist + DIRECTION * direction);
        }
        candidates.sort_rows(order, list_scores);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ArtistIx, SessionState};
    use crate::stages::testing::{context, rerank, track};
    use proptest::prelude::*;

    /// Tracks `t0..t6` of artists a, b, a, b, ..., at angles of 30 degrees.
    fn stage() -> SkipPenalty {
        let tracks = (0..6).map(|row| track(row, if row % 2 == 0 { "a" } else { "b" })).collect();
        let angles = (0..6).map(|row| row as f32 * std::f32::consts::FRAC_PI_6);
        let vectors = ItemVectors::from_raw(angles.flat_map(|a| [a.cos(), a.sin()]).collect(), 2).unwrap();
        SkipPenalty::new(Arc::new(Catalogue::new(tracks).unwrap()), Arc::new(vectors))
    }

    fn after(session: SessionState, weight: f32, scores: &[f32; 6]) -> (Vec<u32>, Vec<f32>) {
        let mut context = context(0.0, 0.0);
        context.session = Arc::new(session);
        context.knobs.skip_penalty = weight;
        rerank(&mut stage(), &context, scores, 6)
    }

    #[test]
    fn an_early_skip_holds_back_the_artist_and_what_sounds_alike() {
        let session = SessionState {
            artist_penalty: vec![(ArtistIx(0), 0.5)],
            skipped_direction: vec![1.0, 0.0],
            ..SessionState::default()
        };
        let (order, scores) = after(session, 1.0, &[1.0; 6]);
        assert!((scores[0] - 0.0).abs() < 1e-6, "same artist and direction: {scores:?}");
        assert!((scores[1] - (1.0 - 0.5 * 0.866_025_4)).abs() < 1e-6 && (scores[5] - 1.0).abs() < 1e-6);
        assert_eq!((&order[..2], order[5]), (&[3, 5][..], 0));
    }

    #[test]
    fn without_skips_or_weight_nothing_changes() {
        let scores = [0.1, 0.5, 0.3, 0.4, 0.2, 0.6];
        let unchanged = (vec![5, 1, 3, 2, 4, 0], scores.to_vec());
        assert_eq!(after(SessionState::default(), 1.0, &scores), unchanged);
        let session = SessionState { artist_penalty: vec![(ArtistIx(0), 1.0)], ..SessionState::default() };
        assert_eq!(after(session, 0.0, &scores), unchanged);
    }

    proptest! {
        #[test]
        fn only_lowers_and_never_by_more_than_its_weight_allows(
            penalties in prop::collection::vec(0.0f32..=1.0, 2), direction in prop::collection::vec(-5.0f32..5.0, 2),
            weight in 0.0f32..5.0,
        ) {
            let artist_penalty = penalties.iter().enumerate().map(|(a, p)| (ArtistIx(a as u32), *p)).collect();
            let session = SessionState { artist_penalty, skipped_direction: direction, ..SessionState::default() };
            let (order, scores) = after(session, weight, &[0.0; 6]);
            prop_assert!(scores.iter().all(|s| (-1.5 * weight - 1e-4..=0.0).contains(s)));
            prop_assert!(order.windows(2).all(|pair| scores[pair[0] as usize] >= scores[pair[1] as usize]));
        }
    }
}
