use std::sync::Arc;

use super::mark_where;
use super::recordings::Recordings;
use crate::domain::{Catalogue, RemovalReason, RequestContext, TrackIx};
use crate::pipeline::CandidateFilter;

/// Removes what earlier answers served to this session, played or not, under any release. `O(n + served)`.
#[derive(Debug)]
pub struct ServedBefore {
    served: Recordings,
}

impl ServedBefore {
    /// Reads recordings from the catalogue.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { served: Recordings::new(catalogue) }
    }
}

impl CandidateFilter for ServedBefore {
    fn reason(&self) -> RemovalReason {
        RemovalReason::ServedBefore
    }

    fn is_soft(&self) -> bool {
        true
    }

    fn mark(&mut self, context: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]) {
        self.served.set(context.session.served.iter().copied());
        mark_where(tracks, removed, |t| self.served.contains(t));
    }
}
