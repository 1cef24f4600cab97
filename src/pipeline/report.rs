//! What a stage did: the one source for metrics, logs, traces and `explain`.

use std::sync::Arc;

/// Kind of stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// Filled the context.
    Context,
    /// Proposed candidates.
    Retrieve,
    /// Removed candidates.
    Filter,
    /// Scored candidates.
    Rank,
    /// Chose and ordered the list.
    Rerank,
    /// Served a rung below the funnel.
    Fallback,
}

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should.
    Ok,
    /// It returned an error or panicked.
    Failed,
    /// The deadline had passed, before or inside it.
    Late,
    /// It broke its contract; its work was thrown away.
    Contract,
    /// It has nothing to work with (no model, no user vector).
    Absent,
}

impl Outcome {
    /// The name in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Late => "late",
            Self::Contract => "contract",
            Self::Absent => "absent",
        }
    }
}

/// A figure that a stage tells of its work, e.g. in how many places a rule gave way.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct Note {
    /// What it is; a closed set of names a stage.
    pub note: &'static str,
    /// Its value.
    pub value: f32,
}

/// What one business rule did in one request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct RuleEffect {
    /// Its name in the configuration.
    #[schema(value_type = String)]
    pub rule: Arc<str>,
    /// `pin`, `boost`, `bury`, `block` or `at_least`.
    pub action: &'static str,
    /// Tracks that it removed, moved or put into the list.
    pub tracks: u32,
    /// Places that it asked for and did not get.
    pub unmet: u32,
}

/// The report of one stage in one request.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct StageReport {
    /// The component's name.
    pub stage: &'static str,
    /// Its kind.
    pub kind: StageKind,
    /// Time spent, microseconds.
    pub micros: u64,
    /// Candidates before.
    pub candidates_in: usize,
    /// Candidates after.
    pub candidates_out: usize,
    /// How it ended.
    pub outcome: Outcome,
    /// What went wrong, for people; never an id of a listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What a retriever or re-ranker tells of its work; absent where it has nothing to tell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub notes: Vec<Note>,
    /// What business rules did in it; absent where none held.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub rules: Vec<RuleEffect>,
}
