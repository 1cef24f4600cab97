//! The ranker on ONNX Runtime.

use super::session::ModelSession;
use super::{InferenceError, Model, ModelKind, RankerModel};
use crate::features::schema;

/// One lane's ranker, or its first phase, which has the same tensors. The number of rows may differ from call to call; ONNX Runtime's arena keeps the largest batch's memory.
#[derive(Debug)]
pub struct OrtRanker {
    session: ModelSession,
    dim: usize,
}

impl OrtRanker {
    /// Opens a session and runs it once, on one candidate of which nothing is known.
    ///
    /// # Errors
    /// A model that does not score candidates, or a first run that fails.
    pub fn new(model: &Model) -> Result<Self, InferenceError> {
        let kind = if model.kind() == ModelKind::FirstPhase { ModelKind::FirstPhase } else { ModelKind::Ranker };
        let mut ranker = Self { session: model.session(kind)?, dim: model.dim() };
        ranker.warm(1)?;
        Ok(ranker)
    }

    /// Runs on `rows` candidates of which nothing is known, so that requests find the memory for as many.
    ///
    /// # Errors
    /// If the run fails.
    pub fn warm(&mut self, rows: usize) -> Result<(), InferenceError> {
        let defaults = |columns: &[schema::Column], vector: usize| -> Vec<f32> {
            columns.iter().map(|column| column.default).chain(std::iter::repeat_n(0.0, vector)).collect()
        };
        let (user, items) = (defaults(schema::USER, self.dim), defaults(schema::ITEM, self.dim).repeat(rows));
        self.score(&user, &items, &defaults(schema::CROSS, 0).repeat(rows), rows, &mut Vec::new())
    }
}

impl RankerModel for OrtRanker {
    fn score(
        &mut self,
        user: &[f32],
        items: &[f32],
        cross: &[f32],
        rows: usize,
        out: &mut Vec<f32>,
    ) -> Result<(), InferenceError> {
        out.clear();
        if rows == 0 {
            return Ok(());
        }
        let inputs = [
            self.session.tensor([1, schema::USER.len() + self.dim], user)?,
            self.session.tensor([rows, schema::ITEM.len() + self.dim], items)?,
            self.session.tensor([rows, schema::CROSS.len()], cross)?,
        ];
        self.session.run(inputs, rows * schema::TASKS.len(), out)
    }
}
