use std::sync::Arc;

use super::recordings::Recordings;
use crate::domain::{Catalogue, RemovalReason, RequestContext, TrackIx};
use crate::pipeline::CandidateFilter;

/// Keeps the first candidate of each recording. Wired last, so that a candidate that another filter removes does not
/// stand in for its recording. `O(n)`.
#[derive(Debug)]
pub struct SameRecording {
    seen: Recordings,
}

impl SameRecording {
    /// Reads recordings from the catalogue.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { seen: Recordings::new(catalogue) }
    }
}

impl CandidateFilter for SameRecording {
    fn reason(&self) -> RemovalReason {
        RemovalReason::SameRecording
    }

    fn mark(&mut self, _: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]) {
        self.seen.set([]);
        for (track, removed) in tracks.iter().zip(removed).filter(|(_, removed)| !**removed) {
            *removed = !self.seen.insert(*track);
        }
    }
}
