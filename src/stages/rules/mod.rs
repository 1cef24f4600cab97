//! Business rules of the configuration (`docs/rules.md`). A block is a filter, for the list is to be full of something
//! else, on every rung; a pin proposes its track; all else is done by a re-ranker that runs last.

mod apply;
mod arrange;
mod block;
mod book;
mod pins;
#[cfg(test)]
mod tests;

pub use apply::ApplyRules;
pub use block::RuleBlock;
pub use book::RuleBook;
pub use pins::RulePins;
