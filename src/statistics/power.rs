//! How small an effect could have been seen.

use super::estimate::quantile;

/// The least difference that a two-sided test at `alpha` finds with probability `power`, given the variance of the estimated
/// difference.
pub fn detectable(variance: f64, alpha: f64, power: f64) -> f64 {
    (quantile(1.0 - alpha / 2.0) + quantile(power)) * variance.max(0.0).sqrt()
}

/// Units that would make `effect` detectable, where `units` gave that variance, which falls as units grow. Infinite of no effect.
pub fn units_needed(variance: f64, units: usize, effect: f64, alpha: f64, power: f64) -> f64 {
    units as f64 * (detectable(variance, alpha, power) / effect).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use statrs::distribution::{ContinuousCDF, Normal};

    proptest! {
        /// At the detectable difference the test has the power that was asked for.
        #[test]
        fn it_has_the_power(sd in 0.01f64..10.0, alpha in 0.001f64..0.2, power in 0.5f64..0.99) {
            let shift = detectable(sd * sd, alpha, power) / sd;
            let z = quantile(1.0 - alpha / 2.0);
            let normal = Normal::standard();
            let found = normal.sf(z - shift) + normal.cdf(-z - shift);
            prop_assert!((power..power + alpha / 2.0 + 1e-6).contains(&(found + 1e-9)), "{found} for {power}");
        }

        /// With as many units as it says, the effect is the detectable one.
        #[test]
        fn so_many_units_are_enough(variance in 0.001f64..5.0, units in 10usize..9_999, effect in 0.01f64..3.0) {
            let needed = units_needed(variance, units, effect, 0.05, 0.8);
            let then = variance * units as f64 / needed;
            prop_assert!((detectable(then, 0.05, 0.8) - effect).abs() < 1e-9);
        }
    }
}
