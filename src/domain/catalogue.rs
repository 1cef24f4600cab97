//! The catalogue: one row a track, in columns, with the look-ups that stages need.

use std::collections::HashMap;

use super::added::{Added, AddedTrack};
use super::few_tracks::FewTracks;
use super::{AlbumIx, ArtistId, ArtistIx, GenreIx, MarketIx, RecordingIx, TrackId, TrackIx};

/// Markets that a catalogue can tell apart.
pub(super) const MAX_MARKETS: usize = 256;

/// One track as `tracks.parquet` holds it (`docs/formats.md`).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "every column is described once, in docs/formats.md")]
pub struct Track {
    pub track_id: TrackId,
    pub title: String,
    pub artist_id: ArtistId,
    pub artist_name: String,
    pub album_id: Option<String>,
    pub recording_id: Option<String>,
    pub genre: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    pub release_day: Option<i32>,
    pub duration_ms: Option<i32>,
    pub explicit: bool,
    pub tempo_bpm: Option<f32>,
    pub energy: Option<f32>,
    pub valence: Option<f32>,
    pub danceability: Option<f32>,
    pub acousticness: Option<f32>,
    pub loudness_db: Option<f32>,
    pub key: Option<i8>,
    pub mode: Option<i8>,
    pub markets: Option<Vec<String>>,
    pub available_from_ms: Option<i64>,
    pub available_until_ms: Option<i64>,
}

/// A set of markets as a bitmap over [`MarketIx`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarketSet([u64; 4]);

impl MarketSet {
    /// Every market, known or not.
    pub const ALL: Self = Self([u64::MAX; 4]);
    /// No market.
    pub const NONE: Self = Self([0; 4]);

    /// Adds a market.
    pub fn insert(&mut self, market: MarketIx) {
        self.0[market.at() / 64] |= 1 << (market.at() % 64);
    }

    /// Whether the market is in the set.
    #[inline]
    pub fn contains(self, market: MarketIx) -> bool {
        self.0[market.at() / 64] >> (market.at() % 64) & 1 == 1
    }
}

/// One artist.
#[derive(Debug, Clone)]
pub struct Artist {
    /// Opaque id.
    pub id: ArtistId,
    /// Display name.
    pub name: String,
}

/// Why rows are not a catalogue.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CatalogueError {
    /// Two rows share a track id.
    #[error("track_id {id:?} stands in rows {first} and {second}")]
    DuplicateTrack {
        /// The id.
        id: TrackId,
        /// First row.
        first: usize,
        /// Second row.
        second: usize,
    },
    /// A number is NaN or infinite.
    #[error("track {id:?}: {column} is not finite")]
    NotFinite {
        /// The track.
        id: TrackId,
        /// The column.
        column: &'static str,
    },
    /// More distinct values than row indices can number.
    #[error("more than {limit} distinct {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

/// All tracks of a bundle in columns; row = [`TrackIx`]. What was built never changes; tracks can be added behind it.
#[derive(Debug)]
pub struct Catalogue {
    pub(super) tracks: Vec<Track>,
    artist: Vec<ArtistIx>,
    album: Vec<AlbumIx>,
    recording: Vec<RecordingIx>,
    genre: Vec<GenreIx>,
    markets: Vec<MarketSet>,
    few_tracks: FewTracks,
    pub(super) artists: Vec<Artist>,
    pub(super) genres: Vec<String>,
    pub(super) market_codes: Vec<String>,
    by_id: HashMap<TrackId, TrackIx>,
    artist_by_id: HashMap<ArtistId, ArtistIx>,
    artist_starts: Vec<u32>,
    artist_tracks: Vec<TrackIx>,
    /// Numbers below these are those of the bundle's albums and recordings; what is added is numbered after its row.
    pub(super) albums: usize,
    pub(super) recordings: usize,
    pub(super) added: Added,
}

