//! The decisions that were drawn, out of the logs.

use std::collections::HashMap;

use super::{OpeError, Policy, Reward};
use crate::backfill::{BackfillError, GroupWithOutcomes, Logs, Progress, each_outcome};
use crate::config::Config;
use crate::domain::Catalogue;

/// One place that was given to a track by a draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// What came of it.
    pub reward: f64,
    /// How likely the track was to be drawn.
    pub propensity: f64,
    /// What the logged ranker's head says of it.
    pub head: f64,
    /// Whose answer it was: 0..listeners.
    pub listener: u32,
}

/// What a policy would have done at a decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asked {
    /// How likely it would have chosen the same track.
    pub chance: f64,
    /// The mean of the logged head over its choices.
    pub head: f64,
}

/// Everything that was drawn, and what the policies say to it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Collected {
    /// In the order of the log.
    pub decisions: Vec<Decision>,
    /// `[policies][decisions]`.
    pub asked: Vec<Vec<Asked>>,
    /// Answers that the ranker scored.
    pub answers: u64,
    /// Decisions of which nobody knows what came, left out.
    pub unknown: u64,
    /// Decisions whose propensity is missing or none, left out.
    pub broken: u64,
    /// Answers whose wait is not over.
    pub waiting: u64,
    /// Listeners.
    pub listeners: u32,
}

/// Gathers what was drawn. Memory: [`each_outcome`]'s, and 48 bytes a decision and 16 more for each policy.
///
/// # Errors
/// The logs', or a policy whose ranker does not fit them.
pub fn collect(
    logs: &Logs,
    catalogue: &Catalogue,
    config: &Config,
    reward: Reward,
    policies: &mut [Policy<'_>],
    progress: &mut dyn FnMut(Progress),
) -> Result<Collected, OpeError> {
    let mut found = Collected { asked: policies.iter().map(|_| Vec::new()).collect(), ..Collected::default() };
    let (mut listeners, mut failed) = (HashMap::new(), None);
    let walked = each_outcome(logs, catalogue, config, progress, |group, _| {
        let known = listeners.len() as u32;
        let listener = *listeners.entry(group.group.answer.user_id.clone()).or_insert(known);
        found.answers += 1;
        found.answer(&group, listener, reward, policies).map_err(|error| {
            let told = error.to_string();
            failed = Some(error);
            BackfillError::Unfit(told)
        })
    });
    if let Some(error) = failed {
        return Err(error);
    }
    found.waiting = walked?.waiting;
    found.listeners = listeners.len() as u32;
    Ok(found)
}

impl Collected {
    /// Takes in the decisions of one answer: each place's choice among those that were left.
    fn answer(
        &mut self,
        found: &GroupWithOutcomes,
        listener: u32,
        reward: Reward,
        policies: &mut [Policy<'_>],
    ) -> Result<(), OpeError> {
        let rows = &found.group.rows;
        let competed: Vec<usize> = (0..rows.len()).filter(|row| rows[*row].contest.is_some()).collect();
        let mut won: Vec<usize> = competed.iter().copied().filter(|row| rows[*row].contest > Some(0)).collect();
        if won.is_empty() {
            return Ok(());
        }
        won.sort_by_key(|row| rows[*row].contest);
        let heads =
            policies.iter_mut().map(|policy| policy.heads(&found.group, &competed)).collect::<Result<Vec<_>, _>>()?;
        let head_of = |row: usize| f64::from(rows[row].tasks[reward.head()]);
        for (place, row) in won.iter().enumerate() {
            let Some(earned) = reward.of(found.outcomes[*row].as_ref()) else {
                self.unknown += 1;
                continue;
            };
            let Some(propensity) = rows[*row].propensity.map(f64::from).filter(|chance| *chance > 0.0) else {
                self.broken += 1;
                continue;
            };
            self.decisions.push(Decision { reward: earned, propensity, head: head_of(*row), listener });
            let left: Vec<usize> = (0..competed.len()).filter(|at| !won[..place].contains(&competed[*at])).collect();
            for ((policy, heads), asked) in policies.iter().zip(&heads).zip(&mut self.asked) {
                let chances = policy.chances(&left.iter().map(|at| heads[*at]).collect::<Vec<_>>());
                let each = || left.iter().map(|at| competed[*at]).zip(&chances);
                asked.push(Asked {
                    chance: each().find(|(other, _)| other == row).map_or(0.0, |(_, chance)| *chance),
                    head: each().map(|(other, chance)| chance * head_of(other)).sum(),
                });
            }
        }
        Ok(())
    }
}
