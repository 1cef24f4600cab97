//! Ranking: the multi-gate mixture of experts, the blend of its heads, and the sound that was asked for.

mod blend;
mod target;

pub use blend::blend;
pub use target::{TARGET_BONUS, target_bonus};
