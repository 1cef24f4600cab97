//! CUPED: what was known of a unit before the experiment explains part of its spread.

use super::ratio::{Measured, Sums, ratio};

/// One unit of one arm.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Unit {
    /// What it did.
    pub sums: Sums,
    /// What was known of it before it could be treated; 0 where nothing was.
    pub before: f64,
}

/// The arms after the adjustment.
#[derive(Debug, Clone, PartialEq)]
pub struct Adjusted {
    /// One figure an arm, in the order given.
    pub arms: Vec<Measured>,
    /// What a step of `before` explains.
    pub theta: f64,
    /// Part of the arms' variance that is gone, 0..1, over all of them.
    pub explained: f64,
}

/// Each arm's ratio less what its units' `before` explains of it (Deng, Xu, Kohavi and Walker 2013, "Improving the sensitivity
/// of online controlled experiments by utilizing pre-experiment data"), ratios linearised by the delta method.
///
/// `theta` is fitted within the arms, over all of them, so that the treatment does not feed it, and the adjustment has mean 0 over
/// all units. Without spread of `before` nothing is adjusted. `None` where an arm has no ratio. `O(n)`.
pub fn adjust(arms: &[Vec<Unit>]) -> Option<Adjusted> {
    let plain = arms.iter().map(|arm| ratio(&sums(arm))).collect::<Option<Vec<Measured>>>()?;
    let means: Vec<f64> = arms.iter().map(|arm| mean(arm.iter().map(|unit| unit.before))).collect();
    let all = mean(arms.iter().flatten().map(|unit| unit.before));
    let linear: Vec<Vec<f64>> = arms.iter().zip(&plain).map(|(arm, ratio)| linearised(arm, ratio.value)).collect();
    let (mut product, mut square) = (0.0, 0.0);
    for ((arm, own), mean) in arms.iter().zip(&linear).zip(&means) {
        for (unit, residual) in arm.iter().zip(own) {
            product += residual * (unit.before - mean);
            square += (unit.before - mean).powi(2);
        }
    }
    let theta = if square > 0.0 { product / square } else { 0.0 };
    let adjusted = arms.iter().zip(&linear).zip(&plain).zip(&means);
    let figures: Vec<Measured> = adjusted
        .map(|(((arm, own), plain), mean)| {
            let n = arm.len() as f64;
            let left = arm.iter().zip(own).map(|(unit, residual)| residual - theta * (unit.before - mean));
            let variance = left.map(|left| left * left).sum::<f64>() / (n - 1.0) / n;
            Measured { value: plain.value - theta * (mean - all), variance, units: arm.len() }
        })
        .collect();
    let total = |figures: &[Measured]| figures.iter().map(|figure| figure.variance).sum::<f64>();
    let before = total(&plain);
    let explained = if before > 0.0 { 1.0 - total(&figures) / before } else { 0.0 };
    Some(Adjusted { arms: figures, theta, explained })
}

fn sums(arm: &[Unit]) -> Vec<Sums> {
    arm.iter().map(|unit| unit.sums).collect()
}

/// What each unit adds to the deviation of the arm's ratio; their mean is 0.
fn linearised(arm: &[Unit], value: f64) -> Vec<f64> {
    let mean = mean(arm.iter().map(|unit| unit.sums.denominator));
    arm.iter().map(|unit| (unit.sums.numerator - value * unit.sums.denominator) / mean).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn arms() -> impl Strategy<Value = Vec<Vec<Unit>>> {
        let unit = (-3.0f64..3.0, 0.5f64..2.0, -4.0f64..4.0).prop_map(|(noise, denominator, before)| Unit {
            sums: Sums { numerator: noise + 0.5 * before, denominator },
            before,
        });
        prop::collection::vec(prop::collection::vec(unit, 4..25), 2..4)
    }

    proptest! {
        /// No other theta leaves less spread: the least squares of a naive scan.
        #[test]
        fn no_other_theta_explains_more(arms in arms(), step in -1.0f64..1.0) {
            let adjusted = adjust(&arms).unwrap();
            let spread = |theta: f64| -> f64 {
                let mut sum = 0.0;
                for arm in &arms {
                    let value = ratio(&sums(arm)).unwrap().value;
                    let before = mean(arm.iter().map(|unit| unit.before));
                    let own = linearised(arm, value);
                    sum += arm.iter().zip(&own).map(|(u, r)| (r - theta * (u.before - before)).powi(2)).sum::<f64>();
                }
                sum
            };
            prop_assert!(spread(adjusted.theta) <= spread(adjusted.theta + step) + 1e-9);
            prop_assert!(spread(adjusted.theta) <= spread(0.0) + 1e-9);
        }

        /// The mean of the arms, each by its units, is what it was, and without anything known nothing moves.
        #[test]
        fn the_adjustment_adds_nothing(arms in arms()) {
            let plain: Vec<Measured> = arms.iter().map(|arm| ratio(&sums(arm)).unwrap()).collect();
            let total = |figures: &[Measured]| figures.iter().map(|f| f.value * f.units as f64).sum::<f64>();
            prop_assert!((total(&adjust(&arms).unwrap().arms) - total(&plain)).abs() < 1e-6);
            let unknown: Vec<Vec<Unit>> =
                arms.iter().map(|arm| arm.iter().map(|unit| Unit { before: 7.0, ..*unit }).collect()).collect();
            let same = adjust(&unknown).unwrap();
            prop_assert_eq!(same.theta, 0.0);
            for (same, plain) in same.arms.iter().zip(&plain) {
                prop_assert!((same.variance - plain.variance).abs() < 1e-9 && (same.value - plain.value).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn what_is_known_beforehand_is_taken_out() {
        // What a unit does is what it did before, plus 1 in the second arm.
        let arm = |lift: f64, from: u32| -> Vec<Unit> {
            let unit = |at: u32| f64::from(from + at % 9);
            (0..90)
                .map(|at| Unit { sums: Sums { numerator: unit(at) + lift, denominator: 1.0 }, before: unit(at) })
                .collect()
        };
        let adjusted = adjust(&[arm(0.0, 0), arm(1.0, 3)]).unwrap();
        assert!((adjusted.theta - 1.0).abs() < 1e-12 && adjusted.explained > 0.999_999);
        assert!((adjusted.arms[1].value - adjusted.arms[0].value - 1.0).abs() < 1e-9, "not 4, as without");
    }
}
