//! Wiring: the only place that names concrete adapters and the order of stages.

mod drift;
mod engine;
mod exports;
mod live_tracks;
mod recall_probe;
mod recovery;
mod rehearse;
mod snapshots;
mod stream;
mod wiring;

pub use drift::Drift;
pub use engine::{AppError, Engine};
pub use live_tracks::{ChangeError, Put};
pub use rehearse::{Asked, Explained, RehearsalError, ReplayChanges, ReplayError, Replayed};
pub use wiring::{Repeats, Wiring};
