//! Confidence intervals by resampling listeners (Efron 1979, percentile method): moments of one listener are not
//! independent, so the listener is the unit.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::statistics::Estimate;

/// The central 95 % of `statistic` over resamples of the users with replacement; deterministic for a seed.
///
/// `statistic` gets how often each user was drawn, `[users]`, and may be undefined (`None`) for a resample. `None` where it
/// is undefined for all of them or there is no user.
pub fn percentile_interval(
    users: usize,
    resamples: usize,
    seed: u64,
    mut statistic: impl FnMut(&[u32]) -> Option<f64>,
) -> Option<(f64, f64)> {
    if users == 0 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut weights = vec![0u32; users];
    let mut values: Vec<f64> = (0..resamples)
        .filter_map(|_| {
            weights.fill(0);
            (0..users).for_each(|_| weights[rng.random_range(0..users)] += 1);
            statistic(&weights)
        })
        .collect();
    values.sort_unstable_by(f64::total_cmp);
    Some((quantile(&values, 0.025)?, quantile(&values, 0.975)?))
}

/// [`weighted_mean`] of all users and its interval; `None` without a row.
pub(super) fn mean_estimate(sums: &[f64], rows: &[u32], resamples: usize, seed: u64) -> Option<Estimate> {
    let value = weighted_mean(sums, rows, &vec![1; rows.len()])?;
    let (low, high) = percentile_interval(rows.len(), resamples, seed, |weights| weighted_mean(sums, rows, weights))?;
    Some(Estimate { value, low, high })
}

/// The quantile of sorted values by the nearest rank.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[(share * last as f64).round() as usize])
}

/// The mean per row of sums that users have gathered: `sums[user] / rows[user]` over all, under these weights.
pub(super) fn weighted_mean(sums: &[f64], rows: &[u32], weights: &[u32]) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for ((value, rows), weight) in sums.iter().zip(rows).zip(weights) {
        sum += value * f64::from(*weight);
        count += f64::from(*rows) * f64::from(*weight);
    }
    (count > 0.0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn covers_the_mean_of_known_spread() {
        // 400 users, half 0 and half 1: the standard error of the mean is 0.025.
        let sums: Vec<f64> = (0..400).map(|user| f64::from(user % 2)).collect();
        let rows = vec![1; 400];
        let (low, high) = percentile_interval(400, 2_000, 7, |w| weighted_mean(&sums, &rows, w)).unwrap();
        assert!(
            (low - (0.5 - 1.96 * 0.025)).abs() < 0.006 && (high - (0.5 + 1.96 * 0.025)).abs() < 0.006,
            "{low} {high}"
        );
        let again = percentile_interval(400, 2_000, 7, |w| weighted_mean(&sums, &rows, w));
        assert_eq!(again, Some((low, high)));
    }

    #[test]
    fn undefined_stays_undefined() {
        assert_eq!(percentile_interval(0, 10, 1, |_| Some(1.0)), None);
        assert_eq!(percentile_interval(3, 10, 1, |_| None), None);
    }

    proptest! {
        #[test]
        fn weights_count_rows_as_often_as_users_are_drawn(
            users in prop::collection::vec((prop::collection::vec(0u8..2, 0..5), 0u32..3), 1..10)
        ) {
            let sums: Vec<f64> = users.iter().map(|(rows, _)| rows.iter().map(|r| f64::from(*r)).sum()).collect();
            let counts: Vec<u32> = users.iter().map(|(rows, _)| rows.len() as u32).collect();
            let weights: Vec<u32> = users.iter().map(|(_, weight)| *weight).collect();
            let all: Vec<f64> = users.iter()
                .flat_map(|(rows, weight)| rows.iter().flat_map(|r| std::iter::repeat_n(f64::from(*r), *weight as usize))).collect();
            let naive = (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64);
            let got = weighted_mean(&sums, &counts, &weights);
            prop_assert!(got.is_some() == naive.is_some() && got.zip(naive).is_none_or(|(a, b)| (a - b).abs() < 1e-9));
        }
    }
}
