//! Keeps tracks of one artist apart.

use std::sync::Arc;

use crate::domain::{ArtistIx, CandidateSet, Catalogue, RequestContext};
use crate::pipeline::{Reranker, StageError};

/// At most one track of an artist in any `knobs.artist_window` consecutive places, what sounds now being the place before
/// the first.
///
/// Fills the places from the first on, each with the best candidate left whose artist does not stand in the
/// `window - 1` places before it. Where no candidate qualifies, the window shrinks by one until one does, for that place
/// alone: the list fills up whatever the pool holds. Exactly `min(limit, pool)` rows stay. Window 1 = off.
///
/// `O(limit * rows passed over)`, in practice about `limit * window`; no allocation once grown.
#[derive(Debug)]
pub struct ArtistSeparation {
    catalogue: Arc<Catalogue>,
    pool: Vec<u32>,
    taken: Vec<bool>,
    placed: Vec<ArtistIx>,
}

impl ArtistSeparation {
    /// Takes the catalogue of the loaded bundle.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { catalogue, pool: Vec::new(), taken: Vec::new(), placed: Vec::new() }
    }

    /// Position in the pool of the best candidate left for the next place, under the widest window that leaves one.
    /// One pass: of each candidate it is known how far back its artist stands, and the farthest, best first, wins.
    fn next(&self, candidates: &CandidateSet, window: usize, from: usize) -> Option<usize> {
        let mut best: Option<(usize, usize)> = None;
        for at in (from..self.pool.len()).filter(|at| !self.taken[*at]) {
            let artist = self.catalogue.artist_of(candidates.tracks[self.pool[at] as usize]);
            let back = self.placed.iter().rev().take(window - 1).position(|placed| *placed == artist);
            match back {
                None => return Some(at),
                Some(back) if best.is_none_or(|(_, farthest)| back > farthest) => best = Some((at, back)),
                Some(_) => {}
            }
        }
        best.map(|(at, _)| at)
    }
}

impl Reranker for ArtistSeparation {
    fn name(&self) -> &'static str {
        "artist_separation"
    }

    fn rerank(
        &mut self,
        context: &RequestContext,
        candidates: &CandidateSet,
        _list_scores: &mut [f32],
        _propensity: &mut [Option<f32>],
        order: &mut Vec<u32>,
        limit: usize,
    ) -> Result<(), StageError> {
        let window = context.knobs.artist_window;
        if window <= 1 || context.request.candidates.is_some() {
            return Ok(());
        }
        self.pool.clone_from(order);
        self.taken.clear();
        self.taken.resize(order.len(), false);
        self.placed.clear();
        let sounding = context.request.current_track.or(context.session.current.map(|play| play.track));
        let known = sounding.filter(|track| track.at() < self.catalogue.len());
        self.placed.extend(known.map(|track| self.catalogue.artist_of(track)));
        order.truncate(limit);
        let mut first_left = 0;
        for place in order.iter_mut() {
            while self.taken.get(first_left) == Some(&true) {
                first_left += 1;
            }
            let Some(at) = self.next(candidates, window, first_left) else { break };
            self.taken[at] = true;
            self.placed.push(self.catalogue.artist_of(candidates.tracks[self.pool[at] as usize]));
            *place = self.pool[at];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TrackIx;
    use crate::stages::testing::{context, rerank, track};
    use proptest::prelude::*;

    /// Separates tracks `0..n` (best first) by these artists.
    fn separate(artists: &[u8], window: usize, limit: usize) -> Vec<u32> {
        let tracks = artists.iter().enumerate().map(|(row, artist)| track(row, &format!("a{artist}"))).collect();
        let mut stage = ArtistSeparation::new(Arc::new(Catalogue::new(tracks).unwrap()));
        let scores: Vec<f32> = (0..artists.len()).map(|row| -(row as f32)).collect();
        let mut context = context(0.0, 0.0);
        context.knobs.artist_window = window;
        rerank(&mut stage, &context, &scores, limit).0
    }

    /// By how much the window had to shrink for each place of a list.
    fn relaxation(list: &[u32], artists: &[u8], window: usize) -> Vec<usize> {
        let artist = |row: &u32| artists[*row as usize];
        let back = |place: usize| {
            list[place.saturating_sub(window - 1)..place]
                .iter()
                .rev()
                .position(|row| artist(row) == artist(&list[place]))
        };
        (0..list.len()).map(|place| back(place).map_or(0, |back| window - 1 - back)).collect()
    }

    /// Every ordered choice of `k` rows out of `n`.
    fn arrangements(n: u32, k: usize) -> Vec<Vec<u32>> {
        if k == 0 {
            return vec![vec![]];
        }
        let longer = |list: Vec<u32>| {
            let rows = (0..n).filter(|row| !list.contains(row)).collect::<Vec<_>>();
            rows.into_iter().map(move |row| list.iter().copied().chain([row]).collect())
        };
        arrangements(n, k - 1).into_iter().flat_map(longer).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Of all lists the one that, place by place, shrinks the window least and then ranks best.
        #[test]
        fn equals_brute_force(artists in prop::collection::vec(0u8..4, 1..7), window in 2usize..6, limit in 1usize..7) {
            let k = limit.min(artists.len());
            let key = |list: &Vec<u32>| -> Vec<(usize, u32)> {
                relaxation(list, &artists, window).into_iter().zip(list.iter().copied()).collect()
            };
            let best = arrangements(artists.len() as u32, k).into_iter().min_by_key(key).unwrap();
            prop_assert_eq!(separate(&artists, window, limit), best);
        }

        /// A pool that always has `window` artists left never needs a smaller window.
        #[test]
        fn holds_where_the_pool_is_rich(artists in prop::collection::vec(0u8..30, 1..300), window in 2usize..6, limit in 1usize..40) {
            let list = separate(&artists, window, limit);
            prop_assert_eq!(list.len(), limit.min(artists.len()));
            let mut rows = list.clone();
            rows.sort_unstable();
            rows.dedup();
            prop_assert_eq!(rows.len(), list.len());
            let relaxed = relaxation(&list, &artists, window);
            for place in 0..list.len() {
                let left: std::collections::BTreeSet<u8> =
                    (0..artists.len() as u32).filter(|row| !list[..place].contains(row)).map(|row| artists[row as usize]).collect();
                prop_assert!(relaxed[place] == 0 || left.len() < window);
            }
        }
    }

    #[test]
    fn window_one_and_own_lists_stay() {
        assert_eq!(separate(&[0, 0, 1], 1, 2), [0, 1, 2]);
        let mut context = context(0.0, 0.0);
        Arc::make_mut(&mut context.request).candidates = Some(vec![TrackIx(0)]);
        let tracks = vec![track(0, "a"), track(1, "a"), track(2, "b")];
        let mut stage = ArtistSeparation::new(Arc::new(Catalogue::new(tracks).unwrap()));
        assert_eq!(rerank(&mut stage, &context, &[0.3, 0.2, 0.1], 3).0, [0, 1, 2]);
    }
}
