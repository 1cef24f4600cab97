//! The item tower on ONNX Runtime.

use super::session::ModelSession;
use super::{InferenceError, ItemTower, Model, ModelKind};
use crate::features::schema;

/// An item tower for bundle building or for tracks that are new.
#[derive(Debug)]
pub struct OrtItemTower {
    session: ModelSession,
    dim: usize,
}

impl OrtItemTower {
    /// Opens a session and runs it once, for a track of which nothing is known.
    ///
    /// # Errors
    /// Another kind of model, or a first run that fails.
    pub fn new(model: &Model) -> Result<Self, InferenceError> {
        let mut tower = Self { session: model.session(ModelKind::ItemTower)?, dim: model.dim() };
        let item: Vec<_> = schema::ITEM.iter().map(|column| column.default).collect();
        tower.embed(&item, &[0], &[0], &[0], &mut Vec::new())?;
        Ok(tower)
    }
}

impl ItemTower for OrtItemTower {
    fn embed(
        &mut self,
        item: &[f32],
        track: &[i64],
        artist: &[i64],
        genre: &[i64],
        out: &mut Vec<f32>,
    ) -> Result<(), InferenceError> {
        let rows = track.len();
        if rows == 0 {
            return Ok(());
        }
        let inputs = [
            self.session.tensor([rows, schema::ITEM.len()], item)?,
            self.session.tensor([rows], track)?,
            self.session.tensor([rows], artist)?,
            self.session.tensor([rows], genre)?,
        ];
        self.session.run(inputs, rows * self.dim, out)
    }
}
