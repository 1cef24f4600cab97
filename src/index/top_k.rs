//! The best `k` of a stream of scored tracks.

use std::cmp::Ordering;

use crate::domain::{Retrieved, TrackIx, by_score};

/// Best first: higher score, then lower row.
#[inline]
pub(super) fn best_first(a: &Retrieved, b: &Retrieved) -> Ordering {
    by_score(a.score, b.score).then(a.track.cmp(&b.track))
}

/// Steps that scores from -1 to 1 are counted in, so that the bar follows the k-th best score closely.
const STEPS: usize = 4_096;

/// Keeps the best `k` of what it is offered, in any order of offers.
///
/// What cannot be among the best is turned away by one comparison with [`TopK::bar`]. The rest is kept and counted by
/// score in steps of 1 / 2,048; as soon as `k` kept ones lie above a step, the bar rises to it. So the bar is at most one
/// step below the k-th best score, with nothing sorted before the end. `O(1)` an offer; allocates only when `k` grows.
#[derive(Debug, Default)]
pub struct TopK {
    /// Score and row, packed so that a greater number is a better hit.
    kept: Vec<u64>,
    k: usize,
    bar: f32,
    /// How many were kept in each step.
    counts: Vec<u32>,
    /// The step that the bar stands at, and how many are kept in it or above.
    floor: usize,
    above: usize,
}

impl TopK {
    /// Empties it for a new stream.
    pub fn start(&mut self, k: usize) {
        self.kept.clear();
        self.kept.reserve(k.saturating_mul(4));
        self.k = k;
        self.bar = f32::MIN;
        self.counts.clear();
        self.counts.resize(STEPS, 0);
        (self.floor, self.above) = (0, 0);
    }

    /// A score that the k-th best one reaches: less is turned away. `f32::MIN` until `k` have been kept.
    #[inline]
    pub fn bar(&self) -> f32 {
        self.bar
    }

    /// Offers a track; each at most once a stream. NaN and minus infinity are turned away.
    #[inline]
    pub fn offer(&mut self, track: TrackIx, score: f32) {
        if score >= self.bar && self.k > 0 {
            self.keep(track, score);
        }
    }

    fn keep(&mut self, track: TrackIx, score: f32) {
        if self.kept.len() >= self.k.saturating_mul(4) {
            self.prune();
        }
        self.kept.push(pack(track, score));
        self.counts[step(score)] += 1;
        self.above += 1;
        self.raise();
    }

    /// Lifts the bar over the steps that are not needed for `k`.
    fn raise(&mut self) {
        while self.above - self.counts[self.floor] as usize >= self.k {
            self.above -= self.counts[self.floor] as usize;
            self.floor += 1;
            self.bar = self.bar.max(self.floor as f32 / (STEPS / 2) as f32 - 1.0);
        }
    }

    /// Cuts what is kept back to the best `k`.
    fn prune(&mut self) {
        let least = pack(TrackIx(u32::MAX), self.bar);
        self.kept.retain(|hit| *hit >= least);
        if self.kept.len() > self.k && self.k > 0 {
            let (_, last, _) = self.kept.select_nth_unstable_by(self.k - 1, |a, b| b.cmp(a));
            self.bar = self.bar.max(unpack(*last).score);
            self.kept.truncate(self.k);
        }
        self.counts[self.floor..].fill(0);
        self.kept.iter().for_each(|hit| self.counts[step(unpack(*hit).score)] += 1);
        self.above = self.kept.len();
        self.raise();
    }

    /// Appends the best `k` to `out`, best first, ties by row. `O(k log k)`.
    pub fn finish(&mut self, out: &mut Vec<Retrieved>) {
        if self.k == 0 {
            return;
        }
        self.prune();
        self.kept.sort_unstable_by(|a, b| b.cmp(a));
        out.extend(self.kept.iter().map(|hit| unpack(*hit)));
    }
}

/// The step of a score: everything below -1 is in the first, everything from 1 on in the last.
#[inline]
fn step(score: f32) -> usize {
    (((score + 1.0) * (STEPS / 2) as f32) as usize).min(STEPS - 1)
}

/// The order of numbers is that of scores, then rows downwards.
#[inline]
fn pack(track: TrackIx, score: f32) -> u64 {
    let bits = score.to_bits();
    let rising = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
    u64::from(rising) << 32 | u64::from(!track.0)
}

#[inline]
fn unpack(hit: u64) -> Retrieved {
    let rising = (hit >> 32) as u32;
    let bits = if rising >> 31 == 1 { rising & !(1 << 31) } else { !rising };
    Retrieved { track: TrackIx(!(hit as u32)), score: f32::from_bits(bits) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_a_full_sort(
            scores in prop::collection::vec(-40i8..40, 0..300), scale in 0u32..4, k in 0usize..40, rounds in 1usize..3,
        ) {
            // From many ties within a step to scores far outside of -1..1.
            let scale = [2e-6, 1e-3, 0.024, 1.0][scale as usize];
            let mut hits: Vec<_> = scores
                .iter()
                .enumerate()
                .map(|(row, s)| Retrieved { track: TrackIx(row as u32 * 7919 % 1009), score: f32::from(*s) * scale })
                .collect();
            let mut top = TopK::default();
            let mut out = Vec::new();
            for _ in 0..rounds {
                top.start(k);
                hits.iter().for_each(|hit| top.offer(hit.track, hit.score));
                out.clear();
                top.finish(&mut out);
            }
            hits.sort_by(best_first);
            hits.truncate(k);
            prop_assert_eq!(out, hits);
        }
    }

    #[test]
    fn turns_away_what_is_not_finite() {
        let (mut top, mut out) = (TopK::default(), Vec::new());
        top.start(3);
        [f32::NAN, 0.5, f32::NEG_INFINITY].iter().enumerate().for_each(|(i, s)| top.offer(TrackIx(i as u32), *s));
        top.finish(&mut out);
        assert_eq!(out, [Retrieved { track: TrackIx(1), score: 0.5 }]);
    }
}
