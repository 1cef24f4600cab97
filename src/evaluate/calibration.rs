//! Whether a stated probability is one: log loss, expected calibration error, and the table behind them.

use super::auc::ScoredRow;

/// Equally filled bins of [`calibration_error`], as in training.
const BINS: usize = 15;
/// Rows of the table of [`deciles`].
const DECILES: usize = 10;
/// Probabilities are kept this far from 0 and 1, so that one sure error does not make all loss infinite.
const EDGE: f64 = 1e-7;

/// Mean stated and observed share of one tenth of the rows.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Decile {
    /// Mean stated probability.
    pub stated: f64,
    /// Share of positive rows.
    pub observed: f64,
    /// Rows.
    pub n: usize,
}

/// Mean negative log likelihood of rows, each counted `weights[user]` times; `None` without rows.
pub fn log_loss(rows: &[ScoredRow], weights: &[u32]) -> Option<f64> {
    let (mut loss, mut count) = (0.0, 0.0);
    for row in rows {
        let weight = f64::from(weights[row.user as usize]);
        let stated = f64::from(row.score).clamp(EDGE, 1.0 - EDGE);
        loss -= weight * if row.positive { stated.ln() } else { (1.0 - stated).ln() };
        count += weight;
    }
    (count > 0.0).then(|| loss / count)
}

/// Expected calibration error over 15 equally filled bins (Naeini, Cooper and Hauskrecht 2015): mean |stated - observed| of
/// rows sorted by score, each counted `weights[user]` times; `None` without rows. `O(n)`, no allocation.
pub fn calibration_error(sorted: &[ScoredRow], weights: &[u32]) -> Option<f64> {
    let weight = |row: &ScoredRow| f64::from(weights[row.user as usize]);
    let all: f64 = sorted.iter().map(weight).sum();
    let (mut stated, mut observed, mut filled, mut bin, mut error) = (0.0, 0.0, 0.0, 1usize, 0.0f64);
    for row in sorted {
        stated += weight(row) * f64::from(row.score);
        observed += weight(row) * f64::from(u8::from(row.positive));
        filled += weight(row);
        if filled >= all * bin as f64 / BINS as f64 - 1e-9 {
            error += f64::abs(stated - observed);
            (stated, observed) = (0.0, 0.0);
            while bin <= BINS && filled >= all * bin as f64 / BINS as f64 - 1e-9 {
                bin += 1;
            }
        }
    }
    (all > 0.0).then(|| error / all)
}

/// Stated against observed in ten equally filled parts of rows sorted by score, in their order; fewer where there are fewer
/// rows.
pub(super) fn deciles(sorted: &[ScoredRow]) -> Vec<Decile> {
    let cut = |part: usize| part * sorted.len() / DECILES;
    let parts = (0..DECILES).map(|part| &sorted[cut(part)..cut(part + 1)]).filter(|rows| !rows.is_empty());
    parts
        .map(|rows| {
            let n = rows.len() as f64;
            Decile {
                stated: rows.iter().map(|row| f64::from(row.score)).sum::<f64>() / n,
                observed: rows.iter().filter(|row| row.positive).count() as f64 / n,
                n: rows.len(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::auc::sort;
    use super::*;
    use proptest::prelude::*;

    fn rows() -> impl Strategy<Value = Vec<ScoredRow>> {
        let row = (0u32..5, 0.0f32..=1.0, any::<bool>());
        prop::collection::vec(row.prop_map(|(user, score, positive)| ScoredRow { user, score, positive }), 1..120)
    }

    proptest! {
        /// Weights are repetitions, and with a multiple of 15 rows the bins are plain runs of equal length.
        #[test]
        fn equals_plain_sums(mut rows in rows(), weights in prop::collection::vec(0u32..3, 5)) {
            sort(&mut rows);
            let repeated: Vec<ScoredRow> =
                rows.iter().flat_map(|row| std::iter::repeat_n(*row, weights[row.user as usize] as usize)).collect();
            let plain: f64 = repeated.iter().map(|row| {
                let stated = f64::from(row.score).clamp(EDGE, 1.0 - EDGE);
                -(if row.positive { stated } else { 1.0 - stated }).ln()
            }).sum();
            let got = log_loss(&rows, &weights);
            prop_assert_eq!(got.is_some(), !repeated.is_empty());
            prop_assert!(got.is_none_or(|got| (got - plain / repeated.len() as f64).abs() < 1e-9));
            let each = vec![15u32; 5];
            let bins: Vec<ScoredRow> = rows.iter().flat_map(|row| std::iter::repeat_n(*row, 15)).collect();
            let gap = |bin: &[ScoredRow]| -> f64 {
                bin.iter().map(|row| f64::from(row.score) - f64::from(u8::from(row.positive))).sum::<f64>().abs()
            };
            if rows.len().is_multiple_of(BINS) {
                let expected: f64 = rows.chunks(rows.len() / BINS).map(|bin| 15.0 * gap(bin)).sum::<f64>() / bins.len() as f64;
                prop_assert!((calibration_error(&rows, &each).unwrap() - expected).abs() < 1e-6);
            }
            let whole = calibration_error(&rows, &[1; 5]).unwrap();
            prop_assert!((0.0..=1.0).contains(&whole) && whole + 1e-9 >= gap(&rows) / rows.len() as f64);
        }

        #[test]
        fn deciles_hold_every_row_once(mut rows in rows()) {
            sort(&mut rows);
            let parts = deciles(&rows);
            prop_assert_eq!(parts.iter().map(|part| part.n).sum::<usize>(), rows.len());
            prop_assert!(parts.is_sorted_by(|a, b| a.stated >= b.stated));
            let positives: f64 = parts.iter().map(|part| part.observed * part.n as f64).sum();
            prop_assert!((positives - rows.iter().filter(|row| row.positive).count() as f64).abs() < 1e-6);
        }
    }

    #[test]
    fn a_sure_error_costs_much_but_not_everything() {
        let row = |score, positive| ScoredRow { user: 0, score, positive };
        assert!(log_loss(&[row(0.0, true)], &[1]).unwrap() > 10.0);
        assert_eq!((log_loss(&[], &[]), calibration_error(&[], &[])), (None, None));
        assert_eq!(calibration_error(&[row(1.0, true), row(0.0, false)], &[1]), Some(0.0));
    }
}
