//! What this server has served of late: the share of new tracks, and how far the catalogue is covered.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::{ArtistIx, TrackIx};

/// Served tracks before which a share says nothing.
const ENOUGH: usize = 100;

/// The part of the artists that counts as the top: one in so many.
const TOP_PART: usize = 100;

/// Counts what is served, for all lanes. The share of new tracks is that of the last served tracks, as many as the window
/// holds; coverage and artists count from the start of the process, which is where it begins with nothing. A bit and a part
/// of four bytes a track, four bytes an artist, a byte a place of the window.
#[derive(Debug)]
pub struct Exposure {
    window: usize,
    served: Mutex<Served>,
}

#[derive(Debug, Default)]
struct Served {
    /// Whether each was new, oldest first.
    recent: VecDeque<bool>,
    new: usize,
    /// A bit a track.
    tracks: Vec<u64>,
    distinct: usize,
    artists: Vec<u32>,
    all: u64,
}

impl Exposure {
    /// Nothing was served yet; `window`: served tracks that the share of new ones is taken over, at least 1.
    pub fn new(window: usize) -> Self {
        Self { window: window.max(1), served: Mutex::default() }
    }

    /// Takes note of what was served: track, artist, whether it is new. One lock.
    pub fn note(&self, tracks: impl Iterator<Item = (TrackIx, ArtistIx, bool)>) {
        let mut served = self.lock();
        for (track, artist, is_new) in tracks {
            served.add(self.window, track, artist, is_new);
        }
    }

    /// Share of new tracks among the last served ones; `None` until that says something.
    pub fn new_share(&self) -> Option<f32> {
        let served = self.lock();
        let enough = served.recent.len() >= ENOUGH.min(self.window);
        enough.then(|| served.new as f32 / served.recent.len() as f32)
    }

    /// Tracks that were served at least once.
    pub fn distinct(&self) -> usize {
        self.lock().distinct
    }

    /// Share of all that was served that went to the most served hundredth of `artists` artists, at least one of them; 0
    /// where nothing was served. `O(artists)`: for gauges.
    pub fn top_artists_share(&self, artists: usize) -> f64 {
        let (mut counts, all) = {
            let served = self.lock();
            (served.artists.clone(), served.all)
        };
        let top = artists.div_ceil(TOP_PART).max(1).min(counts.len());
        if top == 0 {
            return 0.0;
        }
        counts.select_nth_unstable_by(top - 1, |a, b| b.cmp(a));
        counts[..top].iter().map(|count| f64::from(*count)).sum::<f64>() / all.max(1) as f64
    }

    fn lock(&self) -> MutexGuard<'_, Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Served {
    fn add(&mut self, window: usize, track: TrackIx, artist: ArtistIx, is_new: bool) {
        if self.recent.len() >= window
            && let Some(oldest) = self.recent.pop_front()
        {
            self.new -= usize::from(oldest);
        }
        self.recent.push_back(is_new);
        self.new += usize::from(is_new);
        let (word, bit) = (track.at() / 64, 1u64 << (track.at() % 64));
        if self.tracks.len() <= word {
            self.tracks.resize(word + 1, 0);
        }
        self.distinct += usize::from(self.tracks[word] & bit == 0);
        self.tracks[word] |= bit;
        if self.artists.len() <= artist.at() {
            self.artists.resize(artist.at() + 1, 0);
        }
        self.artists[artist.at()] = self.artists[artist.at()].saturating_add(1);
        self.all += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        #[test]
        fn equals_a_recount(
            served in prop::collection::vec((0u32..400, any::<bool>()), 0..300), window in 1usize..200, artists in 1usize..500,
        ) {
            let exposure = Exposure::new(window);
            let artist_of = |track: u32| ArtistIx(track % 150);
            served.chunks(7).for_each(|list| {
                exposure.note(list.iter().map(|(track, new)| (TrackIx(*track), artist_of(*track), *new)));
            });
            let recent: Vec<_> = served.iter().rev().take(window).collect();
            let share = recent.iter().filter(|(_, new)| *new).count() as f32 / recent.len() as f32;
            prop_assert_eq!(exposure.new_share(), (recent.len() >= window.min(100)).then_some(share));
            let distinct: BTreeSet<u32> = served.iter().map(|(track, _)| *track).collect();
            prop_assert_eq!(exposure.distinct(), distinct.len());
            let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
            served.iter().for_each(|(track, _)| *counts.entry(artist_of(*track).0).or_default() += 1);
            let mut counts: Vec<u32> = counts.into_values().collect();
            counts.sort_unstable_by(|a, b| b.cmp(a));
            let top: u32 = counts.iter().take(artists.div_ceil(100)).sum();
            let twin = f64::from(top) / served.len().max(1) as f64;
            prop_assert!((exposure.top_artists_share(artists) - twin).abs() < 1e-9);
        }
    }
}
