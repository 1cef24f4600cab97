//! The six stage traits and their contracts. A stage belongs to one lane: it may keep buffers and reuse them.

use std::sync::Arc;

use super::{Deadline, Note, Outcome, RuleEffect};
use crate::domain::{
    Answer, CandidateSet, Dials, Intent, Posteriors, RemovalReason, RequestContext, Retrieved, Rung, SessionState,
    Source, TaskScores, TrackIx, UnitVector, UserProfile,
};

/// Why a stage gave nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StageError {
    /// The deadline passed inside the stage.
    #[error("late")]
    Late,
    /// What the stage needs is not there (no model, no user vector, no such market).
    #[error("absent: {0}")]
    Absent(&'static str),
    /// It failed.
    #[error("{0}")]
    Failed(String),
    /// It broke its contract; found by the runner.
    #[error("contract: {0}")]
    Contract(String),
}

impl StageError {
    /// The outcome this error is reported as.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Late => Outcome::Late,
            Self::Absent(_) => Outcome::Absent,
            Self::Failed(_) => Outcome::Failed,
            Self::Contract(_) => Outcome::Contract,
        }
    }
}

/// What the runner does when a stage fails; given where the stage is added, not in the stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Go on without it; the answer names it as degraded.
    Skip,
    /// Leave the funnel and serve from this rung or below.
    Rung(Rung),
}

/// One typed change of the context.
#[derive(Debug, Clone)]
pub enum ContextPatch {
    /// Snapshot of the session.
    Session(Arc<SessionState>),
    /// Snapshot of the profile.
    Profile(Arc<UserProfile>),
    /// The user tower's output and the dense columns it saw.
    User {
        /// Unit vector in the index's space.
        vector: UnitVector,
        /// `[U]`, schema order.
        features: Vec<f32>,
    },
    /// What tells the business rules that hold for this request from others.
    Rules(Arc<str>),
    /// What the session seems to be for.
    Intent {
        /// Its name and how sure it is.
        intent: Option<Intent>,
        /// The request's dials, turned by it; in the ranges of the dials.
        dials: Dials,
    },
}

/// Fills one part of the context. Sources run in wiring order and see what earlier ones patched.
pub trait ContextSource: Send {
    /// Name in reports.
    fn name(&self) -> &'static str;

    /// Whether it runs even when the deadline has passed: for a source that hard filters read, which must not fail open.
    /// Such a source costs a few microseconds.
    fn is_vital(&self) -> bool {
        false
    }

    /// Returns the patch. Errors: anything; the runner applies the wiring's policy.
    fn load(&mut self, context: &RequestContext, deadline: &Deadline) -> Result<ContextPatch, StageError>;
}

/// Proposes candidates.
pub trait Retriever: Send {
    /// Name in reports.
    fn name(&self) -> &'static str;

    /// The tag its candidates carry.
    fn source(&self) -> Source;

    /// Appends at most `quota` distinct tracks to `out` (handed over empty), best first, scores finite and not rising.
    /// When the deadline passes inside, either what was found so far stands or [`StageError::Late`] is returned.
    /// Steady state: no allocation.
    fn retrieve(
        &mut self,
        context: &RequestContext,
        quota: usize,
        deadline: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), StageError>;

    /// What the last call did, for its report; each name at most once. Nothing where there is nothing to tell.
    fn notes(&self) -> &[Note] {
        &[]
    }
}

impl Retriever for Box<dyn Retriever> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn source(&self) -> Source {
        (**self).source()
    }

    fn retrieve(
        &mut self,
        context: &RequestContext,
        quota: usize,
        deadline: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), StageError> {
        (**self).retrieve(context, quota, deadline, out)
    }

    fn notes(&self) -> &[Note] {
        (**self).notes()
    }
}

/// Removes candidates for one reason. Cannot fail.
pub trait CandidateFilter: Send {
    /// The reason it removes for; also its name in reports.
    fn reason(&self) -> RemovalReason;

    /// Whether it may be left out where nothing else is left: it keeps a list fresh, not legal or wanted.
    fn is_soft(&self) -> bool {
        false
    }

    /// What rules of configuration did in the last call, where the filter goes by such.
    fn rules(&self) -> &[RuleEffect] {
        &[]
    }

    /// Sets `removed[i]` to `true` for each candidate that must go; never clears a mark. `removed.len() == tracks.len()`;
    /// rows already marked may be passed over.
    fn mark(&mut self, context: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]);

    /// The few tracks of the built catalogue, ascending, beside which it removes everything; `None` where it leaves many,
    /// or does not know. Tracks that were added may stay too.
    fn only<'a>(&'a self, _context: &RequestContext) -> Option<&'a [TrackIx]> {
        None
    }
}

impl CandidateFilter for Box<dyn CandidateFilter> {
    fn reason(&self) -> RemovalReason {
        (**self).reason()
    }

    fn is_soft(&self) -> bool {
        (**self).is_soft()
    }

    fn mark(&mut self, context: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]) {
        (**self).mark(context, tracks, removed);
    }

    fn rules(&self) -> &[RuleEffect] {
        (**self).rules()
    }

    fn only<'a>(&'a self, context: &RequestContext) -> Option<&'a [TrackIx]> {
        (**self).only(context)
    }
}

/// Scores candidates.
pub trait Ranker: Send {
    /// Name in reports.
    fn name(&self) -> &'static str;

    /// Fills every column of `out` (handed over empty): row i = candidate i, all finite. Steady state: no allocation in
    /// this process's heap beyond what the inference library's wrapper makes.
    fn rank(
        &mut self,
        context: &RequestContext,
        candidates: &CandidateSet,
        deadline: &Deadline,
        out: &mut TaskScores,
    ) -> Result<(), StageError>;
}

/// Chooses and orders. It cannot invent, copy or alter a candidate.
pub trait Reranker: Send {
    /// Name in reports.
    fn name(&self) -> &'static str;

    /// `order` holds distinct candidate rows, best first; `list_scores[row]` what orders them. A re-ranker may reorder and
    /// shorten `order` and change `list_scores` (finite), nothing else. `propensity[row]` is set for exploratory choices.
    /// At least `min(limit, what its hard rules permit)` rows stay. One that [`Reranker::may_recall`] may also bring back
    /// rows that earlier re-rankers left out.
    fn rerank(
        &mut self,
        context: &RequestContext,
        candidates: &CandidateSet,
        list_scores: &mut [f32],
        propensity: &mut [Option<f32>],
        order: &mut Vec<u32>,
        limit: usize,
    ) -> Result<(), StageError>;

    /// Whether it may bring back candidates that earlier re-rankers left out of `order`.
    fn may_recall(&self) -> bool {
        false
    }

    /// What the last call did, for its report; each name at most once. Nothing where there is nothing to tell.
    fn notes(&self) -> &[Note] {
        &[]
    }

    /// What rules of configuration did in the last call, where it goes by such.
    fn rules(&self) -> &[RuleEffect] {
        &[]
    }

    /// What the last call read of the live state, where it goes by posteriors.
    fn posteriors(&self) -> Option<&Posteriors> {
        None
    }

    /// The candidate rows that a rule of configuration placed or moved in the last call, with the rule's name; a row comes
    /// again for each rule.
    fn touched(&self) -> &[(u32, Arc<str>)] {
        &[]
    }
}

/// Sees the finished answer. Must copy what it needs to a bounded channel and return; a full channel is a counted drop.
pub trait Observer: Send {
    /// Name in reports.
    fn name(&self) -> &'static str;

    /// Takes note of the answer; cannot fail or change it.
    fn observe(&mut self, context: &RequestContext, answer: &Answer);
}
