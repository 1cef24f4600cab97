//! The delta method: a ratio of sums over independent units.

/// What one unit adds to a ratio of sums. A mean over units has denominators of 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sums {
    /// Above the line.
    pub numerator: f64,
    /// Below it; not negative.
    pub denominator: f64,
}

/// A figure with the variance of that figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The figure.
    pub value: f64,
    /// Its variance: the square of its standard error.
    pub variance: f64,
    /// Units behind it.
    pub units: usize,
}

/// Sum of numerators over sum of denominators, with its variance by the delta method: that of the mean of
/// `(numerator - ratio * denominator) / mean denominator` (Deng, Knoblich and Lu 2018, "Applying the delta method in metric
/// analytics"). `None` of fewer than two units, or where the denominators add up to nothing. `O(n)`.
pub fn ratio(units: &[Sums]) -> Option<Measured> {
    let (numerator, denominator) =
        units.iter().fold((0.0, 0.0), |(n, d), unit| (n + unit.numerator, d + unit.denominator));
    if units.len() < 2 || denominator <= 0.0 {
        return None;
    }
    let (n, value) = (units.len() as f64, numerator / denominator);
    let squares: f64 = units.iter().map(|unit| (unit.numerator - value * unit.denominator).powi(2)).sum();
    let mean = denominator / n;
    Some(Measured { value, variance: squares / (n - 1.0) / n / (mean * mean), units: units.len() })
}

/// The difference of two independent figures, `factor` times the second taken from the first.
pub fn minus(first: Measured, factor: f64, second: Measured) -> Measured {
    Measured {
        value: first.value - factor * second.value,
        variance: first.variance + factor * factor * second.variance,
        units: first.units + second.units,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn units() -> impl Strategy<Value = Vec<Sums>> {
        let one = (-5.0f64..5.0, 0.1f64..4.0).prop_map(|(numerator, denominator)| Sums { numerator, denominator });
        prop::collection::vec(one, 3..40)
    }

    proptest! {
        /// With denominators of 1 it is the mean and its squared standard error.
        #[test]
        fn a_mean_is_the_textbooks(values in prop::collection::vec(-5.0f64..5.0, 2..40)) {
            let units: Vec<Sums> = values.iter().map(|value| Sums { numerator: *value, denominator: 1.0 }).collect();
            let found = ratio(&units).unwrap();
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0) / n;
            prop_assert!((found.value - mean).abs() < 1e-9 && (found.variance - variance).abs() < 1e-9);
        }

        /// Against the jackknife, which leaves each unit out in turn: both are first-order estimates of one variance.
        #[test]
        fn the_jackknife_says_about_the_same(units in units()) {
            let found = ratio(&units).unwrap();
            let n = units.len() as f64;
            let without = |out: usize| {
                let left = units.iter().enumerate().filter(|(at, _)| *at != out).map(|(_, unit)| unit);
                let (a, b) = left.fold((0.0, 0.0), |(a, b), unit| (a + unit.numerator, b + unit.denominator));
                a / b
            };
            let parts: Vec<f64> = (0..units.len()).map(without).collect();
            let mean = parts.iter().sum::<f64>() / n;
            let jackknife = (n - 1.0) / n * parts.iter().map(|part| (part - mean).powi(2)).sum::<f64>();
            // Leaving one out changes the mean denominator by at most a factor of n * d_max / total.
            let most = units.iter().map(|unit| unit.denominator).fold(0.0, f64::max);
            let total: f64 = units.iter().map(|unit| unit.denominator).sum();
            let slack = 1.0 / (1.0 - most / total).powi(2);
            prop_assert!(jackknife <= found.variance * slack * 1.000_001, "{jackknife} {found:?} {slack}");
            prop_assert!(jackknife >= found.variance / slack / 4.0, "{jackknife} {found:?} {slack}");
        }
    }

    #[test]
    fn nothing_comes_of_nothing() {
        let unit = |denominator| Sums { numerator: 1.0, denominator };
        assert_eq!(ratio(&[unit(1.0)]), None);
        assert_eq!(ratio(&[unit(0.0), unit(0.0)]), None);
    }
}
