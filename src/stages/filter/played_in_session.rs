use std::sync::Arc;

use super::mark_where;
use super::recordings::Recordings;
use crate::domain::{Catalogue, RemovalReason, RequestContext, TrackIx};
use crate::pipeline::CandidateFilter;

/// Removes what was played in this session (its last 500 distinct tracks) and what sounds now, under any release.
/// `O(n + played)`.
#[derive(Debug)]
pub struct PlayedInSession {
    played: Recordings,
}

impl PlayedInSession {
    /// Reads recordings from the catalogue.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { played: Recordings::new(catalogue) }
    }
}

impl CandidateFilter for PlayedInSession {
    fn reason(&self) -> RemovalReason {
        RemovalReason::PlayedInSession
    }

    fn is_soft(&self) -> bool {
        true
    }

    fn mark(&mut self, context: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]) {
        let session = &context.session;
        self.played.set(session.played.iter().copied().chain(session.current.map(|play| play.track)));
        mark_where(tracks, removed, |t| self.played.contains(t));
    }
}
