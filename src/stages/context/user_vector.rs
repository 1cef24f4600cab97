//! The listener as a point of the embedding space.

use std::sync::Arc;

use crate::domain::{RequestContext, UnitVector};
use crate::features::{Assembler, History};
use crate::inference::UserTower;
use crate::pipeline::{ContextPatch, ContextSource, Deadline, StageError};

/// Runs the user tower over the history and the dense columns of the context. Comes after session and profile.
pub struct UserVectorSource {
    assembler: Arc<Assembler>,
    tower: Box<dyn UserTower>,
    history: History,
    output: Vec<f32>,
}

impl UserVectorSource {
    /// Takes the feature code and the tower of one bundle.
    pub fn new(assembler: Arc<Assembler>, tower: Box<dyn UserTower>) -> Self {
        Self { assembler, tower, history: History::default(), output: Vec::new() }
    }
}

impl ContextSource for UserVectorSource {
    fn name(&self) -> &'static str {
        "user_vector"
    }

    /// Allocates the vector and the columns that the context keeps, nothing else of its own. An output that is no
    /// direction (NaN, zero, another dimension) is a failure.
    fn load(&mut self, context: &RequestContext, _deadline: &Deadline) -> Result<ContextPatch, StageError> {
        let failed = |e: String| StageError::Failed(e);
        self.assembler.history(context, &mut self.history);
        let mut features = Vec::new();
        self.assembler.user(context, &mut features);
        let History { vectors, signals, .. } = &self.history;
        self.tower.embed(vectors, signals, &features, &mut self.output).map_err(|e| failed(e.to_string()))?;
        let vector = UnitVector::new(self.output.clone(), self.assembler.dim()).map_err(|e| failed(e.to_string()))?;
        Ok(ContextPatch::User { vector, features })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::schema::{HISTORY_LEN, SIGNALS, USER};
    use crate::inference::InferenceError;
    use crate::stages::fixtures::{assembler, context, request, session, vectors};

    /// Answers the sum of the history's vectors, or what it was told to.
    struct Sum(Option<Vec<f32>>);

    impl UserTower for Sum {
        fn embed(
            &mut self,
            history_vectors: &[f32],
            history_signals: &[f32],
            user: &[f32],
            out: &mut Vec<f32>,
        ) -> Result<(), InferenceError> {
            assert_eq!((history_signals.len(), user.len()), (HISTORY_LEN * SIGNALS.len(), USER.len()));
            let dim = history_vectors.len() / HISTORY_LEN;
            let sum = (0..dim).map(|at| history_vectors.iter().skip(at).step_by(dim).sum());
            out.clear();
            out.extend(self.0.clone().unwrap_or_else(|| sum.collect()));
            Ok(())
        }
    }

    fn load(answer: Option<Vec<f32>>, played: &[u32]) -> Result<ContextPatch, StageError> {
        let mut source = UserVectorSource::new(assembler(12, 4), Box::new(Sum(answer)));
        source.load(&context(request(), session(played), Default::default()), &Deadline::never())
    }

    #[test]
    fn the_vector_has_length_one_and_the_columns_come_along() {
        let Ok(ContextPatch::User { vector, features }) = load(None, &[5, 5]) else { panic!("no patch") };
        let direction = vectors(12, 4);
        let close = vector.as_slice().iter().zip(direction.row(5)).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(close, "twice a vector has its direction");
        assert_eq!(features.len(), USER.len());
    }

    #[test]
    fn what_is_no_direction_is_a_failure() {
        for output in [vec![f32::NAN; 4], vec![0.0; 4], vec![1.0; 3]] {
            assert!(matches!(load(Some(output), &[1]), Err(StageError::Failed(_))));
        }
    }
}
