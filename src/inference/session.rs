//! A model's bytes, checked, and the sessions that run them.

use std::fmt;
use std::sync::Arc;

use ort::session::{Session, SessionInputValue};
use ort::value::{PrimitiveTensorElementType, TensorRef, ValueType};

use super::weights::SharedWeights;
use super::{InferenceError, ModelKind, Runtime, onnx_file};

/// A model that passed every check and can open sessions: one a lane, since a session runs one batch at a time. Cheap to
/// clone; bytes and weights are shared.
#[derive(Clone)]
pub struct Model {
    kind: ModelKind,
    dim: usize,
    bytes: Arc<[u8]>,
    /// Absent for the item tower, which no lane runs: its table of ids can be as large as all item vectors.
    weights: Option<SharedWeights>,
    runtime: Runtime,
}

impl Model {
    /// Checks `bytes` as a model of this kind for a space of `dim` dimensions, by opening a session over them.
    ///
    /// # Errors
    /// Not an ONNX model, data outside the file, custom or unknown operators, or tensors that differ from the signature; the
    /// message names model, tensor, expected and found.
    pub fn load(
        runtime: &Runtime,
        kind: ModelKind,
        dim: usize,
        bytes: impl Into<Arc<[u8]>>,
    ) -> Result<Self, InferenceError> {
        let bytes = bytes.into();
        onnx_file::refuse_foreign_parts(&bytes).map_err(|why| refused(kind, why))?;
        let shared = kind != ModelKind::ItemTower;
        let weights = shared.then(|| SharedWeights::of(&bytes)).transpose().map_err(|why| refused(kind, why))?;
        let model = Self { kind, dim, bytes, weights, runtime: runtime.clone() };
        model.session(kind)?;
        Ok(model)
    }

    /// The dimension of the space that a user tower's file was made for, before anything else is known of it.
    ///
    /// # Errors
    /// Not a user tower with a fixed dimension.
    pub fn dim_of_user_tower(runtime: &Runtime, bytes: &[u8]) -> Result<usize, InferenceError> {
        let kind = ModelKind::UserTower;
        onnx_file::refuse_foreign_parts(bytes).map_err(|why| refused(kind, why))?;
        let session = runtime.session(bytes, None).map_err(|why| refused(kind, why))?;
        let dims = session.inputs().first().map(|input| input.dtype());
        match dims {
            Some(ValueType::Tensor { shape, .. }) if shape.len() == 3 && shape[2] > 0 => Ok(shape[2] as usize),
            _ => Err(refused(kind, "input history_vectors: expected [*, history, dimension]".into())),
        }
    }

    /// Which model it is.
    pub fn kind(&self) -> ModelKind {
        self.kind
    }

    /// Version of ONNX's standard operators that the file asks for; `None` where it asks for none.
    pub fn opset(&self) -> Option<u64> {
        onnx_file::opset(&self.bytes)
    }

