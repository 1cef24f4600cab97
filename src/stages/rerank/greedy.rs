//! Lazy greedy choice: the same as looking at every candidate again for each place, at a part of the cost.

use std::collections::BinaryHeap;

/// What a candidate adds to those chosen so far. The gain of a candidate never rises as more are chosen, bit for bit: that
/// is what lets an old gain stand for an upper bound (Minoux 1978; for determinants, Hemmi et al. 2022, "Lazy and fast
/// greedy MAP inference for determinantal point process").
pub trait Objective: Default + std::fmt::Debug + Send {
    /// Name of the stage that uses it.
    const NAME: &'static str;

    /// Begins with `n` candidates, of which at most `most` will be chosen; returns the gain that each has now.
    fn begin(&mut self, n: usize, most: usize) -> f32;

    /// The gain of a candidate after all choices so far. `like(a, b)`: how alike two candidates are.
    fn gain(&mut self, at: usize, like: &impl Fn(usize, usize) -> f32) -> f32;

    /// Chooses a candidate whose gain has been asked for since the last choice.
    fn choose(&mut self, at: usize);
}

/// The driver; keeps its memory.
#[derive(Debug, Default)]
pub(super) struct Greedy {
    heap: BinaryHeap<u64>,
    seen: Vec<u32>,
    chosen: Vec<u32>,
}

impl Greedy {
    /// Chooses `most` of `relevance.len()` candidates one by one, each the one of the highest
    /// `(1 - diversity) * relevance + diversity * gain`, ties by position. At worst all gains are computed for every choice;
    /// in practice a few a choice are. No allocation once grown.
    pub(super) fn choose(
        &mut self,
        objective: &mut impl Objective,
        relevance: &[f32],
        diversity: f32,
        most: usize,
        like: &impl Fn(usize, usize) -> f32,
    ) -> &[u32] {
        let most = most.min(relevance.len());
        let value = |at: usize, gain: f32| (1.0 - diversity) * relevance[at] + diversity * gain;
        let first = objective.begin(relevance.len(), most);
        self.chosen.clear();
        self.seen.clear();
        self.seen.resize(relevance.len(), 0);
        let mut keys = std::mem::take(&mut self.heap).into_vec();
        keys.clear();
        keys.extend((0..relevance.len()).map(|at| key(value(at, first), at)));
        self.heap = keys.into();
        while self.chosen.len() < most
            && let Some(top) = self.heap.pop()
        {
            let at = position(top);
            let now = self.chosen.len() as u32;
            if self.seen[at] != now {
                self.seen[at] = now;
                let renewed = key(value(at, objective.gain(at, like)), at);
                if self.heap.peek().is_some_and(|next| *next > renewed) {
                    self.heap.push(renewed);
                    continue;
                }
            }
            objective.choose(at);
            self.chosen.push(at as u32);
        }
        &self.chosen
    }
}

/// Orders by value, the greatest highest (what is not a number lowest), then by position, the first highest.
fn key(value: f32, at: usize) -> u64 {
    let bits = value.to_bits();
    let rising = match (value.is_nan(), bits >> 31 == 0) {
        (true, _) => 0,
        (false, true) => bits | 1 << 31,
        (false, false) => !bits,
    };
    u64::from(rising) << 32 | u64::from(u32::MAX - at as u32)
}

fn position(key: u64) -> usize {
    (u32::MAX - key as u32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_order_as_value_then_position(a in any::<f32>(), b in any::<f32>(), at in 0usize..9, other in 0usize..9) {
            let rising = |v: f32| if v.is_nan() { f32::NEG_INFINITY } else { v };
            let twin = rising(a).total_cmp(&rising(b)).then(other.cmp(&at));
            prop_assert!(a.is_nan() || b.is_nan() || key(a, at).cmp(&key(b, other)) == twin);
            prop_assert_eq!(position(key(a, at)), at);
            prop_assert!(key(f32::NAN, at) < key(f32::NEG_INFINITY, other));
        }
    }
}
