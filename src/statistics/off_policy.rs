//! What another policy would have earned, from decisions that were logged with their probabilities.

use super::ratio::{Measured, Sums, ratio};

/// Least effective sample size of a point estimate.
pub const LEAST_EFFECTIVE: f64 = 100.0;
/// Least units of a point estimate.
pub const LEAST_UNITS: usize = 30;
/// Standard errors by which the mean weight may be off 1.
const MOST_OFF: f64 = 4.0;

/// Logged decisions, column by column; row i is one decision.
#[derive(Debug, Clone, Copy)]
pub struct Decisions<'a> {
    /// What came of it.
    pub reward: &'a [f64],
    /// How likely the target policy would have chosen the same, over how likely it was; not negative.
    pub weight: &'a [f64],
    /// What a model expected of what was chosen.
    pub predicted: &'a [f64],
    /// What the model expects of the target policy there: the mean over its choices.
    pub expected: &'a [f64],
    /// Whose decision it was: 0..units. Decisions of one unit may depend on each other.
    pub unit: &'a [u32],
}

/// What a target policy would have earned a decision, by four estimators (Dudik, Langford and Li 2011, "Doubly robust policy
/// evaluation and learning"; Swaminathan and Joachims 2015 for the self-normalised one), with the unit as what is sampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OffPolicy {
    /// Inverse propensity scores: unbiased where every choice of the target could have been logged.
    pub ips: Measured,
    /// The same over the weights' sum: less variance, a bias that vanishes.
    pub snips: Measured,
    /// The model, corrected by the weighted rest.
    pub doubly_robust: Measured,
    /// The model alone.
    pub direct: Measured,
    /// What was earned.
    pub logged: Measured,
    /// Doubly robust less what was earned, decision by decision.
    pub gain: Measured,
    /// The mean weight before clipping: 1 but for chance.
    pub mean_weight: Measured,
    /// Kish's effective sample size: the sum of weights squared over the sum of squared weights.
    pub effective: f64,
    /// The largest weight before clipping.
    pub most: f64,
}

/// Why the log says too little of a policy.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Thin {
    /// Hardly anything that the target would do was logged.
    #[error(
        "the effective sample size is {0:.1}, at least {LEAST_EFFECTIVE} is needed: log more, or ask for a policy nearer to the logged one"
    )]
    Effective(f64),
    /// Few units.
    #[error("{0} listeners, at least {LEAST_UNITS} are needed")]
    Units(usize),
    /// The target does what the log cannot have, or propensities are not what they say.
    #[error(
        "the mean weight is {0:.3}, which is no chance: the target chooses what was never logged, or propensities are wrong"
    )]
    Support(f64),
}

impl OffPolicy {
    /// Whether a point estimate may be told: [`LEAST_EFFECTIVE`], [`LEAST_UNITS`], and a mean weight within four standard errors of 1.
    ///
    /// # Errors
    /// [`Thin`]: why not.
    pub fn told(&self) -> Result<(), Thin> {
        let off = (self.mean_weight.value - 1.0).abs();
        if self.mean_weight.units < LEAST_UNITS {
            return Err(Thin::Units(self.mean_weight.units));
        }
        if self.effective < LEAST_EFFECTIVE {
            return Err(Thin::Effective(self.effective));
        }
        // Rounding of single-precision propensities must not count where all weights are 1.
        if off > MOST_OFF * self.mean_weight.variance.sqrt() + 1e-3 {
            return Err(Thin::Support(self.mean_weight.value));
        }
        Ok(())
    }
}

/// Evaluates; `clip`: weights above it count as it, which trades variance for bias. `None` where fewer than two units decided
/// anything, or where no weight is positive. `O(n)`.
pub fn evaluate(decisions: Decisions<'_>, clip: Option<f64>) -> Option<OffPolicy> {
    let Decisions { reward, weight, predicted, expected, unit } = decisions;
    let clipped: Vec<f64> = weight.iter().map(|weight| clip.map_or(*weight, |most| weight.min(most))).collect();
    let mean = |of: &dyn Fn(usize) -> f64| ratio(&by_unit(unit, of, &|_| 1.0));
    let robust = |at: usize| clipped[at] * (reward[at] - predicted[at]) + expected[at];
    let ips = mean(&|at| clipped[at] * reward[at])?;
    let (sum, squares) =
        clipped.iter().fold((0.0, 0.0), |(sum, squares), weight| (sum + weight, squares + weight * weight));
    Some(OffPolicy {
        ips,
        snips: ratio(&by_unit(unit, &|at| clipped[at] * reward[at], &|at| clipped[at]))?,
        doubly_robust: mean(&robust)?,
        direct: mean(&|at| expected[at])?,
        logged: mean(&|at| reward[at])?,
        gain: mean(&|at| robust(at) - reward[at])?,
        mean_weight: mean(&|at| weight[at])?,
        effective: if squares > 0.0 { sum * sum / squares } else { 0.0 },
        most: weight.iter().copied().fold(0.0, f64::max),
    })
}

