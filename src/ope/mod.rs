//! Off-policy evaluation (`docs/experiments.md`): what another policy would have earned in the places of lists that explore, from
//! the feature log's propensities and what became of the tracks. Only there choices were drawn, so only there the log can say
//! what another choice would have been worth.

mod decisions;
mod error;
mod policy;
mod report;
mod reward;
mod table;

pub use decisions::{Asked, Collected, Decision, collect};
pub use error::OpeError;
pub use policy::{Choice, Policy, RankerOf};
pub use report::{OpeReport, PolicyValue, Values, report};
pub use reward::Reward;
pub use table::text_table;
