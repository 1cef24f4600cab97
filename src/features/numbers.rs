//! Arithmetic that features share.

/// Largest magnitude a feature may have. Models see nothing beyond, whatever a client sends.
pub(super) const LIMIT: f32 = 12.0;

/// A feature value that is finite and within [`LIMIT`]; the default where it is not finite.
#[inline]
pub(super) fn tidy(value: f32, default: f32) -> f32 {
    if value.is_finite() { value.clamp(-LIMIT, LIMIT) } else { default }
}

/// `ln(1 + n) / scale` of a count or a time; negative counts as 0.
#[inline]
pub(super) fn log_scaled(n: f64, scale: f32) -> f32 {
    n.max(0.0).ln_1p() as f32 / scale
}

/// Minutes from one moment to a later one; 0 where the clocks disagree.
#[inline]
pub(super) fn minutes_between(from_ms: i64, to_ms: i64) -> f64 {
    to_ms.saturating_sub(from_ms).max(0) as f64 / 60_000.0
}

/// Dot product over the shorter length. Eight sums, so that the compiler may use vector instructions.
#[inline]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a_eights, b_eights) = (a.chunks_exact(8), b.chunks_exact(8));
    let n = a.len().min(b.len()) / 8 * 8;
    for (x, y) in a_eights.zip(b_eights) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f32 = a.iter().zip(b).skip(n).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

/// Length of a vector.
pub(super) fn norm(a: &[f32]) -> f32 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn dot_equals_the_plain_sum(pairs in prop::collection::vec((-1.0f32..1.0, -1.0f32..1.0), 0..80)) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
            let plain: f64 = pairs.iter().map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            prop_assert!((f64::from(dot(&a, &b)) - plain).abs() < 1e-4);
        }
    }

    #[test]
    fn nonsense_becomes_the_default() {
        assert_eq!((tidy(f32::NAN, 0.5), tidy(1e9, 0.5), tidy(-0.3, 0.5)), (0.5, LIMIT, -0.3));
        assert_eq!((log_scaled(-5.0, 4.0), minutes_between(i64::MAX, i64::MIN)), (0.0, 0.0));
    }
}
