//! What a decision is worth.

use crate::backfill::Outcome;

const MS_A_MINUTE: f64 = 60_000.0;

/// What is counted of the track that a place was given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reward {
    /// 1 where it was played for more than 30 s or to its end, else 0.
    Complete,
    /// 1 where it was skipped early, else 0.
    Skip,
    /// Minutes that it sounded.
    Minutes,
}

impl Reward {
    /// That of an outcome, 0 of a track that was not played. `None` where nobody knows: the play has no end, or one that came too
    /// late or was not the listener's verdict.
    pub fn of(self, outcome: Option<&Outcome>) -> Option<f64> {
        let Some(outcome) = outcome else { return Some(0.0) };
        let [complete, skip, _] = outcome.labels;
        match self {
            Self::Complete => complete.map(|complete| f64::from(u8::from(complete))),
            Self::Skip => skip.map(|skip| f64::from(u8::from(skip))),
            Self::Minutes => outcome.played_ms.map(|ms| f64::from(ms) / MS_A_MINUTE),
        }
    }

    /// The head that says most of it, in schema order: the regressor of the reward model.
    pub(super) fn head(self) -> usize {
        match self {
            Self::Complete | Self::Minutes => 0,
            Self::Skip => 1,
        }
    }
}
