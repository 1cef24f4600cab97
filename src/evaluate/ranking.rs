//! Metrics of one list against one wanted track, and of all lists together.

/// 1 if the wanted track stands among the first `k`, else 0: recall and hit rate are the same for a single target.
/// `rank` is its 0-based place in the list, if it is there.
pub fn recall_at(rank: Option<usize>, k: usize) -> f64 {
    f64::from(u8::from(rank.is_some_and(|rank| rank < k)))
}

/// `1 / place` if the wanted track stands among the first `k`, else 0.
pub fn reciprocal_rank_at(rank: Option<usize>, k: usize) -> f64 {
    rank.filter(|rank| *rank < k).map_or(0.0, |rank| 1.0 / (rank as f64 + 1.0))
}

/// Normalised discounted cumulative gain of a single target: `1 / log2(place + 1)` among the first `k`, else 0; the ideal
/// list has gain 1.
pub fn ndcg_at(rank: Option<usize>, k: usize) -> f64 {
    rank.filter(|rank| *rank < k).map_or(0.0, |rank| 1.0 / (rank as f64 + 2.0).log2())
}

/// The Gini coefficient of counts: 0 = all equal, towards 1 = all on one. 0 for no counts. `O(n log n)`.
pub fn gini(counts: &[u32]) -> f64 {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let total: f64 = sorted.iter().map(|c| f64::from(*c)).sum();
    if total == 0.0 {
        return 0.0;
    }
    let n = sorted.len() as f64;
    let weighted: f64 = sorted.iter().enumerate().map(|(at, c)| (at as f64 + 1.0) * f64::from(*c)).sum();
    2.0 * weighted / (n * total) - (n + 1.0) / n
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The metrics as the textbook writes them for a list of relevances.
    fn textbook(relevant: &[bool], k: usize) -> [f64; 3] {
        let gain = |list: &[bool]| -> f64 {
            list.iter().take(k).enumerate().map(|(at, r)| f64::from(u8::from(*r)) / ((at + 2) as f64).log2()).sum()
        };
        let hits = relevant.iter().take(k).filter(|r| **r).count() as f64;
        let first = relevant.iter().take(k).position(|r| *r).map_or(0.0, |at| 1.0 / (at + 1) as f64);
        [hits, first, gain(relevant) / gain(&[true])]
    }

    proptest! {
        #[test]
        fn equals_the_textbook(len in 1usize..40, at in prop::option::of(0usize..40), k in 1usize..30) {
            let at = at.filter(|at| *at < len);
            let relevant: Vec<bool> = (0..len).map(|row| Some(row) == at).collect();
            let got = [recall_at(at, k), reciprocal_rank_at(at, k), ndcg_at(at, k)];
            for (got, expected) in got.into_iter().zip(textbook(&relevant, k)) {
                prop_assert!((got - expected).abs() < 1e-12);
            }
        }

        #[test]
        fn gini_equals_the_mean_difference(counts in prop::collection::vec(0u32..50, 1..40)) {
            let n = counts.len() as f64;
            let mean = counts.iter().map(|c| f64::from(*c)).sum::<f64>() / n;
            let differences: f64 = counts.iter().flat_map(|a| counts.iter().map(move |b| f64::from(a.abs_diff(*b)))).sum();
            let expected = if mean > 0.0 { differences / (2.0 * n * n * mean) } else { 0.0 };
            prop_assert!((gini(&counts) - expected).abs() < 1e-9);
        }
    }

    #[test]
    fn no_counts_are_equal() {
        assert_eq!((gini(&[]), gini(&[0, 0])), (0.0, 0.0));
    }
}
