use std::sync::Arc;

use super::mark_where;
use super::recordings::Recordings;
use crate::domain::{Catalogue, RemovalReason, RequestContext, TrackIx};
use crate::pipeline::CandidateFilter;

/// Removes what the request excludes and what sounds now (the request's current track or, where it names none, the
/// session's), under any release. `O(n + excluded)`.
#[derive(Debug)]
pub struct Excluded {
    excluded: Recordings,
}

impl Excluded {
    /// Reads recordings from the catalogue.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { excluded: Recordings::new(catalogue) }
    }
}

impl CandidateFilter for Excluded {
    fn reason(&self) -> RemovalReason {
        RemovalReason::Excluded
    }

    fn mark(&mut self, context: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]) {
        let current = context.request.current_track.or(context.session.current.map(|play| play.track));
        self.excluded.set(context.request.exclude.iter().copied().chain(current));
        mark_where(tracks, removed, |t| self.excluded.contains(t));
    }
}
