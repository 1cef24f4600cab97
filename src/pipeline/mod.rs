//! The framework: a deadline, six stage traits, a failure policy given where a stage is wired, a runner that checks the
//! contracts, and one report a stage. It knows no model, no index and no protocol.

mod builder;
mod contract;
mod deadline;
mod detail;
mod ladder;
mod lanes;
mod report;
mod run;
mod runner;
mod stage;
#[cfg(test)]
mod tests;
mod track_set;

pub use builder::{PipelineBuilder, Width};
pub use deadline::Deadline;
pub use detail::{Detail, Rehearsal, Step, Watched, Way};
pub use lanes::{Criticality, LaneFigures, Lanes, Permit, Refused, Terms};
pub use report::{Note, Outcome, RuleEffect, StageKind, StageReport};
pub use runner::Pipeline;
pub use stage::{
    CandidateFilter, ContextPatch, ContextSource, Observer, OnFailure, Ranker, Reranker, Retriever, StageError,
};
pub use track_set::TrackSet;
