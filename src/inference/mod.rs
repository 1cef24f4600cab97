//! The three models, behind traits, and ONNX Runtime behind them. Nothing outside this folder knows `ort`.
//!
//! A [`Runtime`] is opened once; a [`Model`] is a file that passed every check; `OrtUserTower`, `OrtItemTower` and
//! `OrtRanker` are one lane's sessions over it.

mod item_tower;
mod library;
mod onnx_file;
pub mod parity;
mod ranker;
mod runtime;
mod session;
mod signature;
mod user_tower;
mod weights;

pub use item_tower::OrtItemTower;
pub use ranker::OrtRanker;
pub use runtime::Runtime;
pub use session::Model;
pub use signature::{Element, ModelKind, ModelSignature, TensorSpec};
pub use user_tower::OrtUserTower;

/// Why a model gave nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InferenceError {
    /// The ONNX Runtime library is missing or does not load.
    #[error("{0}")]
    Runtime(String),
    /// A model file does not match the manifest or the feature schema.
    #[error("{model}: {message}")]
    Model {
        /// File name.
        model: String,
        /// What is wrong.
        message: String,
    },
    /// A run failed.
    #[error("{model}: run failed: {message}")]
    Run {
        /// File name.
        model: String,
        /// What ONNX Runtime said.
        message: String,
    },
    /// A run gave a number that is not finite.
    #[error("{model}: output holds a number that is not finite at {at}")]
    NotFinite {
        /// File name.
        model: String,
        /// Flat position.
        at: usize,
    },
}

/// Maps what is known about a listener to the index's space. One value a lane.
pub trait UserTower: Send {
    /// Writes the raw output, `[dim]`, to `out`. Shapes: `history_vectors` `[H * dim]`, `history_signals` `[H * S]`,
    /// `user` `[U]`.
    fn embed(
        &mut self,
        history_vectors: &[f32],
        history_signals: &[f32],
        user: &[f32],
        out: &mut Vec<f32>,
    ) -> Result<(), InferenceError>;
}

/// Maps track metadata to the index's space: bundle building and tracks that are new.
pub trait ItemTower: Send {
    /// Appends `[n * dim]` to `out`. Shapes: `item` `[n * I]`; `track`, `artist`, `genre` `[n]` as in `docs/formats.md`.
    fn embed(
        &mut self,
        item: &[f32],
        track: &[i64],
        artist: &[i64],
        genre: &[i64],
        out: &mut Vec<f32>,
    ) -> Result<(), InferenceError>;
}

/// Scores candidates. One value a lane.
pub trait RankerModel: Send {
    /// Replaces `out` by `[rows * 3]` probabilities (complete, skip, like), row i = candidate i. Shapes: `user` `[U + dim]`,
    /// `items` `[rows * (I + dim)]`, `cross` `[rows * X]`.
    fn score(
        &mut self,
        user: &[f32],
        items: &[f32],
        cross: &[f32],
        rows: usize,
        out: &mut Vec<f32>,
    ) -> Result<(), InferenceError>;
}

/// The runtime of the test process, from `.cache/onnxruntime` under the repository.
#[cfg(test)]
pub(crate) fn test_runtime() -> Runtime {
    Runtime::open(&crate::config::InferenceConfig::default()).expect("scripts/setup installs ONNX Runtime")
}
