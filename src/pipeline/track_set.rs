//! A small set of tracks that is emptied in O(1) and never allocates once grown.

use crate::domain::TrackIx;

/// Open-addressing set with generation stamps. Grows by doubling; `clear` only raises the generation.
#[derive(Debug)]
pub struct TrackSet {
    slots: Vec<(u32, u32)>,
    generation: u32,
    len: usize,
}

impl Default for TrackSet {
    fn default() -> Self {
        Self { slots: vec![(0, 0); 4096], generation: 1, len: 0 }
    }
}

impl TrackSet {
    /// Empties the set.
    pub fn clear(&mut self) {
        self.len = 0;
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.slots.fill((0, 0));
            self.generation = 1;
        }
    }

    /// Adds a track; `true` if it was new. Amortised O(1).
    pub fn insert(&mut self, track: TrackIx) -> bool {
        if self.len * 2 >= self.slots.len() {
            self.grow();
        }
        let at = self.slot_of(track);
        if self.slots[at].0 == self.generation {
            return false;
        }
        self.slots[at] = (self.generation, track.0);
        self.len += 1;
        true
    }

    /// Whether the track is in the set.
    pub fn contains(&self, track: TrackIx) -> bool {
        self.slots[self.slot_of(track)].0 == self.generation
    }

    fn slot_of(&self, track: TrackIx) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (track.0.wrapping_mul(0x9E37_79B1) >> 7) as usize & mask;
        while self.slots[at].0 == self.generation && self.slots[at].1 != track.0 {
            at = (at + 1) & mask;
        }
        at
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![(0, 0); old.len() * 2];
        for (generation, track) in old {
            if generation == self.generation {
                let at = self.slot_of(TrackIx(track));
                self.slots[at] = (generation, track);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn equals_a_hash_set(rounds in prop::collection::vec(prop::collection::vec(0u32..9000, 0..4000), 1..4)) {
            let mut set = TrackSet::default();
            for round in rounds {
                set.clear();
                let mut twin = HashSet::new();
                for track in round {
                    prop_assert_eq!(set.insert(TrackIx(track)), twin.insert(track));
                }
                for track in 0..9000 {
                    prop_assert_eq!(set.contains(TrackIx(track)), twin.contains(&track));
                }
            }
        }
    }
}
