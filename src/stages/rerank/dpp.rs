//! Greedy MAP inference of a determinantal point process by incremental Cholesky factors (Chen, Zhang and Zhou 2018, "Fast
//! greedy MAP inference for determinantal point process to improve recommendation diversity").

use super::greedy::Objective;
use crate::index::dot;

/// What the determinant counts beside the relevance: with a third, a dial means about what it means to maximal marginal
/// relevance (`docs/reranking.md`).
const STRENGTH: f32 = 1.0 / 3.0;
/// Numbers that a dot product takes in one step.
const BLOCK: usize = 16;
/// Share of a candidate's variance below which nothing of it is new: what is left is rounding.
const FLOOR: f32 = 1e-4;

/// The gain of a candidate is a third of the logarithm of the determinant of the likeness matrix with it over that without
/// it: of the part of it (0..1) that the chosen ones do not explain. With the relevance added this is the paper's
/// `theta * sum of relevance + (1 - theta) * log det` (its section on the trade-off), where `theta / (1 - theta)` is
/// `3 * (1 - diversity) / diversity`.
///
/// A row of the Cholesky factor is kept for every candidate and grows by a number for each choice, when it is asked for.
/// `O(most^2 * n)` time at worst, `O(most * n)` memory, which is kept.
#[derive(Debug, Default)]
pub struct Dpp {
    /// `[n, width]`; row i holds `grown[i]` numbers, then zeros.
    factors: Vec<f32>,
    width: usize,
    grown: Vec<u32>,
    left: Vec<f32>,
    /// The chosen ones with one over the root of what was new of each; 0 where nothing was.
    chosen: Vec<(u32, f32)>,
}

impl Objective for Dpp {
    const NAME: &'static str = "dpp";

    fn begin(&mut self, n: usize, most: usize) -> f32 {
        self.width = most.next_multiple_of(BLOCK);
        self.factors.clear();
        self.factors.resize(n * self.width, 0.0);
        self.grown.clear();
        self.grown.resize(n, 0);
        self.left.clear();
        self.left.resize(n, 1.0);
        self.chosen.clear();
        0.0
    }

    fn gain(&mut self, at: usize, like: &impl Fn(usize, usize) -> f32) -> f32 {
        for step in self.grown[at] as usize..self.chosen.len() {
            let (chosen, scale) = (self.chosen[step].0 as usize, self.chosen[step].1);
            // Whole blocks: the row of the chosen one is zero from `step` on.
            let explained = |row: usize| &self.factors[row * self.width..][..step.next_multiple_of(BLOCK)];
            let factor = scale * (like(chosen, at) - dot(explained(chosen), explained(at)));
            self.factors[at * self.width + step] = factor;
            self.left[at] -= factor * factor;
        }
        self.grown[at] = self.chosen.len() as u32;
        STRENGTH * self.left[at].max(FLOOR).ln()
    }

    fn choose(&mut self, at: usize) {
        let left = self.left[at];
        self.chosen.push((at as u32, if left > FLOOR { 1.0 / left.sqrt() } else { 0.0 }));
    }
}

#[cfg(test)]
mod tests {
    use super::super::greedy::Greedy;
    use super::super::likeness::tests::{heard, loaded};
    use super::*;
    use proptest::prelude::*;

    /// The determinant by elimination with pivots, in double precision.
    fn determinant(mut rows: Vec<Vec<f64>>) -> f64 {
        let n = rows.len();
        let mut product = 1.0;
        for at in 0..n {
            let pivot = (at..n).max_by(|a, b| rows[*a][at].abs().total_cmp(&rows[*b][at].abs())).unwrap();
            if rows[pivot][at] == 0.0 {
                return 0.0;
            }
            product *= if pivot == at { rows[pivot][at] } else { -rows[pivot][at] };
            rows.swap(at, pivot);
            let (above, below) = rows.split_at_mut(at + 1);
            for row in below {
                let factor = row[at] / above[at][at];
                row.iter_mut().zip(&above[at]).for_each(|(value, pivot)| *value -= factor * pivot);
            }
        }
        product
    }

