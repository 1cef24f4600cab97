use super::mark_where;
use crate::domain::{RemovalReason, RequestContext, TrackIx};
use crate::pipeline::CandidateFilter;

/// Removes what the request excludes and what sounds now: the request's current track or, where it names none, the
/// session's. `O(n log e)`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Excluded;

impl CandidateFilter for Excluded {
    fn reason(&self) -> RemovalReason {
        RemovalReason::Excluded
    }

    fn mark(&mut self, context: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]) {
        let exclude = &context.request.exclude;
        let current = context.request.current_track.or(context.session.current.map(|play| play.track));
        mark_where(tracks, removed, |t| Some(t) == current || exclude.binary_search(&t).is_ok());
    }
}
