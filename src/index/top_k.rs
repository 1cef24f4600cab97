//! The best `k` of a stream of scored tracks.

use std::cmp::Ordering;

use crate::domain::{Retrieved, TrackIx, by_score};

/// Best first: higher score, then lower row.
#[inline]
pub(super) fn best_first(a: &Retrieved, b: &Retrieved) -> Ordering {
    by_score(a.score, b.score).then(a.track.cmp(&b.track))
}

/// Keeps the best `k` of what it is offered, in any order of offers.
///
/// What cannot be among the best is turned away by one comparison; the rest goes to a buffer of `2k` that is cut back to
/// `k` by selection when it is full, which raises the bar. Amortised `O(1)` an offer; allocates only when `k` grows.
#[derive(Debug, Default)]
pub struct TopK {
    kept: Vec<Retrieved>,
    k: usize,
    bar: f32,
}

impl TopK {
    /// Empties it for a new stream.
    pub fn start(&mut self, k: usize) {
        self.kept.clear();
        self.kept.reserve(k.saturating_mul(2));
        self.k = k;
        self.bar = f32::MIN;
    }

    /// Offers a track; each at most once a stream. NaN and minus infinity are turned away.
    #[inline]
    pub fn offer(&mut self, track: TrackIx, score: f32) {
        if score >= self.bar && self.k > 0 {
            self.keep(Retrieved { track, score });
        }
    }

    fn keep(&mut self, hit: Retrieved) {
        self.kept.push(hit);
        if self.kept.len() >= self.k * 2 {
            self.prune();
            self.bar = self.kept[self.k - 1].score;
        }
    }

    /// Cuts the buffer back to the best `k`, the worst of them last.
    fn prune(&mut self) {
        if self.kept.len() > self.k && self.k > 0 {
            self.kept.select_nth_unstable_by(self.k - 1, best_first);
            self.kept.truncate(self.k);
        }
    }

    /// Appends the best `k` to `out`, best first, ties by row. `O(k log k)`.
    pub fn finish(&mut self, out: &mut Vec<Retrieved>) {
        self.prune();
        self.kept.sort_unstable_by(best_first);
        out.extend_from_slice(&self.kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_a_full_sort(scores in prop::collection::vec(-4i8..4, 0..300), k in 0usize..40, rounds in 1usize..3) {
            let mut hits: Vec<_> = scores
                .iter()
                .enumerate()
                .map(|(row, s)| Retrieved { track: TrackIx(row as u32 * 7919 % 1009), score: f32::from(*s) })
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
