//! What this session has skipped early weighs on what comes next, at once and whatever the model has learnt.

use std::sync::Arc;

use crate::config::SignalConfig;
use crate::domain::{CandidateSet, Catalogue, ItemVectors, RequestContext};
use crate::features::session::penalty_of;
use crate::features::skips::Skips;
use crate::pipeline::{Reranker, StageError};
use crate::stages::similarity::dot;

/// What being the skipped track counts beside being by a skipped artist.
const TRACK: f32 = 1.0;
/// What being of a skipped genre counts.
const GENRE: f32 = 0.25;
/// What looking like the skipped direction counts.
const DIRECTION: f32 = 0.5;

/// Subtracts `knobs.skip_penalty * (artist + track + 0.25 * genre + 0.5 * direction)` from each score and sorts again. Each
/// is 0..1 and fades with later plays and with time (`features::skips`): early skips of the artist, the track and the genre;
/// and how far the track lies in the direction of what was skipped, the dot product with the sum of the skipped vectors.
/// Where the window knows of no skip, the session's own penalties stand in for it: those of dislikes, whose time is not kept.
/// A session without either changes nothing. `O(n * (dim + penalties))`.
#[derive(Debug)]
pub struct SkipPenalty {
    catalogue: Arc<Catalogue>,
    vectors: Arc<ItemVectors>,
    signals: SignalConfig,
    skips: Skips,
    direction: Vec<f32>,
}

impl SkipPenalty {
    /// Takes catalogue and vectors of the loaded bundle.
    pub fn new(catalogue: Arc<Catalogue>, vectors: Arc<ItemVectors>, signals: SignalConfig) -> Self {
        Self { catalogue, vectors, signals, skips: Skips::default(), direction: Vec::new() }
    }

    /// Sums what was skipped; empty where nothing points anywhere in this space.
    fn point(&mut self, context: &RequestContext) {
        self.direction.clear();
        if self.skips.is_empty() {
            let disliked = &context.session.skipped_direction;
            if disliked.len() == self.vectors.dim() {
                self.direction.extend_from_slice(disliked);
            }
            return;
        }
        self.direction.resize(self.vectors.dim(), 0.0);
        for (track, pull) in self.skips.pulls() {
            let vector = self.vectors.row(track.at());
            self.direction.iter_mut().zip(vector).for_each(|(sum, value)| *sum += pull * value);
        }
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
        if weight == 0.0 || context.request.candidates.is_some() {
            return Ok(());
        }
        self.skips.read(context, &self.catalogue, &self.signals);
        self.point(context);
        if self.skips.is_empty() && session.artist_penalty.is_empty() && self.direction.is_empty() {
            return Ok(());
        }
        let anywhere = !self.direction.is_empty();
        for (score, track) in list_scores.iter_mut().zip(&candidates.tracks) {
            let artist = self.catalogue.artist_of(*track);
            let held = self.skips.held(*track, artist, self.catalogue.genre_of(*track));
            let by_artist = held.artist.unwrap_or_else(|| penalty_of(session, artist));
            let direction =
                if anywhere { dot(&self.direction, self.vectors.row(track.at())).clamp(0.0, 1.0) } else { 0.0 };
            *score -= weight * (by_artist + TRACK * held.track + GENRE * held.genre + DIRECTION * direction);
        }
        candidates.sort_rows(order, list_scores);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ArtistIx, Play, SessionState, TrackIx};
    use crate::stages::testing::{context, rerank, track};
    use proptest::prelude::*;

    /// Tracks `t0..t6` of artists a, b, a, b, ..., at angles of 30 degrees.
    fn stage() -> SkipPenalty {
        let tracks = (0..6).map(|row| track(row, if row % 2 == 0 { "a" } else { "b" })).collect();
        let angles = (0..6).map(|row| row as f32 * std::f32::consts::FRAC_PI_6);
        let vectors = ItemVectors::from_raw(angles.flat_map(|a| [a.cos(), a.sin()]).collect(), 2).unwrap();
        SkipPenalty::new(Arc::new(Catalogue::new(tracks).unwrap()), Arc::new(vectors), SignalConfig::default())
    }

    fn after(session: SessionState, weight: f32, scores: &[f32; 6]) -> (Vec<u32>, Vec<f32>) {
        let mut context = context(0.0, 0.0);
        context.session = Arc::new(session);
        context.knobs.skip_penalty = weight;
        rerank(&mut stage(), &context, scores, 6)
    }

    #[test]
    fn a_skip_of_the_window_lowers_track_artist_and_direction() {
        let skipped = Play { track: TrackIx(0), signal: -1.0, played_fraction: 0.0, ts_ms: 0, liked: false };
        let session = SessionState {
            window: vec![skipped],
            artist_penalty: vec![(ArtistIx(0), 0.9), (ArtistIx(1), 0.4)],
            skipped_direction: vec![0.0, 1.0],
            ..SessionState::default()
        };
        let (_, scores) = after(session, 1.0, &[1.0; 6]);
        let along = |row: usize| 0.5 * (row as f32 * std::f32::consts::FRAC_PI_6).cos().max(0.0);
        let expected =
            [0.5 + 0.5, 0.4, 0.5, 0.4, 0.5, 0.4].into_iter().enumerate().map(|(row, held)| 1.0 - held - along(row));
        let told = "b by the dislike, a by the window";
        assert!(scores.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-6), "{told}: {scores:?}");
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
