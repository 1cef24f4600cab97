//! The tensors a model must have: names, element types, shapes. Checked before anything runs.

use std::fmt;

use ort::value::{Outlet, TensorElementType, ValueType};

use crate::features::schema;

/// Element types in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// 32-bit float.
    F32,
    /// 64-bit integer.
    I64,
}

/// One tensor of a model. Displayed as `user f32[*, 26]`, `*` = any size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name in the graph.
    pub name: &'static str,
    /// Element type.
    pub element: Element,
    /// Sizes; `None` = dynamic.
    pub dims: Vec<Option<usize>>,
}

impl TensorSpec {
    fn new(name: &'static str, element: Element, dims: impl Into<Vec<Option<usize>>>) -> Self {
        Self { name, element, dims: dims.into() }
    }

    fn dims_text(&self) -> String {
        text(&self.dims.iter().map(|dim| dim.map_or(-1, |d| d as i64)).collect::<Vec<_>>())
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let element = match self.element {
            Element::F32 => "f32",
            Element::I64 => "i64",
        };
        write!(f, "{} {element}{}", self.name, self.dims_text())
    }
}

/// The models of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModelKind {
    /// Listener to vector.
    UserTower,
    /// Track to vector.
    ItemTower,
    /// Candidates to task probabilities.
    Ranker,
    /// The same, cheaper and coarser: says which candidates the ranker need not look at.
    FirstPhase,
}

impl ModelKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::UserTower, Self::ItemTower, Self::Ranker, Self::FirstPhase];

    /// The model's name in manifests and `parity.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::UserTower => "user_tower",
            Self::ItemTower => "item_tower",
            Self::Ranker => "ranker",
            Self::FirstPhase => "first_phase",
        }
    }

    /// The model's file in a models directory and in a bundle.
    pub fn file(self) -> &'static str {
        match self {
            Self::UserTower => "user_tower.onnx",
            Self::ItemTower => "item_tower.onnx",
            Self::Ranker => "ranker.onnx",
            Self::FirstPhase => "first_phase.onnx",
        }
    }

    /// The tensors it must have, from the feature schema of this build and the dimension of the space.
    pub fn signature(self, dim: usize) -> ModelSignature {
        let f32 = |name, dims: &[Option<usize>]| TensorSpec::new(name, Element::F32, dims);
        let rows = |name, width: usize| TensorSpec::new(name, Element::F32, [None, Some(width)]);
        let id = |name| TensorSpec::new(name, Element::I64, [None]);
        let (history, signals) = (schema::HISTORY_LEN, schema::SIGNALS.len());
        let (user, item, cross) = (schema::USER.len(), schema::ITEM.len(), schema::CROSS.len());
        let (inputs, output) = match self {
            Self::UserTower => {
                let vectors = f32("history_vectors", &[None, Some(history), Some(dim)]);
                let signals = f32("history_signals", &[None, Some(history), Some(signals)]);
                (vec![vectors, signals, rows("user", user)], rows("user_vector", dim))
            }
            Self::ItemTower => {
                (vec![rows("item", item), id("track"), id("artist"), id("genre")], rows("item_vector", dim))
            }
            Self::Ranker | Self::FirstPhase => {
                let user = f32("user", &[Some(1), Some(user + dim)]);
                (vec![user, rows("items", item + dim), rows("cross", cross)], rows("scores", schema::TASKS.len()))
            }
        };
        ModelSignature { inputs, output }
    }
}

/// Inputs in order, and the one output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSignature {
    /// Inputs, in the order of the graph.
    pub inputs: Vec<TensorSpec>,
    /// The output.
    pub output: TensorSpec,
}

impl ModelSignature {
    /// Compares a loaded graph with what must be there. An output may leave a fixed size open: runs check it.
    pub(super) fn check(&self, inputs: &[Outlet], outputs: &[Outlet]) -> Result<(), String> {
        if inputs.len() != self.inputs.len() {
            let found: Vec<_> = inputs.iter().map(Outlet::name).collect();
            let expected: Vec<_> = self.inputs.iter().map(|spec| spec.name).collect();
            return Err(format!("inputs are [{}], expected [{}]", found.join(", "), expected.join(", ")));
        }
        for (spec, found) in self.inputs.iter().zip(inputs) {
            check_tensor("input", spec, found, false)?;
        }
        match outputs {
            [output] => check_tensor("output", &self.output, output, true),
            _ => Err(format!("{} outputs, expected one: {}", outputs.len(), self.output)),
        }
    }
}

fn check_tensor(role: &str, spec: &TensorSpec, found: &Outlet, open_sizes: bool) -> Result<(), String> {
    let wrong = |found_as: String| format!("{role} {}: expected {spec}, found {found_as}", spec.name);
    let ValueType::Tensor { ty, shape, .. } = found.dtype() else {
        return Err(wrong(format!("{} of type {}", found.name(), found.dtype())));
    };
    let element_fits = match spec.element {
        Element::F32 => *ty == TensorElementType::Float32,
        Element::I64 => *ty == TensorElementType::Int64,
    };
    let dim_fits = |(want, got): (&Option<usize>, &i64)| match want {
        Some(size) => usize::try_from(*got) == Ok(*size) || (open_sizes && *got < 0),
        None => *got < 0,
    };
    let dims_fit = shape.len() == spec.dims.len() && spec.dims.iter().zip(shape.iter()).all(dim_fits);
    if found.name() == spec.name && element_fits && dims_fit {
        Ok(())
    } else {
        Err(wrong(format!("{} {ty}{}", found.name(), text(shape))))
    }
}

fn text(dims: &[i64]) -> String {
    let sizes: Vec<_> = dims.iter().map(|d| if *d < 0 { "*".to_owned() } else { d.to_string() }).collect();
    format!("[{}]", sizes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlet(name: &str, ty: TensorElementType, dims: &[i64]) -> Outlet {
        let symbols = ort::value::SymbolicDimensions::empty(dims.len());
        let shape = dims.iter().copied().collect();
        Outlet::new(name, ValueType::Tensor { ty, shape, dimension_symbols: symbols })
    }

    #[test]
    fn names_the_tensor_that_differs() {
        let _runtime = crate::inference::test_runtime();
        let signature = ModelKind::Ranker.signature(8);
        assert_eq!(signature.inputs[0].to_string(), "user f32[1, 34]");
        let float = TensorElementType::Float32;
        let inputs = |items: i64| {
            [outlet("user", float, &[1, 34]), outlet("items", float, &[-1, items]), outlet("cross", float, &[-1, 24])]
        };
        let scores = [outlet("scores", float, &[-1, -1])];
        assert_eq!(signature.check(&inputs(21), &scores), Ok(()));
        let message = signature.check(&inputs(20), &scores).unwrap_err();
        assert_eq!(message, "input items: expected items f32[*, 21], found items f32[*, 20]");
        assert!(signature.check(&inputs(21)[..2], &scores).unwrap_err().contains("expected [user, items, cross]"));
        let integers = [outlet("scores", TensorElementType::Int64, &[-1, 3])];
        assert!(signature.check(&inputs(21), &integers).unwrap_err().contains("i64"));
    }
}