impl Catalogue {
    /// Builds the columns and look-ups. `O(n)` time and memory.
    ///
    /// # Errors
    /// A duplicate track id, a non-finite number, or too many artists, genres (65,534) or markets (256).
    pub fn new(tracks: Vec<Track>) -> Result<Self, CatalogueError> {
        let mut by_id = HashMap::with_capacity(tracks.len());
        let (mut artists, mut artist_by_id) = (Vec::new(), HashMap::new());
        let mut albums = Interner::new("albums", u32::MAX as usize - 1);
        let mut recordings = Interner::new("recordings", u32::MAX as usize - 1);
        let mut genres = Interner::new("genres", usize::from(u16::MAX) - 1);
        let mut codes = Interner::new("markets", MAX_MARKETS);
        let n = tracks.len();
        let (mut artist, mut album, mut recording, mut genre, mut markets) = (
            Vec::with_capacity(n),
            Vec::with_capacity(n),
            Vec::with_capacity(n),
            Vec::with_capacity(n),
            Vec::with_capacity(n),
        );
        for (row, track) in tracks.iter().enumerate() {
            check_finite(track)?;
            if let Some(first) = by_id.insert(track.track_id.clone(), TrackIx(row as u32)) {
                return Err(CatalogueError::DuplicateTrack {
                    id: track.track_id.clone(),
                    first: first.at(),
                    second: row,
                });
            }
            artist.push(*artist_by_id.entry(track.artist_id.clone()).or_insert_with(|| {
                artists.push(Artist { id: track.artist_id.clone(), name: track.artist_name.clone() });
                ArtistIx(artists.len() as u32 - 1)
            }));
            album.push(match &track.album_id {
                Some(name) => AlbumIx(albums.intern(name)? as u32),
                None => AlbumIx::NONE,
            });
            let own = format!("\u{0}{row}");
            recording.push(RecordingIx(recordings.intern(track.recording_id.as_deref().unwrap_or(&own))? as u32));
            genre.push(match &track.genre {
                Some(name) => GenreIx(genres.intern(name)? as u16),
                None => GenreIx::NONE,
            });
            markets.push(match &track.markets {
                None => MarketSet::ALL,
                Some(list) => {
                    let mut set = MarketSet::NONE;
                    for code in list {
                        set.insert(MarketIx(codes.intern(code)? as u8));
                    }
                    set
                }
            });
        }
        let (artist_starts, artist_tracks) = group_by_artist(&artist, artists.len());
        let few_tracks = FewTracks::new(&markets, codes.names.len());
        Ok(Self {
            tracks,
            artist,
            album,
            recording,
            genre,
            markets,
            few_tracks,
            artists,
            genres: genres.names,
            market_codes: codes.names,
            by_id,
            artist_by_id,
            artist_starts,
            artist_tracks,
            albums: albums.names.len(),
            recordings: recordings.names.len(),
            added: Added::default(),
        })
    }

    /// Number of tracks, with those that were added.
    #[inline]
    pub fn len(&self) -> usize {
        self.tracks.len() + self.added.tracks.len()
    }

    /// Whether there is no track.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows that were added, oldest first.
    pub fn added(&self) -> impl ExactSizeIterator<Item = TrackIx> + DoubleEndedIterator + use<> {
        (self.tracks.len() as u32..self.len() as u32).map(TrackIx)
    }

    /// The full row of a track.
    pub fn track(&self, track: TrackIx) -> &Track {
        self.tracks.get(track.at()).unwrap_or_else(|| &self.added_track(track).track)
    }

    /// The bundle's rows.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The row of an id; of a track that was added again, the newest.
    pub fn find(&self, id: &str) -> Option<TrackIx> {
        let added = if self.added.tracks.is_empty() { None } else { self.added.by_id.get(id).map(|at| *at) };
        added.or_else(|| self.by_id.get(id).copied())
    }

    /// A track that was added. Panics for another.
    #[cold]
    fn added_track(&self, track: TrackIx) -> &AddedTrack {
        &self.added.tracks[track.at() - self.tracks.len()]
    }

    /// A track's value of one column.
    #[inline]
    fn value<T: Copy>(&self, column: &[T], track: TrackIx, added: impl Fn(&AddedTrack) -> T) -> T {
        column.get(track.at()).copied().unwrap_or_else(|| added(self.added_track(track)))
    }

    /// The artist of a track.
    #[inline]
    pub fn artist_of(&self, track: TrackIx) -> ArtistIx {
        self.value(&self.artist, track, |added| added.artist)
    }

    /// The album of a track, or [`AlbumIx::NONE`].
    #[inline]
    pub fn album_of(&self, track: TrackIx) -> AlbumIx {
        self.value(&self.album, track, |added| added.album)
    }

    /// The recording of a track; a track without a known recording is its own.
    #[inline]
    pub fn recording_of(&self, track: TrackIx) -> RecordingIx {
        self.value(&self.recording, track, |added| added.recording)
    }

    /// The genre of a track, or [`GenreIx::NONE`].
    #[inline]
    pub fn genre_of(&self, track: TrackIx) -> GenreIx {
        self.value(&self.genre, track, |added| added.genre)
    }

    /// Where a track may be played.
    #[inline]
    pub fn markets_of(&self, track: TrackIx) -> MarketSet {
        self.value(&self.markets, track, |added| added.markets)
    }

    /// The tracks of an artist in the bundle, in row order; none for an artist that was added.
    pub fn tracks_of(&self, artist: ArtistIx) -> &[TrackIx] {
        match self.artist_starts.get(artist.at()..artist.at() + 2) {
            Some([start, end]) => &self.artist_tracks[*start as usize..*end as usize],
            _ => &[],
        }
    }

    /// Id and name of an artist.
    pub fn artist(&self, artist: ArtistIx) -> &Artist {
        self.artists.get(artist.at()).unwrap_or_else(|| &self.added.artists[artist.at() - self.artists.len()])
    }

    /// The row of an artist id.
    pub fn find_artist(&self, id: &str) -> Option<ArtistIx> {
        let added = || self.added.artist_by_id.get(id).map(|at| *at);
        self.artist_by_id.get(id).copied().or_else(added)
    }

    /// Number of the bundle's artists.
    pub fn artist_count(&self) -> usize {
        self.artists.len()
    }

    /// Genre names; position = [`GenreIx`].
    pub fn genres(&self) -> &[String] {
        &self.genres
    }

