//! Running mean and spread after Welford (1962): one pass, no cancellation.

/// Count, mean and sum of squared deviations, as [`crate::domain::SessionState`] keeps them.
pub type Moments = (f32, f32, f32);

/// Takes one more value in. `O(1)`.
pub fn push(moments: &mut Moments, value: f32) {
    let (count, mean, m2) = *moments;
    let count = count + 1.0;
    let delta = value - mean;
    let mean = mean + delta / count;
    *moments = (count, mean, m2 + delta * (value - mean));
}

/// The mean, if there is a value.
pub fn mean(moments: Moments) -> Option<f32> {
    (moments.0 > 0.0).then_some(moments.1)
}

/// The standard deviation (of the values themselves, not an estimate); 0 without values.
pub fn spread(moments: Moments) -> f32 {
    if moments.0 > 0.0 { (moments.2 / moments.0).max(0.0).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_two_passes(values in prop::collection::vec(0.0f32..400.0, 0..60)) {
            let mut moments = Moments::default();
            values.iter().for_each(|v| push(&mut moments, *v));
            if values.is_empty() {
                prop_assert_eq!((mean(moments), spread(moments)), (None, 0.0));
            } else {
                let n = values.len() as f64;
                let average = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
                let variance = values.iter().map(|v| (f64::from(*v) - average).powi(2)).sum::<f64>() / n;
                prop_assert!((f64::from(moments.1) - average).abs() < 1e-2);
                prop_assert!((f64::from(spread(moments)) - variance.sqrt()).abs() < 1e-1);
            }
        }
    }
}
