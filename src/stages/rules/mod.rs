//! Business rules of the configuration (`docs/rules.md`), which may change from request to request. A block is a filter, for
//! the list is to be full of something else, on every rung; a pin proposes its track; all else is done by a re-ranker that
//! runs last.

mod apply;
mod arrange;
mod block;
mod book;
mod in_force;
mod pins;
#[cfg(test)]
mod tests;

pub use apply::ApplyRules;
pub use block::RuleBlock;
pub use book::RuleBook;
pub use in_force::{RuleSource, Rules};
pub use pins::RulePins;
