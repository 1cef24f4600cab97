//! `parity.json`: rows with what PyTorch computed for them, compared with what the models compute here.

use std::collections::BTreeMap;

use super::{
    InferenceError, ItemTower, Model, ModelKind, OrtItemTower, OrtRanker, OrtUserTower, RankerModel, UserTower,
};
use crate::features::schema;

/// Largest absolute difference that counts as the same.
pub const TOLERANCE: f32 = 1e-4;

/// The file, parsed.
#[derive(Debug, serde::Deserialize)]
pub struct Parity(BTreeMap<String, Case>);

#[derive(Debug, serde::Deserialize)]
struct Case {
    inputs: BTreeMap<String, Array>,
    outputs: BTreeMap<String, Array>,
}

/// A row-major tensor; integers are exact in `f64`.
#[derive(Debug, serde::Deserialize)]
struct Array {
    shape: Vec<usize>,
    data: Vec<f64>,
}

impl Parity {
    /// Parses the file.
    ///
    /// # Errors
    /// Not JSON of that form, or a tensor whose data does not fill its shape.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let parity: Self = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        for (model, case) in &parity.0 {
            for (name, array) in case.inputs.iter().chain(&case.outputs) {
                if array.shape.iter().product::<usize>() != array.data.len() {
                    return Err(format!("{model}.{name}: {} numbers for {:?}", array.data.len(), array.shape));
                }
            }
        }
        Ok(parity)
    }

    /// The largest absolute difference between the file's outputs and the model's; `None` where the file says nothing of
    /// this kind of model.
    ///
    /// # Errors
    /// The model fails on the file's inputs, or the file's tensors are not the model's.
    pub fn difference(&self, model: &Model) -> Result<Option<f32>, InferenceError> {
        let kind = model.kind();
        let Some(case) = self.0.get(kind.name()) else { return Ok(None) };
        let signature = kind.signature(model.dim());
        let expected = case.output(signature.output.name).map_err(|message| wrong(kind, message))?;
        let mut found = Vec::new();
        match kind {
            ModelKind::UserTower => case.user_vectors(&mut OrtUserTower::new(model)?, model.dim(), &mut found)?,
            ModelKind::ItemTower => case.item_vectors(&mut OrtItemTower::new(model)?, &mut found)?,
            ModelKind::Ranker | ModelKind::FirstPhase => case.scores(kind, &mut OrtRanker::new(model)?, &mut found)?,
        }
        if expected.len() != found.len() {
            return Err(wrong(kind, format!("{} numbers expected, the model gives {}", expected.len(), found.len())));
        }
        Ok(Some(expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)))
    }
}

impl Case {
    fn input(&self, name: &str) -> Result<Vec<f32>, String> {
        let array = self.inputs.get(name).ok_or_else(|| format!("input {name} is missing"))?;
        Ok(array.data.iter().map(|v| *v as f32).collect())
    }

    fn ids(&self, name: &str) -> Result<Vec<i64>, String> {
        let array = self.inputs.get(name).ok_or_else(|| format!("input {name} is missing"))?;
        Ok(array.data.iter().map(|v| *v as i64).collect())
    }

    fn output(&self, name: &str) -> Result<Vec<f32>, String> {
        let array = self.outputs.get(name).ok_or_else(|| format!("output {name} is missing"))?;
        Ok(array.data.iter().map(|v| *v as f32).collect())
    }

    fn user_vectors(&self, tower: &mut dyn UserTower, dim: usize, out: &mut Vec<f32>) -> Result<(), InferenceError> {
        let get = |name| self.input(name).map_err(|message| wrong(ModelKind::UserTower, message));
        let (vectors, signals, user) = (get("history_vectors")?, get("history_signals")?, get("user")?);
        let rows = vectors
            .chunks(schema::HISTORY_LEN * dim)
            .zip(signals.chunks(schema::HISTORY_LEN * schema::SIGNALS.len()))
            .zip(user.chunks(schema::USER.len()));
        let mut row_out = Vec::new();
        for ((vectors, signals), user) in rows {
            tower.embed(vectors, signals, user, &mut row_out)?;
            out.extend_from_slice(&row_out);
        }
        Ok(())
    }

    fn item_vectors(&self, tower: &mut dyn ItemTower, out: &mut Vec<f32>) -> Result<(), InferenceError> {
        let wrong = |message| wrong(ModelKind::ItemTower, message);
        let ids = |name| self.ids(name).map_err(wrong);
        tower.embed(&self.input("item").map_err(wrong)?, &ids("track")?, &ids("artist")?, &ids("genre")?, out)
    }

    fn scores(&self, kind: ModelKind, ranker: &mut dyn RankerModel, out: &mut Vec<f32>) -> Result<(), InferenceError> {
        let get = |name| self.input(name).map_err(|message| wrong(kind, message));
        let (user, items, cross) = (get("user")?, get("items")?, get("cross")?);
        ranker.score(&user, &items, &cross, cross.len() / schema::CROSS.len(), out)
    }
}

fn wrong(kind: ModelKind, message: String) -> InferenceError {
    InferenceError::Model { model: kind.file().into(), message: format!("parity.json: {message}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::test_runtime;
    use std::path::Path;

    /// Compares the models of a directory with its `parity.json`.
    fn check(directory: &Path) {
        let runtime = test_runtime();
        let read = |name: &str| std::fs::read(directory.join(name)).unwrap();
        let dim = Model::dim_of_user_tower(&runtime, &read("user_tower.onnx")).unwrap();
        let parity = Parity::parse(&read("parity.json")).unwrap();
        for kind in ModelKind::ALL.into_iter().filter(|kind| directory.join(kind.file()).exists()) {
            let model = Model::load(&runtime, kind, dim, read(kind.file())).unwrap();
            let difference = parity.difference(&model).unwrap().unwrap();
            assert!(difference <= TOLERANCE, "{}: {difference}", kind.name());
        }
    }

    #[test]
    fn models_here_compute_what_they_computed_in_training() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        check(&root.join("tests/data/models"));
        let demo = root.join("models/demo");
        if demo.join("parity.json").exists() {
            check(&demo);
        }
    }

    #[test]
    fn refuses_tensors_that_do_not_fill_their_shape() {
        let json = br#"{"ranker":{"inputs":{"user":{"shape":[1,3],"data":[1,2]}},"outputs":{}}}"#;
        assert_eq!(Parity::parse(json).unwrap_err(), "ranker.user: 2 numbers for [1, 3]");
    }
}
