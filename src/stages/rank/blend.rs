//! One number from three probabilities.

use crate::domain::BlendWeights;

/// `complete * P(play > 30 s) - skip * P(early skip) + like * P(like)`: finite for probabilities and finite weights.
#[inline]
pub fn blend(weights: &BlendWeights, complete: f32, skip: f32, like: f32) -> f32 {
    weights.complete * complete - weights.skip * skip + weights.like * like
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn weights() -> impl Strategy<Value = BlendWeights> {
        (0.0f32..10.0, 0.0f32..10.0, 0.0f32..10.0).prop_map(|(complete, skip, like)| BlendWeights {
            complete,
            skip,
            like,
        })
    }

    proptest! {
        #[test]
        fn rises_with_what_is_wanted_and_falls_with_skips(
            weights in weights(), p in [0.0f32..=1.0, 0.0f32..=1.0, 0.0f32..=1.0], more in 0.0f32..=1.0,
        ) {
            let up = |p: f32| p + (1.0 - p) * more;
            let [complete, skip, like] = p;
            let base = blend(&weights, complete, skip, like);
            prop_assert!(base.is_finite());
            prop_assert!(blend(&weights, up(complete), skip, like) >= base);
            prop_assert!(blend(&weights, complete, up(skip), like) <= base);
            prop_assert!(blend(&weights, complete, skip, up(like)) >= base);
        }
    }

    #[test]
    fn default_weights() {
        assert!((blend(&BlendWeights::default(), 0.5, 0.5, 1.0) - (0.5 - 0.3 + 0.3)).abs() < 1e-6);
    }
}
