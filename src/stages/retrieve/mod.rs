//! Retrievers: where candidates come from, and the lists below the funnel. What a retriever precomputes is shared by its
//! clones, so it is made once and cloned for each lane.

mod artist_charts;
mod exploration;
mod fallback;
mod fresh;
mod own_tracks;
mod popular;
mod sequential_rules;
mod session_artists;
#[cfg(test)]
mod testing;
mod tower_queries;
mod two_tower;

pub use artist_charts::ArtistCharts;
pub use exploration::Exploration;
pub use fallback::{GlobalTop, MarketTop, UserTop};
pub use fresh::Fresh;
pub use own_tracks::OwnTracks;
pub use popular::Popular;
pub use sequential_rules::Successors;
pub use session_artists::SessionArtists;
pub use two_tower::TwoTower;

use crate::domain::{Retrieved, TrackIx};
use crate::index::IndexError;
use crate::pipeline::StageError;

/// Appends a track to a list whose order is the only thing known about it: scores fall evenly from 1 at the first place
/// to almost 0 at the last of `quota`.
#[inline]
fn push_by_place(out: &mut Vec<Retrieved>, track: TrackIx, quota: usize) {
    let score = 1.0 - out.len() as f32 / quota.max(1) as f32;
    out.push(Retrieved { track, score });
}

fn index_fault(error: IndexError) -> StageError {
    StageError::Failed(error.to_string())
}
