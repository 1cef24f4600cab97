use std::sync::Arc;

use super::mark_where;
use super::recordings::Recordings;
use crate::domain::{Catalogue, RemovalReason, RequestContext, TrackIx};
use crate::pipeline::CandidateFilter;

/// Removes tracks that the listener disliked, under any release. `O(n + disliked)`.
#[derive(Debug)]
pub struct Disliked {
    disliked: Recordings,
}

impl Disliked {
    /// Reads recordings from the catalogue.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { disliked: Recordings::new(catalogue) }
    }
}

impl CandidateFilter for Disliked {
    fn reason(&self) -> RemovalReason {
        RemovalReason::Disliked
    }

    fn mark(&mut self, context: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]) {
        self.disliked.set(context.profile.disliked.iter().copied());
        mark_where(tracks, removed, |t| self.disliked.contains(t));
    }
}
