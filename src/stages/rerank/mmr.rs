//! Maximal marginal relevance (Carbonell and Goldstein 1998).

use super::greedy::Objective;

/// The gain of a candidate is minus its largest likeness to what has been chosen; before the first choice, that of being
/// the opposite. One likeness a candidate and choice at most.
#[derive(Debug, Default)]
pub struct Mmr {
    nearest: Vec<f32>,
    compared: Vec<u32>,
    chosen: Vec<u32>,
}

/// The least that a likeness can be.
const OPPOSITE: f32 = -1.0;

impl Objective for Mmr {
    const NAME: &'static str = "mmr";

    fn begin(&mut self, n: usize, _most: usize) -> f32 {
        self.chosen.clear();
        self.nearest.clear();
        self.nearest.resize(n, OPPOSITE);
        self.compared.clear();
        self.compared.resize(n, 0);
        -OPPOSITE
    }

    fn gain(&mut self, at: usize, like: &impl Fn(usize, usize) -> f32) -> f32 {
        for chosen in &self.chosen[self.compared[at] as usize..] {
            self.nearest[at] = self.nearest[at].max(like(*chosen as usize, at));
        }
        self.compared[at] = self.chosen.len() as u32;
        -self.nearest[at]
    }

    fn choose(&mut self, at: usize) {
        self.chosen.push(at as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::super::greedy::Greedy;
    use super::super::likeness::tests::{heard, loaded};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The definition, word for word: every likeness computed again for every place.
        #[test]
        fn equals_the_definition(
            tracks in prop::collection::vec((0.0f32..1.0, heard()), 1..60), diversity in 0.0f32..=1.0, most in 1usize..20,
        ) {
            let (relevance, tracks): (Vec<f32>, Vec<_>) = tracks.into_iter().unzip();
            let likeness = loaded(&tracks, 0.3);
            let like = |a: usize, b: usize| likeness.of(a, b);
            let list = Greedy::default().choose(&mut Mmr::default(), &relevance, diversity, most, &like).to_vec();
            let mut left: Vec<usize> = (0..tracks.len()).collect();
            let mut naive: Vec<u32> = vec![];
            while naive.len() < most && !left.is_empty() {
                let value = |at: usize| {
                    let nearest = naive.iter().map(|c| like(*c as usize, at)).fold(-1.0, f32::max);
                    (1.0 - diversity) * relevance[at] + diversity * -nearest
                };
                let best = (0..left.len()).rev().max_by(|a, b| value(left[*a]).total_cmp(&value(left[*b]))).unwrap();
                naive.push(left.remove(best) as u32);
            }
            prop_assert_eq!(list, naive);
        }
    }
}
