//! Re-rankers, in wiring order: popularity penalty, diversity, artist separation. None of them touches a list that the
//! caller brought (`POST /v1/rank`): that one is answered in rank order.

mod artist_separation;
mod diversity;
mod popularity_penalty;

pub use artist_separation::ArtistSeparation;
pub use diversity::Diversity;
pub use popularity_penalty::PopularityPenalty;

use crate::domain::{CandidateSet, by_score};

/// Sorts rows best first by `list_scores`; ties by track, as the runner does.
pub(super) fn sort_by_score(order: &mut [u32], list_scores: &[f32], candidates: &CandidateSet) {
    order.sort_unstable_by(|a, b| {
        let (a, b) = (*a as usize, *b as usize);
        by_score(list_scores[a], list_scores[b]).then_with(|| candidates.tracks[a].cmp(&candidates.tracks[b]))
    });
}
