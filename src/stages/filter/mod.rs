//! Hard filters: one reason a filter. What a filter reads of a track stands in a compact column made once and shared by
//! the clones of all lanes. The caller's own candidates (`POST /v1/rank`) pass the same filters.

mod blocked_artist;
mod column;
mod disliked;
mod excluded;
mod explicit;
mod licence;
mod market;
mod played_in_session;
mod recordings;
mod same_recording;
mod served_before;
mod taken_down;
#[cfg(test)]
mod tests;

pub use blocked_artist::BlockedArtist;
pub use disliked::Disliked;
pub use excluded::Excluded;
pub use explicit::Explicit;
pub use licence::Licence;
pub use market::Market;
pub use played_in_session::PlayedInSession;
pub use same_recording::SameRecording;
pub use served_before::ServedBefore;
pub use taken_down::{Takedowns, TakenDown};

use crate::domain::TrackIx;

/// Marks each row that is not marked yet and whose track must go.
#[inline]
fn mark_where(tracks: &[TrackIx], removed: &mut [bool], must_go: impl Fn(TrackIx) -> bool) {
    for (track, removed) in tracks.iter().zip(removed) {
        *removed = *removed || must_go(*track);
    }
}
