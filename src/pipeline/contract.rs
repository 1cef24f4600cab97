//! What the runner demands of a stage's work.

use super::StageError;
use crate::domain::Retrieved;

/// At most `quota` hits, all with finite scores.
pub(super) fn check_hits(hits: &[Retrieved], quota: usize) -> Result<(), StageError> {
    if hits.len() > quota {
        return Err(StageError::Contract(format!("{} candidates, quota {quota}", hits.len())));
    }
    match hits.iter().find(|hit| !hit.score.is_finite()) {
        Some(hit) => Err(StageError::Contract(format!("row {} has a score that is not finite", hit.track.0))),
        None => Ok(()),
    }
}

/// Whether `order` is a list of distinct rows out of `before`, which are below `rows`; of any of `0..rows` without it.
/// `O(rows)`; `marks` is a buffer that keeps its memory.
pub(super) fn check_order(
    order: &[u32],
    before: Option<&[u32]>,
    rows: usize,
    marks: &mut Vec<bool>,
) -> Result<(), StageError> {
    marks.clear();
    marks.resize(rows, before.is_none());
    before.iter().flat_map(|before| before.iter()).for_each(|row| marks[*row as usize] = true);
    let allowed = order.iter().all(|row| marks.get_mut(*row as usize).is_some_and(std::mem::take));
    if allowed { Ok(()) } else { Err(StageError::Contract("the order repeats or invents a candidate".into())) }
}

/// All scores are finite.
pub(super) fn check_scores(scores: &[f32]) -> Result<(), StageError> {
    match scores.iter().position(|score| !score.is_finite()) {
        Some(row) => Err(StageError::Contract(format!("row {row} got a score that is not finite"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn accepts_exactly_the_distinct_sub_lists(
            before in prop::collection::hash_set(0u32..20, 0..20), order in prop::collection::vec(0u32..25, 0..12),
        ) {
            let list: Vec<u32> = before.iter().copied().collect();
            let distinct: HashSet<u32> = order.iter().copied().collect();
            let legal = distinct.len() == order.len() && distinct.is_subset(&before);
            prop_assert_eq!(check_order(&order, Some(&list), 20, &mut vec![true; 3]).is_ok(), legal);
            let anywhere = distinct.len() == order.len() && order.iter().all(|row| *row < 20);
            prop_assert_eq!(check_order(&order, None, 20, &mut vec![true; 3]).is_ok(), anywhere);
        }
    }
}
