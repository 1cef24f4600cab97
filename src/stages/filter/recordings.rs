//! A set of recordings: another release of what was heard is the same music.

use std::sync::Arc;

use crate::domain::{Catalogue, TrackIx};
use crate::pipeline::TrackSet;

/// The recordings of some tracks. Keeps its memory.
#[derive(Debug)]
pub(super) struct Recordings {
    catalogue: Arc<Catalogue>,
    /// The set holds 32-bit row numbers; here they are rows of recordings.
    seen: TrackSet,
    len: usize,
}

impl Recordings {
    /// An empty set.
    pub(super) fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { catalogue, seen: TrackSet::default(), len: 0 }
    }

    /// Replaces the set by the recordings of `tracks`; rows of another catalogue are passed over.
    pub(super) fn set(&mut self, tracks: impl IntoIterator<Item = TrackIx>) {
        self.seen.clear();
        self.len = 0;
        for track in tracks {
            if track.at() < self.catalogue.len() {
                self.insert(track);
            }
        }
    }

    /// Adds the recording of a track; `true` if it was new.
    pub(super) fn insert(&mut self, track: TrackIx) -> bool {
        let new = self.seen.insert(TrackIx(self.catalogue.recording_of(track).0));
        self.len += usize::from(new);
        new
    }

    /// Whether the recording of a track is in the set.
    #[inline]
    pub(super) fn contains(&self, track: TrackIx) -> bool {
        self.len > 0 && self.seen.contains(TrackIx(self.catalogue.recording_of(track).0))
    }
}
