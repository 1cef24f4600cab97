//! The tracks that a catalogue got after its bundle was built.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use dashmap::DashMap;

use super::catalogue::{Artist, Catalogue, CatalogueError, MAX_MARKETS, Track, check_finite};
use super::{AlbumIx, Appended, ArtistId, ArtistIx, GenreIx, MarketIx, MarketSet, RecordingIx, TrackId, TrackIx};

/// One of them, with what it has in common with others.
#[derive(Debug)]
pub(super) struct AddedTrack {
    pub(super) track: Track,
    pub(super) artist: ArtistIx,
    pub(super) album: AlbumIx,
    pub(super) recording: RecordingIx,
    pub(super) genre: GenreIx,
    pub(super) markets: MarketSet,
}

/// Rows and look-ups beside those of the bundle.
#[derive(Debug, Default)]
pub(super) struct Added {
    pub(super) tracks: Appended<AddedTrack>,
    pub(super) artists: Appended<Artist>,
    pub(super) markets: Appended<String>,
    pub(super) by_id: DashMap<TrackId, TrackIx>,
    pub(super) artist_by_id: DashMap<ArtistId, ArtistIx>,
    pub(super) by_artist: DashMap<ArtistIx, Vec<TrackIx>>,
    /// Tracks that were added and can be found.
    pub(super) count: AtomicU64,
    /// Held by whoever adds.
    pub(super) writer: Mutex<()>,
}

impl Catalogue {
    /// Adds a track while others read, and returns its row. Where its id is known, the new row takes the id over and is
    /// the same recording; the old row stays what it was. An album or a recording of the same artist is recognised by its
    /// name. A genre that no track of the bundle has is no genre. `O(tracks of the artist + genres)`.
    ///
    /// # Errors
    /// A number that is not finite, or more markets or rows than can be told apart; nothing was added.
    pub fn add(&self, track: Track) -> Result<TrackIx, CatalogueError> {
        let _writer = self.added.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.may_add(&track)?;
        let (added, row) = (&self.added, self.len());
        let ix = TrackIx(row as u32);
        let markets = self.intern_markets(&track);
        let artist = self.find_artist(track.artist_id.as_str()).unwrap_or_else(|| {
            let name = track.artist_name.clone();
            let at = added.artists.push(Artist { id: track.artist_id.clone(), name });
            let artist = ArtistIx((self.artists.len() + at) as u32);
            added.artist_by_id.insert(track.artist_id.clone(), artist);
            artist
        });
        let before = self.find(track.track_id.as_str());
        let of_added = added.by_artist.get(&artist).map(|tracks| tracks.clone()).unwrap_or_default();
        let others = || self.tracks_of(artist).iter().chain(&of_added).copied();
        let same = |name: &Option<String>, of: fn(&Track) -> &Option<String>| {
            name.as_ref().and_then(|name| others().find(|other| of(self.track(*other)).as_ref() == Some(name)))
        };
        let number = row - self.tracks.len();
        let album = match same(&track.album_id, |t| &t.album_id) {
            Some(other) => self.album_of(other),
            None if track.album_id.is_some() => AlbumIx((self.albums + number) as u32),
            None => AlbumIx::NONE,
        };
        let recording = before.or_else(|| same(&track.recording_id, |t| &t.recording_id));
        let recording = match recording {
            Some(other) => self.recording_of(other),
            None => RecordingIx((self.recordings + number) as u32),
        };
        let genre = track.genre.as_deref().map_or(GenreIx::NONE, |name| self.find_genre(name));
        let id = track.track_id.clone();
        added.tracks.push(AddedTrack { track, artist, album, recording, genre, markets });
        added.by_artist.entry(artist).or_default().push(ix);
        added.by_id.insert(id, ix);
        added.count.fetch_add(1, Ordering::Release);
        Ok(ix)
    }

    /// How many tracks were added, counted once they can be found by their id: what was looked up at the same count is
    /// found the same now.
    pub fn additions(&self) -> u64 {
        self.added.count.load(Ordering::Acquire)
    }

