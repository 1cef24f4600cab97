use super::mark_where;
use crate::domain::{RemovalReason, RequestContext, TrackIx};
use crate::pipeline::CandidateFilter;

/// Removes tracks that the listener disliked. `O(n log d)`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disliked;

impl CandidateFilter for Disliked {
    fn reason(&self) -> RemovalReason {
        RemovalReason::Disliked
    }

    fn mark(&mut self, context: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]) {
        let disliked = &context.profile.disliked;
        if !disliked.is_empty() {
            mark_where(tracks, removed, |t| disliked.binary_search(&t).is_ok());
        }
    }
}
