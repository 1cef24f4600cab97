//! Which moments are evaluated or learnt from.

use std::collections::{BinaryHeap, HashSet};

/// Draws at most `max` events uniformly from a stream of unknown length: those with the smallest hash of seed and event id.
/// The same events give the same sample in any order, and more events change it as little as possible.
#[derive(Debug)]
pub struct MomentSampler {
    seed: u64,
    max: usize,
    smallest: BinaryHeap<(u64, u64)>,
    offered: u64,
}

impl MomentSampler {
    /// A sample of at most `max`.
    pub fn new(seed: u64, max: usize) -> Self {
        Self { seed, max, smallest: BinaryHeap::new(), offered: 0 }
    }

    /// Offers the event that stands at `ordinal` in the stream. `O(log max)`.
    pub fn offer(&mut self, event_id: &str, ordinal: u64) {
        self.offered += 1;
        self.smallest.push((stable_hash(self.seed, event_id), ordinal));
        if self.smallest.len() > self.max {
            self.smallest.pop();
        }
    }

    /// How many were offered.
    pub fn offered(&self) -> u64 {
        self.offered
    }

    /// The ordinals drawn.
    pub fn finish(self) -> HashSet<u64> {
        self.smallest.into_iter().map(|(_, ordinal)| ordinal).collect()
    }
}

/// FNV-1a with the finaliser of SplitMix64: stable across platforms and releases, unlike the standard library's hasher.
pub fn stable_hash(seed: u64, text: &str) -> u64 {
    let fnv =
        text.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mixed = (fnv ^ fnv >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_sorting_all_hashes(n in 0u64..200, max in 0usize..50, seed in any::<u64>()) {
            let mut sampler = MomentSampler::new(seed, max);
            (0..n).for_each(|at| sampler.offer(&format!("e{at}"), at));
            let mut all: Vec<_> = (0..n).map(|at| (stable_hash(seed, &format!("e{at}")), at)).collect();
            all.sort_unstable();
            prop_assert_eq!(sampler.offered(), n);
            prop_assert_eq!(sampler.finish(), all.into_iter().take(max).map(|(_, at)| at).collect::<HashSet<_>>());
        }
    }

    #[test]
    fn is_even_over_the_stream() {
        let mut sampler = MomentSampler::new(3, 1_000);
        (0..10_000).for_each(|at| sampler.offer(&format!("e{at}"), at));
        let early = sampler.finish().into_iter().filter(|at| *at < 5_000).count();
        assert!((430..570).contains(&early), "{early} of 1,000 from the first half");
    }
}
