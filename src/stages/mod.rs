//! The stages of the pipeline: one component a file, the file named as its type.

pub mod filter;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod retrieve;
