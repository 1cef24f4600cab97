//! Statistics of experiments and of logged decisions: pure functions on arrays that know nothing of the product. The unit of
//! every one of them is the listener, for what one listener does is not independent. Distributions come from `statrs`.

mod cuped;
mod divergence;
mod estimate;
mod holm;
mod mismatch;
mod off_policy;
mod power;
mod rarefaction;
mod ratio;
mod sequence;
#[cfg(test)]
mod simulation_tests;

pub use cuped::{Adjusted, Unit, adjust};
pub use divergence::{Divergence, bin_of, divergence, quantile_edges};
pub use estimate::{Estimate, normal_interval, normal_p, quantile};
pub use holm::holm;
pub use mismatch::mismatch_p;
pub use off_policy::{Decisions, LEAST_EFFECTIVE, LEAST_UNITS, OffPolicy, Thin, evaluate};
pub use power::{detectable, units_needed};
pub use rarefaction::distinct_among;
pub use ratio::{Measured, Sums, minus, ratio};
pub use sequence::Sequence;
