use std::sync::Arc;

use super::column::TrackBits;
use super::mark_where;
use crate::domain::{Catalogue, RemovalReason, RequestContext, TrackIx};
use crate::pipeline::CandidateFilter;

/// Removes explicit tracks unless the request allows them. `O(n)`; one bit a track, shared by clones.
#[derive(Debug, Clone)]
pub struct Explicit {
    explicit: Arc<TrackBits>,
}

impl Explicit {
    /// Copies the column out of the catalogue.
    pub fn new(catalogue: &Catalogue) -> Self {
        Self { explicit: Arc::new(TrackBits::new(catalogue.tracks().iter().map(|track| track.explicit))) }
    }
}

impl CandidateFilter for Explicit {
    fn reason(&self) -> RemovalReason {
        RemovalReason::Explicit
    }

    fn mark(&mut self, context: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]) {
        if !context.request.allow_explicit {
            mark_where(tracks, removed, |t| self.explicit.contains(t));
        }
    }
}
