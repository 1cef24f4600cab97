//! Policies that could have filled a place that explores.

use super::OpeError;
use crate::bundle::Bundle;
use crate::domain::BlendWeights;
use crate::feature_log::{LoggedGroup, RankedRow};
use crate::features::ITEM_LEN;
use crate::inference::{OrtRanker, RankerModel};

/// How a policy chooses among the tracks that compete for a place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Choice {
    /// Each as likely as any other.
    Uniform,
    /// The best by the blend; ties go to whom the ranker saw first.
    Best,
    /// Likelier by the blend: its softmax at this temperature, above 0.
    Softmax(f64),
}

/// The ranker of another bundle, asked about the very rows that the logged one saw.
pub struct RankerOf<'a> {
    bundle: &'a Bundle,
    ranker: OrtRanker,
}

impl<'a> RankerOf<'a> {
    /// Opens it; `None` of a bundle without one.
    ///
    /// # Errors
    /// If the model does not open.
    pub fn new(bundle: &'a Bundle) -> Result<Option<Self>, OpeError> {
        let Some(model) = &bundle.ranker else { return Ok(None) };
        Ok(Some(Self { bundle, ranker: OrtRanker::new(model)? }))
    }

    /// Whether the item vector of a logged row is that of the bundle: a ranker over other towers would see vectors of another space.
    fn fits(&self, row: &RankedRow) -> bool {
        let known = self.bundle.catalogue.find(&row.track_id).filter(|track| track.at() < self.bundle.vectors.len());
        known.is_some_and(|track| row.item.get(ITEM_LEN..) == Some(self.bundle.vectors.row(track.at())))
    }
}

/// A way to fill places that explore.
pub struct Policy<'a> {
    /// Its name in the report.
    pub name: String,
    /// How it chooses.
    pub choice: Choice,
    /// What it goes by.
    pub blend: BlendWeights,
    /// Share of choices that it leaves to chance, 0..=1.
    pub epsilon: f64,
    /// Whose heads are blended; absent: the logged ones.
    pub ranker: Option<RankerOf<'a>>,
}

impl Policy<'_> {
    /// The heads of these rows of an answer, as the policy sees them.
    pub(super) fn heads(&mut self, group: &LoggedGroup, rows: &[usize]) -> Result<Vec<[f32; 3]>, OpeError> {
        let Some(other) = &mut self.ranker else { return Ok(rows.iter().map(|row| group.rows[*row].tasks).collect()) };
        let (mut items, mut cross, mut out) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows.iter().map(|row| &group.rows[*row]) {
            if !other.fits(row) {
                let fault = format!(
                    "the vector of track {} in its bundle is not the logged one: only a ranker over the towers that served can be asked",
                    row.track_id
                );
                return Err(OpeError::Unfit { policy: self.name.clone(), fault });
            }
            items.extend_from_slice(&row.item);
            cross.extend_from_slice(&row.cross);
        }
        other.ranker.score(&group.answer.user, &items, &cross, rows.len(), &mut out)?;
        Ok(out.chunks_exact(3).map(|heads| [heads[0], heads[1], heads[2]]).collect())
    }

    /// How likely it chooses each of these, `[n]`; they add up to 1.
    pub(super) fn chances(&self, heads: &[[f32; 3]]) -> Vec<f64> {
        let weights = &self.blend;
        let blended = |[complete, skip, like]: &[f32; 3]| {
            f64::from(weights.complete * complete - weights.skip * skip + weights.like * like)
        };
        let scores: Vec<f64> = heads.iter().map(blended).collect();
        let n = scores.len().max(1) as f64;
        let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut chances = match self.choice {
            Choice::Uniform => vec![1.0 / n; scores.len()],
            Choice::Best => {
                let first = scores.iter().position(|score| *score == best);
                (0..scores.len()).map(|at| f64::from(u8::from(Some(at) == first))).collect()
            }
            Choice::Softmax(temperature) => {
                let weights: Vec<f64> = scores.iter().map(|score| ((score - best) / temperature).exp()).collect();
                let sum: f64 = weights.iter().sum();
                weights.into_iter().map(|weight| weight / sum).collect()
            }
        };
        chances.iter_mut().for_each(|chance| *chance = (1.0 - self.epsilon) * *chance + self.epsilon / n);
        chances
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy(choice: Choice, epsilon: f64) -> Policy<'static> {
        Policy { name: "p".into(), choice, blend: BlendWeights::default(), epsilon, ranker: None }
    }

    proptest! {
        #[test]
        fn chances_add_up_and_follow_the_blend(
            heads in prop::collection::vec([0.0f32..1.0, 0.0f32..1.0, 0.0f32..1.0], 1..30), epsilon in 0.0f64..=1.0,
            temperature in 0.01f64..2.0,
        ) {
            for choice in [Choice::Uniform, Choice::Best, Choice::Softmax(temperature)] {
                let chances = policy(choice, epsilon).chances(&heads);
                prop_assert!((chances.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                prop_assert!(chances.iter().all(|chance| *chance >= epsilon / heads.len() as f64 - 1e-12));
            }
            let blended = |heads: &[f32; 3]| heads[0] - 0.6 * heads[1] + 0.3 * heads[2];
            let soft = policy(Choice::Softmax(temperature), 0.0).chances(&heads);
            for (a, chance_a) in heads.iter().zip(&soft) {
                for (b, chance_b) in heads.iter().zip(&soft) {
                    prop_assert!(blended(a) < blended(b) + 1e-4 || chance_a >= chance_b);
                }
            }
            let best = policy(Choice::Best, 0.0).chances(&heads).iter().position(|chance| *chance == 1.0).unwrap();
            prop_assert!(heads.iter().all(|other| blended(other) <= blended(&heads[best]) + 1e-5));
        }
    }
}
