//! What a request read of the live state, so that it can be asked again.

use std::sync::Arc;

use super::{SessionState, TrackIx, UserProfile};

/// The Beta posterior of a track's completed plays, as it stood.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Posterior {
    /// First parameter.
    pub alpha: f64,
    /// Second parameter.
    pub beta: f64,
    /// Whether little was known of the track.
    pub is_cold: bool,
}

/// What exploration went by.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Posteriors {
    /// Share of new tracks of what the server had served; absent where that said nothing.
    pub new_share: Option<f32>,
    /// Of the tracks that competed, ascending.
    pub tracks: Vec<(TrackIx, Posterior)>,
}

impl Posteriors {
    /// That of a track, where it was read. `O(log n)`.
    pub fn get(&self, track: TrackIx) -> Option<Posterior> {
        self.tracks.binary_search_by_key(&track, |(other, _)| *other).ok().map(|at| self.tracks[at].1)
    }
}

/// What one request read of the live state. Stages read this instead where a context has it.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Recorded {
    /// The session.
    pub session: Arc<SessionState>,
    /// The profile.
    pub profile: Arc<UserProfile>,
    /// What exploration went by.
    pub posteriors: Posteriors,
}
