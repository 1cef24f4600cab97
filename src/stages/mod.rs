//! The stages of the pipeline: one component a file, the file named as its type.

pub mod filter;
pub mod retrieve;
