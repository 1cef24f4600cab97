//! Training rows from old events (`docs/formats.md`): the events are replayed in time order through the code that serves,
//! and every row holds what that code computed just before a play began.

mod aggregate;
#[cfg(test)]
mod aggregate_tests;
mod data;
mod error;
mod join;
#[cfg(test)]
mod log_tests;
mod moment;
mod open;
mod outcomes;
mod part;
mod ranker;
mod rows;
mod sample;
mod settling;
#[cfg(test)]
mod tests;
mod towers;
mod walk;

pub use aggregate::{AggregatePlan, AggregateSummary, aggregate};
pub use error::BackfillError;
pub use join::{JoinPlan, JoinSummary, join};
pub use outcomes::Outcome;
pub use part::UserPart;
pub use ranker::{RankerPlan, RankerSummary, ranker};
pub use sample::{MomentSampler, stable_hash};
pub use towers::{TowersPlan, TowersSummary, towers};
pub use walk::{GroupWithOutcomes, Logs, Walked, each_outcome};

/// How far a backfill is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: &'static str,
    /// Events gone through.
    pub done: u64,
    /// Out of how many; 0 = unknown.
    pub total: u64,
}

/// Events between two calls of a progress callback.
const EVENTS_A_TICK: u64 = 16_384;
