//! The weights of a model, held once for all lanes.

use std::fmt;
use std::sync::Arc;

use ort::session::builder::{PrepackedWeights, SessionBuilder};
use ort::value::{DynValue, Tensor};

use super::onnx_file;

/// A model's single-precision weights and the forms into which ONNX Runtime packs them. A session that takes them holds
/// neither for itself: lanes read the same memory, and the same lines of the shared cache.
#[derive(Clone)]
pub(super) struct SharedWeights {
    values: Arc<[(String, Arc<DynValue>)]>,
    packed: PrepackedWeights,
}

impl SharedWeights {
    /// Copies the weights out of a model file.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn of(model: &[u8]) -> Result<Self, String> {
        let values = onnx_file::weights(model)?.into_iter().map(|weight| {
            let tensor = Tensor::from_array((weight.dims, weight.values)).map_err(|e| e.to_string())?;
            Ok((weight.name, Arc::new(tensor.into_dyn())))
        });
        Ok(Self { values: values.collect::<Result<_, String>>()?, packed: PrepackedWeights::new() })
    }

    /// Gives the weights to a session in the making.
    ///
    /// # Errors
    /// ONNX Runtime's.
    pub(super) fn give(&self, builder: SessionBuilder) -> ort::Result<SessionBuilder> {
        let mut builder = builder.with_prepacked_weights(&self.packed)?;
        for (name, value) in self.values.iter() {
            builder = builder.with_initializer(name, Arc::clone(value))?;
        }
        Ok(builder)
    }
}

impl fmt::Debug for SharedWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedWeights").field("values", &self.values.len()).finish_non_exhaustive()
    }
}
