//! Area under the ROC curve.

use crate::domain::by_score;

/// One scored row of a test set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoredRow {
    /// Number of the listener, the unit of resampling.
    pub user: u32,
    /// What the model said.
    pub score: f32,
    /// What happened.
    pub positive: bool,
}

/// Sorts rows so that [`weighted_auc`] can read them: best score first.
pub fn sort(rows: &mut [ScoredRow]) {
    rows.sort_unstable_by(|a, b| by_score(a.score, b.score));
}

/// Probability that a positive row scores above a negative one, ties counting half; `None` where only one class is there.
/// `O(n log n)`.
pub fn auc(rows: &[ScoredRow]) -> Option<f64> {
    let mut rows = rows.to_vec();
    sort(&mut rows);
    let users = rows.iter().map(|row| row.user as usize + 1).max().unwrap_or(0);
    weighted_auc(&rows, &vec![1; users])
}

/// [`auc`] of rows sorted best first, each counted `weights[user]` times. `O(n)`, no allocation: one bootstrap resample.
pub fn weighted_auc(sorted: &[ScoredRow], weights: &[u32]) -> Option<f64> {
    let (mut positives, mut negatives, mut above) = (0.0f64, 0.0f64, 0.0f64);
    for tied in sorted.chunk_by(|a, b| by_score(a.score, b.score).is_eq()) {
        let (mut tied_positives, mut tied_negatives) = (0.0, 0.0);
        for row in tied {
            let weight = f64::from(weights[row.user as usize]);
            if row.positive { tied_positives += weight } else { tied_negatives += weight }
        }
        above += tied_negatives * (positives + tied_positives / 2.0);
        positives += tied_positives;
        negatives += tied_negatives;
    }
    (positives > 0.0 && negatives > 0.0).then(|| above / (positives * negatives))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every pair of a positive and a negative row.
    fn naive(rows: &[ScoredRow]) -> Option<f64> {
        let (positive, negative): (Vec<ScoredRow>, Vec<ScoredRow>) = rows.iter().partition(|row| row.positive);
        let pairs = positive.iter().flat_map(|p| negative.iter().map(move |n| (p.score, n.score)));
        let won: f64 = pairs
            .map(|(p, n)| {
                if p > n {
                    1.0
                } else if p == n {
                    0.5
                } else {
                    0.0
                }
            })
            .sum();
        let count = positive.len() * negative.len();
        (count > 0).then(|| won / count as f64)
    }

    proptest! {
        #[test]
        fn equals_counting_pairs(rows in prop::collection::vec((0u32..4, 0u8..6, any::<bool>()), 0..60),
                                 weights in prop::collection::vec(0u32..3, 4)) {
            let rows: Vec<ScoredRow> = rows.into_iter()
                .map(|(user, score, positive)| ScoredRow { user, score: f32::from(score) / 5.0, positive }).collect();
            let same = |a: Option<f64>, b: Option<f64>| match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() < 1e-9,
                (a, b) => a == b,
            };
            prop_assert!(same(auc(&rows), naive(&rows)));
            let repeated: Vec<ScoredRow> =
                rows.iter().flat_map(|row| std::iter::repeat_n(*row, weights[row.user as usize] as usize)).collect();
            let mut sorted = rows.clone();
            sort(&mut sorted);
            prop_assert!(same(weighted_auc(&sorted, &weights), naive(&repeated)));
        }
    }
}
