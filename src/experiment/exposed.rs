//! Who was exposed to which arm, and what they were served, out of the feature log.

use std::collections::HashMap;
use std::sync::Arc;

use super::ExperimentError;
use crate::config::ExperimentConfig;
use crate::domain::arm_in;
use crate::feature_log::{AnswerRow, LoggedPart, parts};
use crate::store::Store;

/// A listener's first exposure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposure {
    /// Which arm, by its place in the configuration.
    pub arm: usize,
    /// When, Unix ms.
    pub first_ms: i64,
}

/// Everybody who was exposed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exposed {
    /// By listener.
    pub listeners: HashMap<String, Exposure>,
    /// Listeners who were met in more than one arm, as after a change of salt or weights: left out.
    pub crossed: u64,
    /// Answers of an arm that the configuration does not have: left out.
    pub strangers: u64,
    /// Answers past the point where the arms part, an arm.
    pub answers: Vec<u64>,
    /// How often each track was served in them, an arm.
    pub served: Vec<HashMap<Arc<str>, u64>>,
}

/// Reads the whole log. Memory: 100 bytes a listener and as many for each track of an arm, the answers and items of one part.
///
/// # Errors
/// The store's, or a damaged part.
pub fn exposed(log: &Arc<dyn Store>, experiment: &ExperimentConfig) -> Result<Exposed, ExperimentError> {
    let arms = experiment.arms.len();
    let mut found = Exposed { answers: vec![0; arms], served: vec![HashMap::new(); arms], ..Exposed::default() };
    let mut crossed = HashMap::new();
    for part in parts(log)?.into_values().flatten() {
        found.part(&part, experiment, &mut crossed)?;
    }
    found.listeners.retain(|listener, _| !crossed.contains_key(listener));
    found.crossed = crossed.len() as u64;
    Ok(found)
}

impl Exposed {
    fn part(
        &mut self,
        part: &LoggedPart,
        experiment: &ExperimentConfig,
        crossed: &mut HashMap<String, ()>,
    ) -> Result<(), ExperimentError> {
        let mut arms = HashMap::new();
        for answer in part.answers()? {
            let named = answer.arm.as_deref().and_then(|text| arm_in(text, &experiment.name));
            let Some(name) = named else { continue };
            match experiment.arms.iter().position(|arm| arm.name == name) {
                Some(arm) => {
                    self.answer(&answer, arm, crossed);
                    arms.insert(answer.recommendation_id.clone(), (arm, answer));
                }
                None => self.strangers += 1,
            }
        }
        if arms.is_empty() {
            return Ok(());
        }
        let tracks: HashMap<(String, String, i32), Arc<str>> = part
            .items()?
            .into_iter()
            .map(|item| ((item.bundle, item.changes, item.track_ix), item.track_id.into()))
            .collect();
        for batch in part.candidates()? {
            let batch = batch?;
            for row in (0..batch.len()).filter(|row| batch.position[*row].is_some()) {
                let Some((arm, answer)) = arms.get(&batch.answers[batch.answer[row] as usize]) else { continue };
                let key = (answer.bundle.clone(), answer.changes.clone(), batch.track_ix[row]);
                if let Some(track) = tracks.get(&key) {
                    *self.served[*arm].entry(Arc::clone(track)).or_insert(0) += 1;
                }
            }
        }
        for (arm, answer) in arms.into_values() {
            for track in answer.unranked {
                *self.served[arm].entry(track.into()).or_insert(0) += 1;
            }
        }
        Ok(())
    }

    fn answer(&mut self, answer: &AnswerRow, arm: usize, crossed: &mut HashMap<String, ()>) {
        self.answers[arm] += 1;
        let own = Exposure { arm, first_ms: answer.ts_ms };
        let known = self.listeners.entry(answer.user_id.clone()).or_insert(own);
        if known.arm != arm {
            crossed.insert(answer.user_id.clone(), ());
        }
        known.first_ms = known.first_ms.min(answer.ts_ms);
    }
}
