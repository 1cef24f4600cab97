//! Sample-ratio mismatch: are the arms as large as they should be?

use statrs::distribution::{ChiSquared, ContinuousCDF};

/// P value of Pearson's chi-square test that `counts` were drawn with these `shares`, which need not add up to 1; 1 of fewer than
/// two arms or of nothing. An arm of share 0 that has units is impossible: 0.
///
/// A small one says that units were lost or added by arm, so that nothing else in a report can be trusted (Fabijan et al. 2019,
/// "Diagnosing sample ratio mismatch in online controlled experiments").
pub fn mismatch_p(counts: &[u64], shares: &[f64]) -> f64 {
    let (total, whole) = (counts.iter().sum::<u64>() as f64, shares.iter().sum::<f64>());
    if counts.len() < 2 || total == 0.0 || whole <= 0.0 {
        return 1.0;
    }
    let mut square = 0.0;
    for (count, share) in counts.iter().zip(shares) {
        let expected = total * share / whole;
        if expected > 0.0 {
            square += (*count as f64 - expected).powi(2) / expected;
        } else if *count > 0 {
            return 0.0;
        }
    }
    let arms = shares.iter().filter(|share| **share > 0.0).count();
    ChiSquared::new((arms - 1) as f64).map_or(1.0, |chi| chi.sf(square))
}

#[cfg(test)]
mod tests {
    use super::super::normal_p;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Of two arms it is the two-sided test of a share.
        #[test]
        fn two_arms_are_a_test_of_a_share(a in 50u64..5_000, b in 50u64..5_000, share in 0.1f64..0.9) {
            let n = (a + b) as f64;
            let deviation = a as f64 - n * share;
            let expected = normal_p(deviation, n * share * (1.0 - share));
            prop_assert!((mismatch_p(&[a, b], &[share, 1.0 - share]) - expected).abs() < 1e-9);
        }

        /// Neither the order of arms nor the scale of shares counts.
        #[test]
        fn order_and_scale_do_not_count(counts in prop::collection::vec(1u64..500, 3), scale in 0.1f64..9.0) {
            let shares = [1.0, 2.0, 0.5];
            let there = mismatch_p(&counts, &shares);
            let back: Vec<u64> = counts.iter().rev().copied().collect();
            let scaled: Vec<f64> = shares.iter().rev().map(|share| share * scale).collect();
            prop_assert!((there - mismatch_p(&back, &scaled)).abs() < 1e-9);
        }
    }

    #[test]
    fn known_values() {
        // 10, 10 and 40 of shares 1 to 1 to 2: expected 15, 15, 30, so chi-square 20/3, two degrees of freedom: exp(-10/3).
        let p = mismatch_p(&[10, 10, 40], &[1.0, 1.0, 2.0]);
        assert!((p - (-20.0f64 / 6.0).exp()).abs() < 1e-12, "{p}");
        assert_eq!(
            (mismatch_p(&[5, 0], &[1.0, 0.0]), mismatch_p(&[5, 1], &[1.0, 0.0]), mismatch_p(&[], &[])),
            (1.0, 0.0, 1.0)
        );
    }
}
