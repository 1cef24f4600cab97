use super::mark_where;
use crate::domain::{RemovalReason, RequestContext, TrackIx};
use crate::pipeline::{CandidateFilter, TrackSet};

/// Removes what the session's window holds: its last 50 plays, and what sounds now. `O(n + window)`.
#[derive(Debug, Default)]
pub struct PlayedInSession {
    played: TrackSet,
}

impl CandidateFilter for PlayedInSession {
    fn reason(&self) -> RemovalReason {
        RemovalReason::PlayedInSession
    }

    fn mark(&mut self, context: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]) {
        self.played.clear();
        for play in context.session.window.iter().chain(&context.session.current) {
            self.played.insert(play.track);
        }
        mark_where(tracks, removed, |t| self.played.contains(t));
    }
}
