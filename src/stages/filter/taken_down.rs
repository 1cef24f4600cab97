use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::mark_where;
use crate::domain::{RemovalReason, RequestContext, TrackIx};
use crate::pipeline::CandidateFilter;

/// The tracks that must not be served any more, whatever the bundle says. Shared by all lanes; effective for every
/// request that filters after the call. Reads and writes take no lock; one bit a track.
#[derive(Debug)]
pub struct Takedowns {
    words: Vec<AtomicU64>,
    changes: AtomicU64,
}

impl Takedowns {
    /// Nothing is taken down of `tracks` tracks.
    pub fn new(tracks: usize) -> Self {
        Self { words: (0..tracks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(), changes: AtomicU64::new(0) }
    }

    /// Takes a track down; `true` if it was up. A row outside the bundle has nothing to take down.
    pub fn take_down(&self, track: TrackIx) -> bool {
        let bit = 1 << (track.at() % 64);
        let word = self.words.get(track.at() / 64);
        self.changed(word.is_some_and(|word| word.fetch_or(bit, Ordering::AcqRel) & bit == 0))
    }

    /// Puts a track up again; `true` if it was down.
    pub fn restore(&self, track: TrackIx) -> bool {
        let bit = 1 << (track.at() % 64);
        let word = self.words.get(track.at() / 64);
        self.changed(word.is_some_and(|word| word.fetch_and(!bit, Ordering::AcqRel) & bit != 0))
    }

    /// How often anything was taken down or put up again: at the same count the same tracks are down.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn changed(&self, did: bool) -> bool {
        self.changes.fetch_add(u64::from(did), Ordering::Release);
        did
    }

    /// Whether the track is down.
    #[inline]
    pub fn contains(&self, track: TrackIx) -> bool {
        let word = self.words.get(track.at() / 64);
        word.is_some_and(|word| word.load(Ordering::Acquire) >> (track.at() % 64) & 1 == 1)
    }

    /// The tracks that are down, ascending. `O(tracks / 64 + those)`.
    pub fn rows(&self) -> impl Iterator<Item = TrackIx> {
        let words = self.words.iter().map(|word| word.load(Ordering::Acquire)).enumerate();
        let of_word =
            |(at, word): (usize, u64)| (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| (at, bit));
        words.filter(|(_, word)| *word != 0).flat_map(of_word).map(|(at, bit)| TrackIx((at * 64 + bit) as u32))
    }

    /// Number of tracks that are down. `O(tracks / 64)`.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.load(Ordering::Acquire).count_ones() as usize).sum()
    }
}

/// Removes tracks that were taken down. `O(n)`.
#[derive(Debug, Clone)]
pub struct TakenDown {
    takedowns: Arc<Takedowns>,
}

impl TakenDown {
    /// Reads the shared set at each request.
    pub fn new(takedowns: Arc<Takedowns>) -> Self {
        Self { takedowns }
    }
}

impl CandidateFilter for TakenDown {
    fn reason(&self) -> RemovalReason {
        RemovalReason::TakenDown
    }

    fn mark(&mut self, _: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]) {
        mark_where(tracks, removed, |t| self.takedowns.contains(t));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_down() {
        let takedowns = Takedowns::new(70);
        assert!(takedowns.take_down(TrackIx(69)) && !takedowns.take_down(TrackIx(69)));
        assert!(takedowns.contains(TrackIx(69)) && !takedowns.contains(TrackIx(5)));
        assert!(!takedowns.take_down(TrackIx(1_000)) && !takedowns.contains(TrackIx(1_000)));
        assert!(takedowns.take_down(TrackIx(3)));
        assert_eq!((takedowns.count(), takedowns.rows().collect::<Vec<_>>()), (2, vec![TrackIx(3), TrackIx(69)]));
        assert!(takedowns.restore(TrackIx(3)));
        assert!(takedowns.restore(TrackIx(69)) && !takedowns.restore(TrackIx(69)));
        assert_eq!(takedowns.count(), 0);
    }
}
