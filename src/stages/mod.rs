//! The stages of the pipeline: one component a file. They know `domain`, `pipeline`, and adapters through their traits.

pub mod context;
pub mod explain;
pub mod exposure;
pub mod filter;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod observe;
pub mod rank;
pub mod rerank;
pub mod retrieve;
pub mod rules;
mod similarity;
#[cfg(test)]
pub(crate) mod testing;
pub mod why;
