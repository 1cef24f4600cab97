use std::sync::Arc;

use super::column::TrackBits;
use super::mark_where;
use crate::domain::{Catalogue, RemovalReason, RequestContext, TrackIx};
use crate::pipeline::CandidateFilter;

/// Removes explicit tracks unless the request allows them. `O(n)`; one bit a track, shared by clones.
#[derive(Debug, Clone)]
pub struct Explicit {
    explicit: Arc<TrackBits>,
    catalogue: Arc<Catalogue>,
}

impl Explicit {
    /// Copies the bundle's column out of the catalogue.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        let explicit = TrackBits::new(catalogue.tracks().iter().map(|track| track.explicit));
        Self { explicit: Arc::new(explicit), catalogue }
    }
}

impl CandidateFilter for Explicit {
    fn reason(&self) -> RemovalReason {
        RemovalReason::Explicit
    }

    fn mark(&mut self, context: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]) {
        if !context.request.allow_explicit {
            let built = self.catalogue.tracks().len();
            mark_where(tracks, removed, |t| {
                if t.at() < built { self.explicit.contains(t) } else { self.catalogue.track(t).explicit }
            });
        }
    }
}
