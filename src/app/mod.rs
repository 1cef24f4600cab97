//! Wiring: the only place that names concrete adapters and the order of stages.

mod active;
mod drift;
mod engine;
mod exports;
mod guardrail;
mod live_tracks;
mod recall_probe;
mod recovery;
mod rehearse;
mod self_test;
mod serving;
mod snapshots;
mod stream;
mod swap;
mod wiring;

pub use drift::Drift;
pub use engine::{AppError, Engine};
pub use guardrail::{OfflineMetric, Verdict};
pub use live_tracks::{ChangeError, Put};
pub use rehearse::{Asked, Explained, RehearsalError, ReplayChanges, ReplayError, Replayed};
pub use self_test::SelfTest;
pub use serving::Serving;
pub use swap::{Available, BundleName, Bundles, SwapError, SwapReport};
pub use wiring::{Repeats, Wiring};
