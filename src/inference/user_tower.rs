//! The user tower on ONNX Runtime.

use super::session::ModelSession;
use super::{InferenceError, Model, ModelKind, UserTower};
use crate::features::schema;

/// One lane's user tower.
#[derive(Debug)]
pub struct OrtUserTower {
    session: ModelSession,
    dim: usize,
}

impl OrtUserTower {
    /// Opens a session and runs it once, for a listener of whom nothing is known.
    ///
    /// # Errors
    /// Another kind of model, or a first run that fails.
    pub fn new(model: &Model) -> Result<Self, InferenceError> {
        let mut tower = Self { session: model.session(ModelKind::UserTower)?, dim: model.dim() };
        let history = vec![0.0; schema::HISTORY_LEN * tower.dim];
        let signals = vec![0.0; schema::HISTORY_LEN * schema::SIGNALS.len()];
        let user: Vec<_> = schema::USER.iter().map(|column| column.default).collect();
        tower.embed(&history, &signals, &user, &mut Vec::new())?;
        Ok(tower)
    }
}

impl UserTower for OrtUserTower {
    fn embed(
        &mut self,
        history_vectors: &[f32],
        history_signals: &[f32],
        user: &[f32],
        out: &mut Vec<f32>,
    ) -> Result<(), InferenceError> {
        out.clear();
        let inputs = [
            self.session.tensor([1, schema::HISTORY_LEN, self.dim], history_vectors)?,
            self.session.tensor([1, schema::HISTORY_LEN, schema::SIGNALS.len()], history_signals)?,
            self.session.tensor([1, schema::USER.len()], user)?,
        ];
        self.session.run(inputs, self.dim, out)
    }
}