    proptest! {
        /// Each choice is the best by determinants computed from nothing; where two are equal but for rounding, either may
        /// be it. As one that lies clearly ahead must be chosen, the lists are equal but for such ties.
        #[test]
        fn equals_the_greedy_that_recomputes_determinants(
            tracks in prop::collection::vec((0.0f32..1.0, heard()), 1..14), diversity in 0.0f32..=1.0, most in 1usize..10,
        ) {
            let (relevance, tracks): (Vec<f32>, Vec<_>) = tracks.into_iter().unzip();
            let likeness = loaded(&tracks, 0.3);
            let like = |a: usize, b: usize| likeness.of(a, b);
            let list = Greedy::default().choose(&mut Dpp::default(), &relevance, diversity, most, &like).to_vec();
            prop_assert_eq!(list.len(), most.min(tracks.len()));
            let det = |set: &[u32]| {
                let entry = |a: &u32, b: &u32| if a == b { 1.0 } else { f64::from(like(*a as usize, *b as usize)) };
                determinant(set.iter().map(|a| set.iter().map(|b| entry(a, b)).collect()).collect())
            };
            for place in 0..list.len() {
                let before = &list[..place];
                let value = |at: u32| {
                    let new = det(&[before, &[at]].concat()) / det(before).max(1e-300);
                    let (d, r) = (f64::from(diversity), f64::from(relevance[at as usize]));
                    (1.0 - d) * r + d * f64::from(STRENGTH) * new.max(f64::from(FLOOR)).ln()
                };
                // Below this the determinants of the twin are rounding as well.
                if det(before) < 1e-6 {
                    break;
                }
                let best = (0..tracks.len() as u32).filter(|at| !before.contains(at)).map(value).fold(f64::MIN, f64::max);
                prop_assert!(value(list[place]) > best - 2e-2 * f64::from(diversity) - 1e-6, "{place} of {list:?}");
            }
        }

        /// The lazy choice equals the one that brings every candidate up to date for every place, to the last tie.
        #[test]
        fn equals_the_eager_greedy(
            tracks in prop::collection::vec((0u8..4, heard()), 1..40), copies in 1usize..3, diversity in 0.0f32..=1.0,
            most in 1usize..30,
        ) {
            let (relevance, tracks): (Vec<f32>, Vec<_>) = tracks.iter().cycle().take(tracks.len() * copies).copied()
                .map(|(score, track)| (f32::from(score) / 3.0, track)).unzip();
            let likeness = loaded(&tracks, 0.3);
            let like = |a: usize, b: usize| likeness.of(a, b);
            let list = Greedy::default().choose(&mut Dpp::default(), &relevance, diversity, most, &like).to_vec();
            let (mut eager, mut twin) = (Dpp::default(), vec![]);
            eager.begin(tracks.len(), most);
            while twin.len() < most.min(tracks.len()) {
                let values: Vec<f32> = (0..tracks.len())
                    .map(|at| (1.0 - diversity) * relevance[at] + diversity * eager.gain(at, &like)).collect();
                let left = (0..tracks.len()).rev().filter(|at| !twin.contains(&(*at as u32)));
                let best = left.max_by(|a, b| values[*a].total_cmp(&values[*b])).unwrap();
                eager.choose(best);
                twin.push(best as u32);
            }
            prop_assert_eq!(list, twin);
        }
    }

    #[test]
    fn copies_come_last_and_in_their_order() {
        let (east, north) = ([1.0, 0.0, 0.0], [0.1, 1.0, 0.0]);
        let likeness = loaded(&[(east, None), (east, None), (east, None), (north, None)], 0.0);
        let like = |a: usize, b: usize| likeness.of(a, b);
        let list = Greedy::default().choose(&mut Dpp::default(), &[1.0, 0.9, 0.8, 0.0], 1.0, 4, &like).to_vec();
        assert_eq!(list, [0, 3, 1, 2]);
    }
}