    /// Dimension of the space.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Opens a session for one lane, as the kind its user needs. Some milliseconds.
    pub(super) fn session(&self, kind: ModelKind) -> Result<ModelSession, InferenceError> {
        if kind != self.kind {
            return Err(refused(self.kind, format!("used as {}", kind.name())));
        }
        let session = self.runtime.session(&self.bytes, self.weights.as_ref()).map_err(|why| refused(kind, why))?;
        let signature = kind.signature(self.dim);
        signature.check(session.inputs(), session.outputs()).map_err(|why| refused(kind, why))?;
        Ok(ModelSession { session, kind })
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Model");
        fields
            .field("kind", &self.kind)
            .field("dim", &self.dim)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

fn refused(kind: ModelKind, message: String) -> InferenceError {
    InferenceError::Model { model: kind.file().into(), message }
}

/// One lane's session.
#[derive(Debug)]
pub(super) struct ModelSession {
    session: Session,
    kind: ModelKind,
}

impl ModelSession {
    /// Runs the model on `inputs` (in signature order, borrowed: nothing is copied in) and appends its output, which must
    /// have `len` finite numbers. On error `out` is as before.
    pub(super) fn run<const N: usize>(
        &mut self,
        inputs: [SessionInputValue<'_>; N],
        len: usize,
        out: &mut Vec<f32>,
    ) -> Result<(), InferenceError> {
        let kind = self.kind;
        let outputs = self.session.run(inputs).map_err(|e| failed(kind, e))?;
        let (_, data) = outputs[0].try_extract_tensor::<f32>().map_err(|e| failed(kind, e))?;
        if data.len() != len {
            return Err(failed(kind, format!("{} numbers came out, expected {len}", data.len())));
        }
        if let Some(at) = data.iter().position(|value| !value.is_finite()) {
            return Err(InferenceError::NotFinite { model: kind.file().into(), at });
        }
        out.extend_from_slice(data);
        Ok(())
    }

    /// Borrows `data` as a tensor; its length must be the product of `dims`.
    pub(super) fn tensor<'a, T, const K: usize>(
        &self,
        dims: [usize; K],
        data: &'a [T],
    ) -> Result<SessionInputValue<'a>, InferenceError>
    where
        T: PrimitiveTensorElementType + fmt::Debug + Clone + 'static,
    {
        let tensor = TensorRef::from_array_view((dims, data)).map_err(|e| failed(self.kind, e))?;
        Ok(tensor.into())
    }
}

fn failed(kind: ModelKind, message: impl ToString) -> InferenceError {
    InferenceError::Run { model: kind.file().into(), message: message.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::test_runtime;

    const RANKER: &[u8] = include_bytes!("../../tests/data/models/ranker.onnx");

    #[test]
    fn refuses_what_is_not_the_model_it_should_be() {
        let runtime = test_runtime();
        let error = |kind, dim, bytes: &[u8]| Model::load(&runtime, kind, dim, bytes).unwrap_err().to_string();
        assert!(error(ModelKind::Ranker, 16, RANKER).contains("user: expected user f32[1, 42], found user f32[1, 34]"));
        assert!(error(ModelKind::UserTower, 8, RANKER).starts_with("user_tower.onnx: input history_vectors"));
        assert!(error(ModelKind::Ranker, 8, &RANKER[..RANKER.len() / 2]).starts_with("ranker.onnx: "));
        assert!(error(ModelKind::Ranker, 8, b"").starts_with("ranker.onnx: "));
    }

    /// What a session over the test ranker says of one candidate.
    fn scores(session: Session) -> Vec<f32> {
        let mut session = ModelSession { session, kind: ModelKind::Ranker };
        let widths: Vec<usize> = ModelKind::Ranker.signature(8).inputs.iter().map(|i| i.dims[1].unwrap()).collect();
        let data: Vec<Vec<f32>> = widths.iter().map(|w| (0..*w).map(|at| (at as f32).sin()).collect()).collect();
        let mut out = Vec::new();
        let inputs = [0, 1, 2].map(|at| session.tensor([1, widths[at]], &data[at]).unwrap());
        session.run(inputs, 3, &mut out).unwrap();
        out
    }

    #[test]
    fn lanes_that_share_weights_say_the_same_as_one_that_does_not() {
        let runtime = test_runtime();
        let model = Model::load(&runtime, ModelKind::Ranker, 8, RANKER).unwrap();
        let alone = scores(runtime.session(RANKER, None).unwrap());
        let lanes: Vec<_> = (0..3).map(|_| model.session(ModelKind::Ranker).unwrap()).collect();
        lanes.into_iter().for_each(|lane| assert_eq!(scores(lane.session), alone));
    }

    #[test]
    fn tells_the_dimension() {
        let tower = include_bytes!("../../tests/data/models/user_tower.onnx");
        assert_eq!(Model::dim_of_user_tower(&test_runtime(), tower), Ok(8));
        assert!(Model::dim_of_user_tower(&test_runtime(), RANKER).is_err());
    }
}
