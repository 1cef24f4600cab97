//! The first phase of a cascade (Wang, Lin and Metzler 2011): a cheap model says which candidates the ranker looks at.

use crate::features::schema;
use crate::inference::RankerModel;
use crate::pipeline::{Deadline, StageError};

/// Heads of a row.
pub(super) const TASKS: usize = schema::TASKS.len();

/// What models see of `rows` candidates.
pub(super) struct Matrix<'a> {
    /// `[U + dim]`.
    pub(super) user: &'a [f32],
    /// `[rows, I + dim]`.
    pub(super) items: &'a [f32],
    /// `[rows, X]`.
    pub(super) cross: &'a [f32],
    pub(super) rows: usize,
}

impl Matrix<'_> {
    /// Replaces `out` by the heads of all rows, `[rows, TASKS]`.
    pub(super) fn scored_by(&self, model: &mut dyn RankerModel, out: &mut Vec<f32>) -> Result<(), StageError> {
        let done = model.score(self.user, self.items, self.cross, self.rows, out);
        done.map_err(|error| StageError::Failed(error.to_string()))
    }
}

/// A model in front of the ranker, and how many candidates it lets through. Keeps its buffers.
pub(super) struct FirstPhase {
    model: Box<dyn RankerModel>,
    pub(super) keep: usize,
    order: Vec<u32>,
    items: Vec<f32>,
    cross: Vec<f32>,
    output: Vec<f32>,
}

impl FirstPhase {
    pub(super) fn new(model: Box<dyn RankerModel>, keep: usize) -> Self {
        let (order, items, cross, output) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { model, keep, order, items, cross, output }
    }

    /// Fills `heads` `[rows, TASKS]` and `blended` `[rows]`: those of the `keep` rows that this model likes best, by
    /// `blended`, are what `ranker` says; the others' are this model's, with blended scores that keep their order and stand
    /// below all of the former. Ties go to the earlier row. Late when the deadline passes between the models.
    pub(super) fn rank(
        &mut self,
        matrix: &Matrix<'_>,
        ranker: &mut dyn RankerModel,
        blend: &impl Fn(usize, &[f32]) -> f32,
        deadline: &Deadline,
        heads: &mut Vec<f32>,
        blended: &mut Vec<f32>,
    ) -> Result<(), StageError> {
        matrix.scored_by(&mut *self.model, heads)?;
        blended.extend(heads.chunks_exact(TASKS).enumerate().map(|(row, heads)| blend(row, heads)));
        if deadline.passed() {
            return Err(StageError::Late);
        }
        self.order.clear();
        self.order.extend(0..matrix.rows as u32);
        let score = |row: &u32| blended[*row as usize];
        let keep = self.keep.min(matrix.rows);
        if keep > 0 && keep < matrix.rows {
            self.order.select_nth_unstable_by(keep - 1, |a, b| score(b).total_cmp(&score(a)).then(a.cmp(b)));
        }
        let (kept, left) = self.order.split_at_mut(keep);
        // Ascending, as they stand in the matrix.
        kept.sort_unstable();
        self.items.clear();
        self.cross.clear();
        let widths = [matrix.items.len(), matrix.cross.len()].map(|all| all / matrix.rows.max(1));
        for row in &*kept {
            let part = |all: usize| *row as usize * widths[all]..(*row as usize + 1) * widths[all];
            self.items.extend_from_slice(&matrix.items[part(0)]);
            self.cross.extend_from_slice(&matrix.cross[part(1)]);
        }
        let some = Matrix { user: matrix.user, items: &self.items, cross: &self.cross, rows: keep };
        some.scored_by(ranker, &mut self.output)?;
        for (row, found) in kept.iter().zip(self.output.chunks_exact(TASKS)) {
            let row = *row as usize;
            heads[row * TASKS..(row + 1) * TASKS].copy_from_slice(found);
            blended[row] = blend(row, found);
        }
        put_below(kept, left, blended);
        Ok(())
    }
}

/// Moves the scores of `left` down by one step, so that the best of them stands at the worst of `kept`, or stays below it.
fn put_below(kept: &[u32], left: &[u32], blended: &mut [f32]) {
    let least = kept.iter().map(|row| blended[*row as usize]).fold(f32::INFINITY, f32::min);
    let most = left.iter().map(|row| blended[*row as usize]).fold(f32::NEG_INFINITY, f32::max);
    if most < least {
        return;
    }
    for row in left {
        let score = &mut blended[*row as usize];
        // Rounding must not lift one over the bar.
        *score = (*score - (most - least)).min(least.next_down());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inference::InferenceError;

    /// A head is one item column times a factor, the others are 0.
    struct Column(usize, f32);

    impl RankerModel for Column {
        fn score(
            &mut self,
            _: &[f32],
            items: &[f32],
            cross: &[f32],
            rows: usize,
            out: &mut Vec<f32>,
        ) -> Result<(), InferenceError> {
            assert_eq!((items.len(), cross.len()), (rows * 2, rows), "rows are cut out whole");
            out.clear();
            out.extend(items.chunks_exact(2).flat_map(|item| [item[self.0] * self.1, 0.0, 0.0]));
            Ok(())
        }
    }

    fn rank(items: &[f32], keep: usize) -> (Vec<f32>, Vec<f32>) {
        let rows = items.len() / 2;
        let (cross, mut heads, mut blended) = (vec![0.0; rows], Vec::new(), Vec::new());
        let matrix = Matrix { user: &[], items, cross: &cross, rows };
        let mut first = FirstPhase::new(Box::new(Column(0, 1.0)), keep);
        let blend = |_: usize, heads: &[f32]| 2.0 * heads[0];
        for _ in 0..2 {
            blended.clear();
            first.rank(&matrix, &mut Column(1, 1.0), &blend, &Deadline::never(), &mut heads, &mut blended).unwrap();
        }
        (heads, blended)
    }

    proptest! {
        /// By sorting everything, for any scores.
        #[test]
        fn equals_sorting_everything(
            items in prop::collection::vec((-3i8..3, -3i8..3), 0..40), keep in 0usize..45,
        ) {
            let flat: Vec<f32> = items.iter().flat_map(|(a, b)| [f32::from(*a) / 8.0, f32::from(*b) / 8.0]).collect();
            let (heads, blended) = rank(&flat, keep);
            let mut order: Vec<usize> = (0..items.len()).collect();
            order.sort_by(|a, b| items[*b].0.cmp(&items[*a].0).then(a.cmp(b)));
            let (kept, left) = order.split_at(keep.min(items.len()));
            for row in kept {
                prop_assert_eq!(heads[row * TASKS], flat[row * 2 + 1]);
                prop_assert_eq!(blended[*row], 2.0 * flat[row * 2 + 1]);
            }
            for row in left {
                prop_assert_eq!(heads[row * TASKS], flat[row * 2]);
                prop_assert!(kept.iter().all(|above| blended[*above] > blended[*row]));
            }
            for pair in left.windows(2) {
                prop_assert!(blended[pair[0]] >= blended[pair[1]], "their order stays");
            }
        }
    }

    #[test]
    fn is_late_between_the_models() {
        let (mut heads, mut blended) = (Vec::new(), Vec::new());
        let matrix = Matrix { user: &[], items: &[0.0; 4], cross: &[0.0; 2], rows: 2 };
        let mut first = FirstPhase::new(Box::new(Column(0, 1.0)), 1);
        let late = Deadline::after_checks(0);
        let done = first.rank(&matrix, &mut Column(1, 1.0), &|_, heads| heads[0], &late, &mut heads, &mut blended);
        assert_eq!(done, Err(StageError::Late));
    }
}
