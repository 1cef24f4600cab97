//! Two rankers on the same rows, which neither learned from: the guardrail of a training.

use std::collections::HashMap;
use std::path::Path;

use crate::bundle::{BundleError, TrainingRow, each_scored};
use crate::evaluate::{ScoredRow, percentile_interval, sort_rows, weighted_auc};
use crate::features::schema::TASKS;
use crate::inference::Model;
use crate::statistics::Estimate;

/// Rows of it are kept back from training.
const KEPT_BACK: &str = "valid";
/// What a head is asked to tell apart.
const AGAINST: [&str; 2] = ["played", "sampled"];

/// One head of both.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct HeadComparison {
    /// The task.
    pub task: &'static str,
    /// `played`: rows really played; `sampled`: those and candidates that were not played.
    pub against: &'static str,
    /// AUC of the new ranker.
    pub new: f64,
    /// AUC of the old one.
    pub old: f64,
    /// The new one's less the old one's, with its 95 % interval by bootstrap over listeners.
    pub difference: Estimate,
    /// Rows.
    pub rows: usize,
}

/// Rows of a head with the listeners' numbers; what is asked of one ranker.
type Rows = Vec<ScoredRow>;

/// Compares two rankers on the rows of a directory that are `valid`: each head over what was played, and `complete` against what
/// was not. A head of which only one outcome occurs is left out. Memory: 12 bytes a row, head and ranker.
///
/// # Errors
/// Rows that cannot be read or are not of both rankers' shape.
pub fn compare(
    rows: &Path,
    new: &Model,
    old: &Model,
    resamples: usize,
    seed: u64,
) -> Result<Vec<HeadComparison>, BundleError> {
    let (mut news, listeners) = scored(rows, new)?;
    let (mut olds, _) = scored(rows, old)?;
    let mut found = Vec::new();
    for (at, (news, olds)) in news.iter_mut().zip(&mut olds).enumerate() {
        let count = news.len();
        sort_rows(news);
        sort_rows(olds);
        let difference = |weights: &[u32]| Some(weighted_auc(news, weights)? - weighted_auc(olds, weights)?);
        let all = vec![1; listeners];
        let (Some(own), Some(other)) = (weighted_auc(news, &all), weighted_auc(olds, &all)) else { continue };
        let Some((low, high)) = percentile_interval(listeners, resamples, seed, difference) else { continue };
        let (task, against) = if at < TASKS.len() { (TASKS[at], AGAINST[0]) } else { (TASKS[0], AGAINST[1]) };
        let difference = Estimate { value: own - other, low, high };
        found.push(HeadComparison { task, against, new: own, old: other, difference, rows: count });
    }
    Ok(found)
}

/// Rows of every head over what was played, then of `complete` over all; and how many listeners there are.
fn scored(rows: &Path, ranker: &Model) -> Result<(Vec<Rows>, usize), BundleError> {
    let mut found: Vec<Rows> = vec![Vec::new(); TASKS.len() + 1];
    let mut listeners: HashMap<String, u32> = HashMap::new();
    each_scored(
        rows,
        ranker,
        |group: &[TrainingRow]| group.first().is_some_and(|row| row.split == KEPT_BACK),
        |group, tasks| {
            for (row, tasks) in group.iter().zip(tasks.chunks_exact(TASKS.len())) {
                let next = listeners.len() as u32;
                let user = *listeners.entry(row.user_id.clone()).or_insert(next);
                for head in (0..TASKS.len()).filter(|head| row.mask.get(*head).is_some_and(|mask| *mask > 0.0)) {
                    let positive = row.label.get(head).is_some_and(|label| *label > 0.0);
                    let scored = ScoredRow { user, score: tasks[head], positive };
                    if row.played {
                        found[head].push(scored);
                    }
                    if head == 0 {
                        found[TASKS.len()].push(scored);
                    }
                }
            }
        },
    )?;
    Ok((found, listeners.len()))
}
