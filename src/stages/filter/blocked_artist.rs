use std::sync::Arc;

use super::mark_where;
use crate::domain::{Catalogue, RemovalReason, RequestContext, TrackIx};
use crate::pipeline::CandidateFilter;

/// Removes tracks of artists that the listener blocked. `O(n log b)`.
#[derive(Debug, Clone)]
pub struct BlockedArtist {
    catalogue: Arc<Catalogue>,
}

impl BlockedArtist {
    /// Reads artists from the catalogue.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { catalogue }
    }
}

impl CandidateFilter for BlockedArtist {
    fn reason(&self) -> RemovalReason {
        RemovalReason::BlockedArtist
    }

    fn mark(&mut self, context: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]) {
        let blocked = &context.profile.blocked_artists;
        if !blocked.is_empty() {
            mark_where(tracks, removed, |t| blocked.binary_search(&self.catalogue.artist_of(t)).is_ok());
        }
    }
}
