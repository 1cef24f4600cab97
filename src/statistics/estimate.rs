//! A figure with its interval, and the normal distribution.

use statrs::distribution::{ContinuousCDF, Normal};

/// A figure with an interval, 95 % unless its source says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The quantile of the standard normal distribution, `0 < share < 1`.
pub fn quantile(share: f64) -> f64 {
    Normal::standard().inverse_cdf(share)
}

/// `value` with its `1 - alpha` interval, given its variance.
pub fn normal_interval(value: f64, variance: f64, alpha: f64) -> Estimate {
    let half = quantile(1.0 - alpha / 2.0) * variance.max(0.0).sqrt();
    Estimate { value, low: value - half, high: value + half }
}

/// Two-sided p value of `value` = 0. Without variance 1 where it is 0, else 0.
pub fn normal_p(value: f64, variance: f64) -> f64 {
    if variance <= 0.0 {
        return if value == 0.0 { 1.0 } else { 0.0 };
    }
    2.0 * Normal::standard().sf(value.abs() / variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_are_the_tables() {
        assert!((quantile(0.975) - 1.959_964).abs() < 1e-5 && (quantile(0.8) - 0.841_621).abs() < 1e-5);
        assert_eq!((normal_p(0.0, 0.0), normal_p(1.0, 0.0)), (1.0, 0.0));
    }

    proptest! {
        /// An interval leaves 0 out where, and only where, the p value is below alpha.
        #[test]
        fn interval_and_p_agree(value in -5.0f64..5.0, sd in 0.01f64..3.0, alpha in 0.001f64..0.5) {
            let interval = normal_interval(value, sd * sd, alpha);
            let p = normal_p(value, sd * sd);
            prop_assume!((p - alpha).abs() > 1e-9);
            prop_assert_eq!(interval.low > 0.0 || interval.high < 0.0, p < alpha);
        }
    }
}
