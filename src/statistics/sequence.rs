//! Intervals that may be looked at as often as one likes.

use super::estimate::Estimate;
use super::ratio::Measured;

/// An asymptotic confidence sequence: with probability `1 - alpha` its intervals hold the truth at all times together, so that
/// stopping when one leaves 0 out is no error (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit
/// theory and asymptotic confidence sequences", Annals of Statistics 52(6), theorem 2.2: Robbins' normal mixture).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sequence {
    alpha: f64,
    /// The mixture's `rho` squared.
    rho2: f64,
}

impl Sequence {
    /// The sequence that is tightest at `planned` units, a number chosen before anything was seen. `0 < alpha < 1`.
    pub fn new(alpha: f64, planned: usize) -> Self {
        let twice = -2.0 * alpha.ln();
        Self { alpha, rho2: (twice + (twice + 1.0).ln()) / planned.max(1) as f64 }
    }

    /// The interval of a figure that so many units gave.
    pub fn interval(&self, figure: Measured) -> Estimate {
        let n = figure.units as f64 * self.rho2;
        let half = (figure.variance.max(0.0) * 2.0 * (n + 1.0) / n * ((n + 1.0).sqrt() / self.alpha).ln()).sqrt();
        Estimate { value: figure.value, low: figure.value - half, high: figure.value + half }
    }

    /// The least alpha whose interval leaves 0 out: a p value that is valid at every look.
    pub fn p(&self, figure: Measured) -> f64 {
        if figure.variance <= 0.0 {
            return if figure.value == 0.0 { 1.0 } else { 0.0 };
        }
        let n = figure.units as f64 * self.rho2;
        let z2 = figure.value * figure.value / figure.variance;
        ((n + 1.0).sqrt() * (-z2 * n / (2.0 * (n + 1.0))).exp()).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::normal_interval;
    use super::*;
    use proptest::prelude::*;

    fn figure(value: f64, variance: f64, units: usize) -> Measured {
        Measured { value, variance, units }
    }

    proptest! {
        /// A p value below alpha is an interval of that alpha without 0, for the `rho` that was planned.
        #[test]
        fn interval_and_p_agree(value in -3.0f64..3.0, sd in 0.05f64..1.0, units in 2usize..100_000, alpha in 0.01f64..0.3) {
            let sequence = Sequence::new(alpha, 5_000);
            let (figure, p) = (figure(value, sd * sd, units), sequence.p(figure(value, sd * sd, units)));
            prop_assume!((p - alpha).abs() > 1e-9);
            let interval = sequence.interval(figure);
            prop_assert_eq!(interval.low > 0.0 || interval.high < 0.0, p < alpha);
        }

        /// The mixture that it comes from, integrated numerically: the same likelihood ratio.
        #[test]
        fn equals_the_integrated_mixture(value in -2.0f64..2.0, sd in 0.1f64..1.0, units in 10usize..10_000) {
            let sequence = Sequence::new(0.05, 1_000);
            // With unit variance a unit's mean shift is drawn from N(0, rho^2); of the estimate: sd * sqrt(units) * that.
            let scale = sd * (units as f64).sqrt() * sequence.rho2.sqrt();
            let (steps, reach) = (24_000, 30.0);
            let width = 2.0 * reach / f64::from(steps);
            let ratio: f64 = (0..steps).map(|step| {
                let draw = -reach + (f64::from(step) + 0.5) * width;
                let shift = draw * scale;
                let log = (value * shift - shift * shift / 2.0) / (sd * sd) - draw * draw / 2.0;
                log.exp() * width / std::f64::consts::TAU.sqrt()
            }).sum();
            let p = sequence.p(figure(value, sd * sd, units));
            prop_assume!(p < 1.0 && ratio.is_finite());
            prop_assert!((p * ratio - 1.0).abs() < 1e-3, "{p} {ratio}");
        }

        /// It costs width: always wider than the interval of one look.
        #[test]
        fn is_wider_than_one_look(units in 2usize..1_000_000, planned in 10usize..1_000_000) {
            let own = Sequence::new(0.05, planned).interval(figure(0.0, 1.0, units));
            prop_assert!(own.high > normal_interval(0.0, 1.0, 0.05).high);
        }
    }

    #[test]
    fn is_tightest_about_where_it_was_planned() {
        let width = |planned| Sequence::new(0.05, planned).interval(figure(0.0, 1.0, 10_000)).high;
        assert!(width(10_000) < width(2_000) && width(10_000) < width(50_000));
        assert!(width(10_000) < 3.1, "against 1.96 of one look: {}", width(10_000));
    }
}
