//! The typed context of one request, filled by context sources.

use std::sync::Arc;

use super::{BlendWeights, Knobs, Recorded, Request, SessionState, UnitVector, UserProfile};

/// What the session seems to be for.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct Intent {
    /// The likeliest: a name of the bundle's prototypes or rules.
    #[schema(value_type = String)]
    pub label: Arc<str>,
    /// 0 (as good as chance) to 1.
    pub confidence: f32,
    /// What it may be for, likeliest first; the shares add up to 1. Absent where a rule names it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub mixture: Vec<IntentShare>,
}

/// One part of a mixture of intents.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct IntentShare {
    /// A name of the bundle's prototypes.
    #[schema(value_type = String)]
    pub label: Arc<str>,
    /// 0..1.
    pub share: f32,
}

/// What of the weights and dials of a request its session's intent may turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dials {
    /// Weights of the task probabilities.
    pub blend: BlendWeights,
    /// 0 = familiar, 1 = mostly unheard artists.
    pub discovery: f32,
    /// 0 = rank order, 1 = as diverse as the pool allows.
    pub diversity: f32,
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
    /// Weights in force for this request; for those of the blend see `dials`.
    pub knobs: Knobs,
    /// As the request and `knobs` have them, turned by the session's intent. Stages read these.
    pub dials: Dials,
    /// What tells the business rules that it goes by from others; absent where it goes by none.
    pub rules: Option<Arc<str>>,
    /// What stages read instead of the live state, where a request is asked again.
    pub recorded: Option<Arc<Recorded>>,
}

impl RequestContext {
    /// The context before any source has run.
    pub fn new(request: Arc<Request>, knobs: Knobs) -> Self {
        let dials = Dials { blend: knobs.blend, discovery: request.discovery, diversity: request.diversity };
        Self {
            request,
            session: Arc::default(),
            profile: Arc::default(),
            user_vector: None,
            user_features: Vec::new(),
            intent: None,
            knobs,
            dials,
            rules: None,
            recorded: None,
        }
    }
}