/// The sums of each unit that decided anything.
fn by_unit(unit: &[u32], numerator: &dyn Fn(usize) -> f64, denominator: &dyn Fn(usize) -> f64) -> Vec<Sums> {
    let mut sums = vec![(Sums::default(), false); unit.iter().max().map_or(0, |most| *most as usize + 1)];
    for (at, unit) in unit.iter().enumerate() {
        let (own, decided) = &mut sums[*unit as usize];
        own.numerator += numerator(at);
        own.denominator += denominator(at);
        *decided = true;
    }
    sums.into_iter().filter(|(_, decided)| *decided).map(|(sums, _)| sums).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[derive(serde::Deserialize)]
    struct Reference {
        clip: f64,
        figures: std::collections::BTreeMap<String, f64>,
        reward: Vec<f64>,
        action: Vec<usize>,
        listener: Vec<u32>,
        propensity: Vec<f64>,
        target: Vec<Vec<f64>>,
        predicted: Vec<Vec<f64>>,
    }

    /// The estimators of the Open Bandit Pipeline on the same arrays (`scripts/ope-reference`).
    #[test]
    fn agrees_with_the_open_bandit_pipeline() {
        let reference: Reference = serde_json::from_str(include_str!("../../tests/data/ope.json")).unwrap();
        let rows = 0..reference.reward.len();
        let chosen = |of: &[Vec<f64>], at: usize| of[at][reference.action[at]];
        let weight: Vec<f64> =
            rows.clone().map(|at| chosen(&reference.target, at) / reference.propensity[at]).collect();
        let predicted: Vec<f64> = rows.clone().map(|at| chosen(&reference.predicted, at)).collect();
        let both = |at: usize| reference.target[at].iter().zip(&reference.predicted[at]);
        let expected: Vec<f64> = rows.map(|at| both(at).map(|(p, q)| p * q).sum()).collect();
        let decisions = Decisions {
            reward: &reference.reward,
            weight: &weight,
            predicted: &predicted,
            expected: &expected,
            unit: &reference.listener,
        };
        let (plain, clipped) = (evaluate(decisions, None).unwrap(), evaluate(decisions, Some(reference.clip)).unwrap());
        assert!(plain.most > reference.clip, "clipping clips something");
        let found = [
            ("ips", plain.ips),
            ("ips_clipped", clipped.ips),
            ("snips", plain.snips),
            ("direct", plain.direct),
            ("doubly_robust", plain.doubly_robust),
            ("doubly_robust_clipped", clipped.doubly_robust),
        ];
        assert_eq!(found.len(), reference.figures.len());
        for (name, found) in found {
            assert!((found.value - reference.figures[name]).abs() < 1e-6, "{name}: {found:?}");
        }
    }

    #[derive(Debug)]
    struct Rows {
        reward: Vec<f64>,
        weight: Vec<f64>,
        predicted: Vec<f64>,
        expected: Vec<f64>,
        unit: Vec<u32>,
    }

    impl Rows {
        fn decisions(&self) -> Decisions<'_> {
            let Self { reward, weight, predicted, expected, unit } = self;
            Decisions { reward, weight, predicted, expected, unit }
        }
    }

    fn rows() -> impl Strategy<Value = Rows> {
        let row = (0.0f64..1.0, 0.0f64..4.0, 0.0f64..1.0, 0.0f64..1.0, 0u32..9);
        prop::collection::vec(row, 12..80).prop_map(|rows| Rows {
            reward: rows.iter().map(|row| row.0).collect(),
            weight: rows.iter().map(|row| row.1 + 0.01).collect(),
            predicted: rows.iter().map(|row| row.2).collect(),
            expected: rows.iter().map(|row| row.3).collect(),
            unit: rows.iter().map(|row| row.4).collect(),
        })
    }

    proptest! {
        /// Against loops as the papers write them.
        #[test]
        fn equals_the_formulas(rows in rows()) {
            prop_assume!(rows.unit.iter().any(|unit| *unit != rows.unit[0]));
            let found = evaluate(rows.decisions(), None).unwrap();
            let n = rows.reward.len() as f64;
            let (mut ips, mut weights, mut robust, mut squares) = (0.0, 0.0, 0.0, 0.0);
            for at in 0..rows.reward.len() {
                ips += rows.weight[at] * rows.reward[at];
                weights += rows.weight[at];
                squares += rows.weight[at] * rows.weight[at];
                robust += rows.expected[at] + rows.weight[at] * (rows.reward[at] - rows.predicted[at]);
            }
            let gain = robust / n - rows.reward.iter().sum::<f64>() / n;
            for (found, expected) in [(found.ips.value, ips / n), (found.snips.value, ips / weights),
                (found.doubly_robust.value, robust / n), (found.effective, weights * weights / squares),
                (found.mean_weight.value, weights / n), (found.gain.value, gain)] {
                prop_assert!((found - expected).abs() < 1e-9, "{found} {expected}");
            }
            prop_assert!(found.effective <= n + 1e-9);
        }

        /// The logged policy earns what was earned, by every estimator that knows it.
        #[test]
        fn of_the_logged_policy_it_is_what_was_earned(rows in rows()) {
            prop_assume!(rows.unit.iter().any(|unit| *unit != rows.unit[0]));
            let weight = vec![1.0; rows.reward.len()];
            let same = evaluate(Decisions { weight: &weight, expected: &rows.predicted, ..rows.decisions() }, None).unwrap();
            for found in [same.ips, same.snips, same.doubly_robust] {
                prop_assert!((found.value - same.logged.value).abs() < 1e-9 && (found.variance - same.logged.variance).abs() < 1e-9);
            }
            prop_assert!(same.gain.value.abs() < 1e-9 && (same.effective - rows.reward.len() as f64).abs() < 1e-6);
        }
    }

    /// Decisions of a world whose truth is known: each of four choices is completed with its own chance, whatever the listener.
    fn world(listeners: u32, target: [f64; 4], rng: &mut ChaCha8Rng) -> (Rows, f64) {
        let (logging, truth, model) = ([0.4, 0.3, 0.2, 0.1], [0.2, 0.5, 0.6, 0.9], [0.3, 0.3, 0.7, 0.7]);
        let mut rows = Rows { reward: vec![], weight: vec![], predicted: vec![], expected: vec![], unit: vec![] };
        for unit in (0..listeners).flat_map(|unit| std::iter::repeat_n(unit, 5)) {
            let mut draw: f64 = rng.random();
            let chosen = (0..3)
                .find(|at| {
                    draw -= logging[*at];
                    draw < 0.0
                })
                .unwrap_or(3);
            rows.reward.push(f64::from(u8::from(rng.random_bool(truth[chosen]))));
            rows.weight.push(target[chosen] / logging[chosen]);
            rows.predicted.push(model[chosen]);
            rows.expected.push(target.iter().zip(model).map(|(p, q)| p * q).sum());
            rows.unit.push(unit);
        }
        (rows, target.iter().zip(truth).map(|(p, q)| p * q).sum())
    }

    #[test]
    fn intervals_hold_the_truth_of_a_known_world() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let target = [0.1, 0.2, 0.3, 0.4];
        let (mut held, runs) = ([0; 3], 300);
        for _ in 0..runs {
            let (rows, truth) = world(200, target, &mut rng);
            let found = evaluate(rows.decisions(), None).unwrap();
            assert_eq!(found.told(), Ok(()));
            for (held, figure) in held.iter_mut().zip([found.ips, found.snips, found.doubly_robust]) {
                *held += i32::from((figure.value - truth).abs() < 1.96 * figure.variance.sqrt());
            }
        }
        // 95 % of 300 is 285, standard deviation 3.8.
        assert!(held.iter().all(|held| (270..=297).contains(held)), "{held:?}");
    }

    #[test]
    fn says_nothing_of_what_was_hardly_logged() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let (few, _) = world(20, [0.25; 4], &mut rng);
        assert_eq!(evaluate(few.decisions(), None).unwrap().told(), Err(Thin::Units(20)));
        let (mut thin, _) = world(60, [0.25; 4], &mut rng);
        thin.weight = thin.weight.iter().enumerate().map(|(at, _)| if at % 60 == 0 { 60.0 } else { 0.0 }).collect();
        let found = evaluate(thin.decisions(), None).unwrap();
        assert!(matches!(found.told(), Err(Thin::Effective(5.0))), "{found:?}");
        let (mut wrong, _) = world(300, [0.25; 4], &mut rng);
        wrong.weight.iter_mut().for_each(|weight| *weight *= 0.5);
        assert!(matches!(evaluate(wrong.decisions(), None).unwrap().told(), Err(Thin::Support(_))));
    }
}
