//! The session at hand.

use std::sync::Arc;

use crate::domain::RequestContext;
use crate::features::StateStore;
use crate::pipeline::{ContextPatch, ContextSource, Deadline, StageError};

/// Takes a snapshot of the live session that the request names. A request without one keeps the empty session.
pub struct SessionSource {
    state: Arc<StateStore>,
}

impl SessionSource {
    /// Reads the node's live state.
    pub fn new(state: Arc<StateStore>) -> Self {
        Self { state }
    }
}

impl ContextSource for SessionSource {
    fn name(&self) -> &'static str {
        "session"
    }

    fn is_vital(&self) -> bool {
        true
    }

    /// No lock. A session that is over at the request's time is empty. One that another listener began is refused: its
    /// plays must not colour this answer.
    fn load(&mut self, context: &RequestContext, _deadline: &Deadline) -> Result<ContextPatch, StageError> {
        if let Some(recorded) = &context.recorded {
            return Ok(ContextPatch::Session(Arc::clone(&recorded.session)));
        }
        let Some(id) = &context.request.session_id else {
            return Ok(ContextPatch::Session(Arc::clone(&context.session)));
        };
        let session = self.state.session_of(id, &context.request.user_id, context.request.now_ms);
        session.map(ContextPatch::Session).ok_or_else(|| StageError::Failed("session of another listener".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SignalConfig, StateConfig};
    use crate::domain::{Request, SessionId, TrackIx, UserId};
    use crate::stages::fixtures;

    #[test]
    fn reads_the_listeners_own_session_only() {
        let state = Arc::new(StateStore::new(&StateConfig::default(), &SignalConfig::default()));
        let id = SessionId::new("s").unwrap();
        state.record_served(&id, &UserId::new("u").unwrap(), &[TrackIx(7)], 0);
        let mut source = SessionSource::new(state);
        let mut load = |user: &str, session: Option<&SessionId>| {
            let user_id = UserId::new(user).unwrap();
            let request = Request { user_id, session_id: session.cloned(), ..fixtures::request() };
            let context = fixtures::context(request, Default::default(), Default::default());
            source.load(&context, &Deadline::never())
        };
        let served = |patch| match patch {
            Ok(ContextPatch::Session(session)) => session.served.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(served(load("u", Some(&id))), [TrackIx(7)]);
        assert!(served(load("u", Some(&SessionId::new("new").unwrap()))).is_empty());
        assert!(served(load("u", None)).is_empty());
        assert!(matches!(load("thief", Some(&id)), Err(StageError::Failed(_))));
    }
}
