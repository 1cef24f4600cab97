//! The typed context of one request, filled by context sources.

use std::sync::Arc;

use super::{Knobs, Recorded, Request, SessionState, UnitVector, UserProfile};

/// What the session seems to be for.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct Intent {
    /// Name from the bundle's `intents.json`.
    #[schema(value_type = String)]
    pub label: Arc<str>,
    /// 0..1.
    pub confidence: f32,
}

/// Everything the stages may know. Built once a request by the runner; stages read it.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The question.
    pub request: Arc<Request>,
    /// A snapshot of the session; empty for a new one.
    pub session: Arc<SessionState>,
    /// A snapshot of the profile; empty for a new listener.
    pub profile: Arc<UserProfile>,
    /// Output of the user tower; absent when it failed.
    pub user_vector: Option<UnitVector>,
    /// The dense user-side columns the tower saw, `[U]`; the ranker reuses them.
    pub user_features: Vec<f32>,
    /// What the session seems to be for.
    pub intent: Option<Intent>,
    /// Weights in force for this request.
    pub knobs: Knobs,
    /// What stages read instead of the live state, where a request is asked again.
    pub recorded: Option<Arc<Recorded>>,
}

impl RequestContext {
    /// The context before any source has run.
    pub fn new(request: Arc<Request>, knobs: Knobs) -> Self {
        Self {
            request,
            session: Arc::default(),
            profile: Arc::default(),
            user_vector: None,
            user_features: Vec::new(),
            intent: None,
            knobs,
            recorded: None,
        }
    }
}
