//! Rules of the form "at most a in any b consecutive places".

use crate::domain::{AlbumIx, Catalogue, RequestContext, TrackIx};

/// A track that belongs to no group of that kind.
pub(super) const NONE: u32 = u32::MAX;

/// At most `most` of one group in any `window` consecutive places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// At least 1.
    pub most: usize,
    /// At least 1.
    pub window: usize,
}

impl Rule {
    /// Permits everything.
    pub const OFF: Self = Self { most: 1, window: 1 };

    /// How far back from a place the rule looks, places.
    fn reach(self) -> usize {
        if self.most >= self.window { 0 } else { self.window - 1 }
    }

    /// By how many places the window must shrink before one more of `group` may follow `before` (newest first); 0 = the
    /// rule holds.
    fn shrink(self, before: impl Iterator<Item = u32>, group: u32) -> u32 {
        if group == NONE || self.reach() == 0 {
            return 0;
        }
        let alike = before.take(self.reach()).enumerate().filter(|(_, other)| *other == group);
        alike.map(|(back, _)| back).nth(self.most - 1).map_or(0, |back| (self.reach() - back) as u32)
    }
}

/// The groups of one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Groups {
    /// Its artist.
    pub(super) artist: u32,
    /// Its album, or none.
    pub(super) album: u32,
    /// Its recording; none for what sounds before the list: whether that may come again is for filters to say.
    pub(super) recording: u32,
}

impl Groups {
    /// Of a track of the catalogue.
    pub(super) fn of(catalogue: &Catalogue, track: TrackIx) -> Self {
        let album = catalogue.album_of(track);
        Self {
            artist: catalogue.artist_of(track).0,
            album: if album == AlbumIx::NONE { NONE } else { album.0 },
            recording: catalogue.recording_of(track).0,
        }
    }

    /// Puts into `before` what comes before a list: what sounds now, if something does.
    pub(super) fn heard(context: &RequestContext, catalogue: &Catalogue, before: &mut Vec<Self>) {
        let known = sounding(context, catalogue);
        before.clear();
        before.extend(known.map(|track| Self { recording: NONE, ..Self::of(catalogue, track) }));
    }
}

/// What sounds now, if the catalogue knows it.
pub(super) fn sounding(context: &RequestContext, catalogue: &Catalogue) -> Option<TrackIx> {
    let track = context.request.current_track.or(context.session.current.map(|play| play.track));
    track.filter(|track| track.at() < catalogue.len())
}

/// What a track in a place breaks, by how many places the windows would have to be smaller. Orders by what is worse: an
/// artist's window is worth more than an album's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Broken {
    /// Of the artist.
    pub(super) artist: u32,
    /// Of the album.
    pub(super) album: u32,
}

impl Broken {
    /// Nothing is broken.
    pub(super) const NOTHING: Self = Self { artist: 0, album: 0 };
}

/// The rules of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Of one artist.
    pub artist: Rule,
    /// Of one album.
    pub album: Rule,
    /// Of one recording; never relaxed.
    pub recording: Rule,
}

impl Windows {
    /// How far back from a place the rules look, places.
    pub(super) fn reach(&self) -> usize {
        self.artist.reach().max(self.album.reach()).max(self.recording.reach())
    }

    /// What a track breaks after `before` (newest first); `None` where its recording must not stand there.
    pub(super) fn broken(&self, before: impl Iterator<Item = Groups> + Clone, track: Groups) -> Option<Broken> {
        if self.recording.shrink(before.clone().map(|g| g.recording), track.recording) > 0 {
            return None;
        }
        let artist = self.artist.shrink(before.clone().map(|g| g.artist), track.artist);
        Some(Broken { artist, album: self.album.shrink(before.map(|g| g.album), track.album) })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::stages::rerank) fn rule() -> impl Strategy<Value = Rule> {
        (1usize..3, 1usize..6).prop_map(|(most, window)| Rule { most, window })
    }

    proptest! {
        /// A list holds a rule by its definition exactly if no place shrinks the window.
        #[test]
        fn no_place_shrinks_exactly_if_every_window_holds(list in prop::collection::vec(0u32..4, 0..9), rule in rule()) {
            let holds = list.windows(rule.window.min(list.len()).max(1))
                .all(|window| window.iter().all(|g| window.iter().filter(|other| *other == g).count() <= rule.most));
            let shrinks = |at: usize| rule.shrink(list[..at].iter().rev().copied(), list[at]);
            prop_assert_eq!(holds, (0..list.len()).all(|at| shrinks(at) == 0));
            // The smaller window that a place asks for is one that permits it, and no larger one does.
            for at in 0..list.len() {
                let by = shrinks(at) as usize;
                let narrow = Rule { window: rule.window - by, ..rule };
                prop_assert_eq!(narrow.shrink(list[..at].iter().rev().copied(), list[at]), 0);
                let wider = Rule { window: narrow.window + 1, ..rule };
                prop_assert!(by == 0 || wider.shrink(list[..at].iter().rev().copied(), list[at]) > 0);
            }
        }
    }

    #[test]
    fn what_has_no_group_is_free() {
        assert_eq!(Rule { most: 1, window: 9 }.shrink([NONE, NONE].into_iter(), NONE), 0);
        assert_eq!(Rule { most: 3, window: 3 }.shrink([7, 7, 7].into_iter(), 7), 0);
        assert_eq!(Rule { most: 1, window: 4 }.shrink([5, 7, 7].into_iter(), 7), 2);
    }
}
