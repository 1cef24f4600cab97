//! Wiring: the only place that names concrete adapters and the order of stages.

mod engine;
mod recovery;
mod snapshots;
mod wiring;

pub use engine::{AppError, Engine};
pub use wiring::{Repeats, Wiring};
