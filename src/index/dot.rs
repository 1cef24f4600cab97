//! The dot product that every engine scores with.

/// Partial sums kept side by side: independent chains that the compiler turns into vector instructions.
const LANES: usize = 16;

/// Dot product of two vectors of the same length; of different lengths, over the shorter one.
///
/// The order of additions is fixed, so the same inputs give the same bits on every machine and in every engine.
/// `O(n)`, no allocation. The result is never `-0.0`.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    dot_by(a, b, |v| v)
}

/// The same where the first vector's numbers are read by `value`.
#[inline(always)]
pub(super) fn dot_by<T: Copy>(a: &[T], b: &[f32], value: impl Fn(T) -> f32) -> f32 {
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (x, y) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += value(x[lane]) * y[lane];
        }
    }
    let mut rest = 0.0f32;
    for (x, y) in a_rest.iter().zip(b_rest) {
        rest += value(*x) * y;
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0] + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_the_plain_sum(pairs in prop::collection::vec((-1.0f32..1.0, -1.0f32..1.0), 0..130)) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
            let plain: f64 = pairs.iter().map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            prop_assert!((f64::from(dot(&a, &b)) - plain).abs() < 1e-4);
        }
    }

    #[test]
    fn is_never_negative_zero() {
        assert!(dot(&[0.0; 65], &[-1.0; 65]).is_sign_positive());
        assert!(dot(&[], &[]).is_sign_positive());
    }
}
