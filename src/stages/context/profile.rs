//! The listener's long-term profile.

use std::sync::Arc;

use crate::domain::RequestContext;
use crate::features::StateStore;
use crate::pipeline::{ContextPatch, ContextSource, Deadline, StageError};

/// Takes a snapshot of the listener's profile; empty for a new listener.
pub struct ProfileSource {
    state: Arc<StateStore>,
}

impl ProfileSource {
    /// Reads the node's live state.
    pub fn new(state: Arc<StateStore>) -> Self {
        Self { state }
    }
}

impl ContextSource for ProfileSource {
    fn name(&self) -> &'static str {
        "profile"
    }

    fn is_vital(&self) -> bool {
        true
    }

    /// No lock, no copy.
    fn load(&mut self, context: &RequestContext, _deadline: &Deadline) -> Result<ContextPatch, StageError> {
        if let Some(recorded) = &context.recorded {
            return Ok(ContextPatch::Profile(Arc::clone(&recorded.profile)));
        }
        Ok(ContextPatch::Profile(self.state.profile(&context.request.user_id)))
    }
}
