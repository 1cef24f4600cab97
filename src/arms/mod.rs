//! Experiments while serving: who is in which arm, and what the arm sets (`docs/experiments.md`).

mod assign;
#[cfg(test)]
mod assign_tests;
mod place;

pub use assign::Arms;
pub use place::{Salted, Share};
