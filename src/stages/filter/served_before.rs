use super::mark_where;
use crate::domain::{RemovalReason, RequestContext, TrackIx};
use crate::pipeline::{CandidateFilter, TrackSet};

/// Removes what earlier answers served to this session, played or not. `O(n + served)`.
#[derive(Debug, Default)]
pub struct ServedBefore {
    served: TrackSet,
}

impl CandidateFilter for ServedBefore {
    fn reason(&self) -> RemovalReason {
        RemovalReason::ServedBefore
    }

    fn mark(&mut self, context: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]) {
        self.served.clear();
        for track in &context.session.served {
            self.served.insert(*track);
        }
        mark_where(tracks, removed, |t| self.served.contains(t));
    }
}
