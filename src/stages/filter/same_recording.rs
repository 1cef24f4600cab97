use std::sync::Arc;

use crate::domain::{Catalogue, RemovalReason, RequestContext, TrackIx};
use crate::pipeline::{CandidateFilter, TrackSet};

/// Keeps the first candidate of each recording. Wired last, so that a candidate that another filter removes does not
/// stand in for its recording. `O(n)`.
#[derive(Debug)]
pub struct SameRecording {
    catalogue: Arc<Catalogue>,
    /// Recordings seen, by number.
    seen: TrackSet,
}

impl SameRecording {
    /// Reads recordings from the catalogue.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { catalogue, seen: TrackSet::default() }
    }
}

impl CandidateFilter for SameRecording {
    fn reason(&self) -> RemovalReason {
        RemovalReason::SameRecording
    }

    fn mark(&mut self, _: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]) {
        self.seen.clear();
        for (track, removed) in tracks.iter().zip(removed).filter(|(_, removed)| !**removed) {
            // The set holds 32-bit row numbers; here they are rows of recordings.
            *removed = !self.seen.insert(TrackIx(self.catalogue.recording_of(*track).0));
        }
    }
}
