//! One bit a track.

use crate::domain::TrackIx;

/// A bitmap over the bundle's tracks.
#[derive(Debug)]
pub(super) struct TrackBits(Vec<u64>);

impl TrackBits {
    /// Bit i = i-th value.
    pub(super) fn new(values: impl ExactSizeIterator<Item = bool>) -> Self {
        let mut words = vec![0; values.len().div_ceil(64)];
        for (row, _) in values.enumerate().filter(|(_, value)| *value) {
            words[row / 64] |= 1 << (row % 64);
        }
        Self(words)
    }

    /// Whether the track's bit is set; `false` beyond the last.
    #[inline]
    pub(super) fn contains(&self, track: TrackIx) -> bool {
        self.0.get(track.at() / 64).is_some_and(|word| word >> (track.at() % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_one_bit_a_track() {
        let bits = TrackBits::new((0..130).map(|row| row % 3 == 0));
        assert!((0..130).all(|row| bits.contains(TrackIx(row)) == (row % 3 == 0)));
    }
}
