//! What was served, into the session.

use std::sync::Arc;

use crate::domain::{Answer, RequestContext, TrackIx};
use crate::features::StateStore;
use crate::pipeline::Observer;

/// Notes the served tracks in the listener's session, so that the next answer does not repeat them. The ranking of a
/// caller's own list serves nothing.
pub struct ServedObserver {
    state: Arc<StateStore>,
    tracks: Vec<TrackIx>,
}

impl ServedObserver {
    /// Writes to the node's live state.
    pub fn new(state: Arc<StateStore>) -> Self {
        Self { state, tracks: Vec::new() }
    }
}

impl Observer for ServedObserver {
    fn name(&self) -> &'static str {
        "served"
    }

    /// One copy of the session, a few kilobytes.
    fn observe(&mut self, context: &RequestContext, answer: &Answer) {
        let request = &context.request;
        if let (Some(session), None) = (&request.session_id, &request.candidates) {
            self.tracks.clear();
            self.tracks.extend(answer.tracks.iter().map(|served| served.track));
            self.state.record_served(session, &request.user_id, &self.tracks, request.now_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SignalConfig, StateConfig};
    use crate::domain::{Request, SessionId};
    use crate::stages::{fixtures, testing};

    #[test]
    fn notes_answers_but_not_rankings() {
        let state = Arc::new(StateStore::new(&StateConfig::default(), &SignalConfig::default()));
        let mut observer = ServedObserver::new(Arc::clone(&state));
        let id = SessionId::new("s").unwrap();
        let mut observe = |candidates| {
            let request = Request { session_id: Some(id.clone()), candidates, ..fixtures::request() };
            observer.observe(&fixtures::context(request, Default::default(), Default::default()), &testing::answer(2));
        };
        observe(Some(vec![TrackIx(0)]));
        assert!(state.session(&id, 0).served.is_empty());
        observe(None);
        assert_eq!(state.session(&id, 0).served, [TrackIx(0), TrackIx(1)]);
    }
}
