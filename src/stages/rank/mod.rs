//! Ranking: the multi-gate mixture of experts, the first phase in front of it, the blend of its heads, and the sound that was asked for.

mod blend;
mod first_phase;
mod mmoe;
mod target;

pub use blend::blend;
pub use mmoe::MmoeRanker;
pub use target::{TARGET_BONUS, target_bonus};
