//! What a list is like, whatever was played next.

use super::heard::Heard;
use super::tally::{LIST_LEN, ListFacts};
use crate::domain::{Answer, Catalogue, Popularity, TrackIx, UserId};
use crate::stages::rerank::Likeness;

/// What lists are measured by.
#[derive(Debug)]
pub struct ListMeasures {
    likeness: Likeness,
    /// `[tracks]`: bits.
    surprise: Vec<f32>,
}

impl ListMeasures {
    /// `likeness` tells how far tracks lie apart, `popularity` how surprising one is: `-log2` of its share of all plays, one
    /// play added to each track (Zhou et al. 2010, section "self-information").
    pub fn new(likeness: Likeness, popularity: &Popularity) -> Self {
        let total: f64 = popularity.plays.iter().map(|plays| f64::from(*plays) + 1.0).sum();
        let surprise = popularity.plays.iter().map(|plays| -((f64::from(*plays) + 1.0) / total).log2() as f32);
        Self { likeness, surprise: surprise.collect() }
    }

    /// The facts of the first places of an answer to a listener.
    pub(super) fn facts(
        &mut self,
        catalogue: &Catalogue,
        heard: &Heard<'_>,
        user: &UserId,
        answer: &Answer,
    ) -> ListFacts {
        let list: Vec<TrackIx> = answer.tracks.iter().take(LIST_LEN).map(|served| served.track).collect();
        let length = list.len().max(1) as f64;
        let mut artists: Vec<_> = list.iter().map(|track| catalogue.artist_of(*track)).collect();
        artists.sort_unstable();
        artists.dedup();
        let surprise = list.iter().map(|track| f64::from(self.surprise.get(track.at()).copied().unwrap_or(0.0)));
        let (repeats, new_artists) = heard.familiarity(user, list.iter().copied());
        ListFacts {
            distance: f64::from(self.likeness.distance(list.iter().copied()).unwrap_or(0.0)),
            novelty: surprise.sum::<f64>() / length,
            artists: artists.len() as f64 / length,
            repeats,
            new_artists,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ItemVectors;
    use crate::stages::testing::{answer, track};
    use std::sync::Arc;

    #[test]
    fn surprise_is_in_bits_and_artists_count_once() {
        let catalogue =
            Arc::new(Catalogue::new((0..4).map(|row| track(row, if row < 2 { "a" } else { "b" })).collect()).unwrap());
        let popularity = Popularity::new(&catalogue, &[3.0, 1.0, 0.0, 0.0], Vec::new());
        let likeness = Likeness::new(Arc::clone(&catalogue), Arc::new(ItemVectors::none()), 0.0);
        let heard = Heard::new(&catalogue, 0);
        let user = UserId::new("u").unwrap();
        let facts = ListMeasures::new(likeness, &popularity).facts(&catalogue, &heard, &user, &answer(3));
        // Shares with one play added: 1/2, 1/4, 1/8.
        assert!((facts.novelty - 2.0).abs() < 1e-6, "{facts:?}");
        assert!(
            (facts.artists - 2.0 / 3.0).abs() < 1e-9 && facts.new_artists == 1.0 && facts.repeats == 0.0,
            "{facts:?}"
        );
    }
}