    /// The genre of a name, or [`GenreIx::NONE`]. `O(genres)`.
    pub fn find_genre(&self, name: &str) -> GenreIx {
        self.genres.iter().position(|genre| genre == name).map_or(GenreIx::NONE, |at| GenreIx(at as u16))
    }

    /// The tracks that may be played in a market, ascending, where they are few; `None` where they are many. Of no known
    /// market: those that may be played everywhere. What was added stands in no list.
    pub fn few_tracks_in(&self, market: Option<MarketIx>) -> Option<&[TrackIx]> {
        self.few_tracks.of(market)
    }

    /// The row of a market code. A code no licence names has none: only tracks licensed everywhere play there.
    pub fn find_market(&self, code: &str) -> Option<MarketIx> {
        let codes = self.market_codes.iter().chain(self.added.markets.iter());
        codes.zip(0u8..=u8::MAX).find(|(known, _)| *known == code).map(|(_, at)| MarketIx(at))
    }
}

/// Numbers distinct strings in order of appearance.
struct Interner {
    what: &'static str,
    limit: usize,
    names: Vec<String>,
    rows: HashMap<String, usize>,
}

impl Interner {
    fn new(what: &'static str, limit: usize) -> Self {
        Self { what, limit, names: Vec::new(), rows: HashMap::new() }
    }

    fn intern(&mut self, name: &str) -> Result<usize, CatalogueError> {
        if let Some(row) = self.rows.get(name) {
            return Ok(*row);
        }
        let row = self.names.len();
        if row >= self.limit {
            return Err(CatalogueError::TooMany { what: self.what, limit: self.limit });
        }
        self.names.push(name.to_owned());
        self.rows.insert(name.to_owned(), row);
        Ok(row)
    }
}

pub(super) fn check_finite(track: &Track) -> Result<(), CatalogueError> {
    let columns = [
        ("tempo_bpm", track.tempo_bpm),
        ("energy", track.energy),
        ("valence", track.valence),
        ("danceability", track.danceability),
        ("acousticness", track.acousticness),
        ("loudness_db", track.loudness_db),
    ];
    match columns.iter().find(|(_, value)| value.is_some_and(|v| !v.is_finite())) {
        Some((column, _)) => Err(CatalogueError::NotFinite { id: track.track_id.clone(), column }),
        None => Ok(()),
    }
}

/// Counting sort of tracks by artist: starts `[artists + 1]` and the tracks in artist order.
fn group_by_artist(artist: &[ArtistIx], artists: usize) -> (Vec<u32>, Vec<TrackIx>) {
    let mut starts = vec![0u32; artists + 1];
    artist.iter().for_each(|a| starts[a.at() + 1] += 1);
    for at in 0..artists {
        starts[at + 1] += starts[at];
    }
    let mut next = starts.clone();
    let mut tracks = vec![TrackIx(0); artist.len()];
    for (row, a) in artist.iter().enumerate() {
        tracks[next[a.at()] as usize] = TrackIx(row as u32);
        next[a.at()] += 1;
    }
    (starts, tracks)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A track with nothing but ids.
    pub(crate) fn bare(id: &str, artist: &str) -> Track {
        Track {
            track_id: TrackId::new(id).unwrap(),
            title: format!("Song {id}"),
            artist_id: ArtistId::new(artist).unwrap(),
            artist_name: format!("Artist {artist}"),
            album_id: None,
            recording_id: None,
            genre: None,
            label: None,
            release_day: None,
            duration_ms: Some(200_000),
            explicit: false,
            tempo_bpm: None,
            energy: None,
            valence: None,
            danceability: None,
            acousticness: None,
            loudness_db: None,
            key: None,
            mode: None,
            markets: None,
            available_from_ms: None,
            available_until_ms: None,
        }
    }

    #[test]
    fn groups_and_looks_up() {
        let mut rows = vec![bare("t0", "a"), bare("t1", "b"), bare("t2", "a")];
        rows[2].markets = Some(vec!["SE".into()]);
        let catalogue = Catalogue::new(rows).unwrap();
        assert_eq!(catalogue.tracks_of(catalogue.find_artist("a").unwrap()), [TrackIx(0), TrackIx(2)]);
        let se = catalogue.find_market("SE").unwrap();
        assert!(catalogue.markets_of(TrackIx(2)).contains(se) && catalogue.markets_of(TrackIx(0)).contains(se));
        assert_ne!(catalogue.recording_of(TrackIx(0)), catalogue.recording_of(TrackIx(1)));
        assert!(catalogue.find("t9").is_none());
    }

    #[test]
    fn refuses_duplicates_and_nan() {
        let twice = Catalogue::new(vec![bare("t0", "a"), bare("t0", "b")]);
        assert!(matches!(twice, Err(CatalogueError::DuplicateTrack { first: 0, second: 1, .. })));
        let mut nan = bare("t0", "a");
        nan.energy = Some(f32::NAN);
        assert!(matches!(Catalogue::new(vec![nan]), Err(CatalogueError::NotFinite { column: "energy", .. })));
    }
}