    /// Whether [`Catalogue::add`] would take a track now.
    ///
    /// # Errors
    /// As there.
    pub fn may_add(&self, track: &Track) -> Result<(), CatalogueError> {
        check_finite(track)?;
        if self.len() >= u32::MAX as usize {
            return Err(CatalogueError::TooMany { what: "tracks", limit: u32::MAX as usize });
        }
        let mut new: Vec<_> = track.markets.iter().flatten().filter(|code| self.find_market(code).is_none()).collect();
        new.sort_unstable();
        new.dedup();
        if self.market_codes.len() + self.added.markets.len() + new.len() > MAX_MARKETS {
            return Err(CatalogueError::TooMany { what: "markets", limit: MAX_MARKETS });
        }
        Ok(())
    }

    /// The markets of a track that may be added.
    fn intern_markets(&self, track: &Track) -> MarketSet {
        let Some(codes) = &track.markets else { return MarketSet::ALL };
        let mut set = MarketSet::NONE;
        for code in codes {
            set.insert(
                self.find_market(code).unwrap_or_else(|| {
                    MarketIx((self.market_codes.len() + self.added.markets.push(code.clone())) as u8)
                }),
            );
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::tests::bare;
    use super::*;

    #[test]
    fn grows_behind_what_was_built() {
        let mut rows = vec![bare("t0", "a"), bare("t1", "b")];
        rows[0].genre = Some("jazz".into());
        rows[0].album_id = Some("x".into());
        rows[1].markets = Some(vec!["SE".into()]);
        let catalogue = Catalogue::new(rows.clone()).unwrap();
        let jazz = Track { markets: Some(vec!["NO".into(), "SE".into()]), ..bare("t2", "c") };
        let jazz = Track { genre: Some("jazz".into()), recording_id: Some("r".into()), ..jazz };
        assert_eq!(catalogue.add(jazz.clone()).unwrap(), TrackIx(2));
        assert_eq!((catalogue.len(), catalogue.tracks().len(), catalogue.added().len()), (3, 2, 1));
        assert_eq!((catalogue.find("t2"), catalogue.track(TrackIx(2))), (Some(TrackIx(2)), &jazz));
        let artist = catalogue.find_artist("c").unwrap();
        assert_eq!((catalogue.artist_of(TrackIx(2)), &*catalogue.artist(artist).name), (artist, "Artist c"));
        assert!(catalogue.tracks_of(artist).is_empty());
        assert_eq!(catalogue.genre_of(TrackIx(2)), catalogue.genre_of(TrackIx(0)));
        let [se, no] = ["SE", "NO"].map(|code| catalogue.find_market(code).unwrap());
        assert!(catalogue.markets_of(TrackIx(2)).contains(no) && catalogue.markets_of(TrackIx(2)).contains(se));
        assert!(!catalogue.markets_of(TrackIx(1)).contains(no) && catalogue.markets_of(TrackIx(0)).contains(no));
        // The same recording on another release, and an album of the bundle.
        let other = Track { recording_id: Some("r".into()), genre: Some("unheard of".into()), ..bare("t3", "c") };
        let other = catalogue.add(other).unwrap();
        assert_eq!(catalogue.recording_of(other), catalogue.recording_of(TrackIx(2)));
        assert_eq!((catalogue.genre_of(other), catalogue.album_of(other)), (GenreIx::NONE, AlbumIx::NONE));
        let third = catalogue.add(Track { album_id: Some("x".into()), ..bare("t4", "a") }).unwrap();
        assert_eq!(catalogue.album_of(third), catalogue.album_of(TrackIx(0)));
        assert_ne!(catalogue.recording_of(third), catalogue.recording_of(TrackIx(0)));
    }

    #[test]
    fn a_track_that_comes_again_takes_its_id_over() {
        let catalogue = Catalogue::new(vec![bare("t0", "a"), bare("t1", "b")]).unwrap();
        let renamed = Track { title: "Other".into(), ..bare("t0", "a") };
        let row = catalogue.add(renamed).unwrap();
        assert_eq!((catalogue.find("t0"), catalogue.track(TrackIx(0)).title.as_str()), (Some(row), "Song t0"));
        assert_eq!(catalogue.recording_of(row), catalogue.recording_of(TrackIx(0)));
        let bad = Track { energy: Some(f32::NAN), ..bare("t9", "z") };
        assert!(catalogue.add(bad).is_err() && catalogue.find("t9").is_none() && catalogue.len() == 3);
        let codes = (0..257).map(|at| format!("m{at}")).collect();
        assert!(catalogue.add(Track { markets: Some(codes), ..bare("t9", "z") }).is_err());
        assert!(catalogue.find_artist("z").is_none());
    }
}
