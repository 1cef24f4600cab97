//! The catalogue: compact columns to simulate on, and full rows made from them on demand.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal, Normal};

use super::audio::{GENRES, Genre};
use super::{Latent, WorldConfig, names, stream};
use crate::domain::{ArtistId, IdError, Track, TrackId};

/// Market codes of the world.
pub(super) const MARKETS: [&str; 8] = ["SE", "US", "DE", "BR", "JP", "GB", "FR", "IN"];

const ARTIST: u64 = 1;
const ALBUM: u64 = 2;
const TRACK: u64 = 3;
const GENRE: u64 = 4;

/// One artist: where the tracks begin, and what they sound like.
pub(super) struct Artist {
    pub(super) first_track: u32,
    pub(super) genre: u8,
    pub(super) latent: Latent,
    /// Artists that the same people play.
    pub(super) near: [u32; 4],
}

/// What the simulation needs to know of a track.
#[derive(Clone, Copy)]
pub(super) struct Song {
    pub(super) artist: u32,
    pub(super) album_first: u32,
    pub(super) release_day: i32,
    pub(super) duration_ms: u32,
    pub(super) weight: f32,
    pub(super) energy: f32,
    /// Bit m: may be played in market m.
    pub(super) markets: u8,
}

/// The whole catalogue in columns, about 28 bytes a track.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) artists: Vec<Artist>,
    pub(super) songs: Vec<Song>,
    /// By genre: running sum of artist weights, and the artist.
    pub(super) by_genre: Vec<Vec<(f32, u32)>>,
}

impl World {
    /// Makes the columns. `O(tracks)`.
    pub(super) fn new(config: &WorldConfig) -> Self {
        let mut world = Self { seed: config.seed, artists: Vec::new(), songs: Vec::new(), by_genre: Vec::new() };
        world.by_genre.resize_with(GENRES.len(), Vec::new);
        while world.songs.len() < config.tracks as usize {
            world.add_artist(config);
        }
        world.link_artists();
        world
    }

    /// The tracks of an artist, as a range of rows.
    pub(super) fn tracks_of(&self, artist: u32) -> std::ops::Range<u32> {
        let end = self.artists.get(artist as usize + 1).map_or(self.songs.len() as u32, |next| next.first_track);
        self.artists[artist as usize].first_track..end
    }

    fn add_artist(&mut self, config: &WorldConfig) {
        let number = self.artists.len() as u32;
        let mut rng = stream(config.seed, ARTIST, u64::from(number));
        let genre = pick_genre(&mut rng);
        let centre = normal_latent(&mut stream(config.seed, GENRE, genre as u64), 1.0);
        let spread = normal_latent(&mut rng, 0.55);
        let weight = log_normal(&mut rng, 1.5);
        let latent = std::array::from_fn(|i| centre[i] + spread[i]);
        let total = self.by_genre[genre].last().map_or(0.0, |(sum, _)| *sum) + weight;
        self.by_genre[genre].push((total, number));
        let first_track = self.songs.len() as u32;
        self.artists.push(Artist { first_track, genre: genre as u8, latent, near: [number; 4] });
        let wanted = rng.random_range(4..36).min(config.tracks as usize - self.songs.len());
        let end = self.songs.len() + wanted;
        while self.songs.len() < end {
            self.add_album(config, number, end, &mut rng);
        }
    }

    fn add_album(&mut self, config: &WorldConfig, artist: u32, end: usize, rng: &mut ChaCha8Rng) {
        let album_first = self.songs.len() as u32;
        let length = rng.random_range(4..13).min(end - self.songs.len());
        let release_day = if rng.random_bool(0.08) {
            rng.random_range(config.start_day()..config.end_day)
        } else {
            config.start_day() - 1 - (rng.random::<f32>().powi(2) * 9_000.0) as i32
        };
        let markets = if rng.random_bool(0.04) { rng.random_range(1..=254) } else { u8::MAX };
        let genre = &GENRES[self.artists[artist as usize].genre as usize];
        for place in 0..length {
            self.songs.push(Song {
                artist,
                album_first,
                release_day,
                duration_ms: (log_normal(rng, 0.25) * 205_000.0).clamp(60_000.0, 900_000.0) as u32,
                weight: log_normal(rng, 1.1) / (1.0 + 0.15 * place as f32),
                energy: around(genre.energy, 0.11, rng),
                markets,
            });
        }
    }

    /// Gives every artist four neighbours: the nearest of a sample of its genre.
    fn link_artists(&mut self) {
        for number in 0..self.artists.len() {
            let artist = &self.artists[number];
            let peers = &self.by_genre[artist.genre as usize];
            let mut rng = stream(self.seed, ARTIST, number as u64 | 1 << 40);
            let mut sample: Vec<(f32, u32)> = (0..40.min(peers.len()))
                .map(|_| peers[rng.random_range(0..peers.len())].1)
                .filter(|peer| *peer as usize != number)
                .map(|peer| (super::cosine(&artist.latent, &self.artists[peer as usize].latent), peer))
                .collect();
            sample.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            sample.dedup_by_key(|(_, peer)| *peer);
            let near = std::array::from_fn(|i| sample.get(i).map_or(number as u32, |(_, peer)| *peer));
            self.artists[number].near = near;
        }
    }

    /// The full row of a track, made from its columns and its own random stream.
    ///
    /// # Errors
    /// Never for rows of this world; ids are well formed.
    pub(super) fn row(&self, track: u32) -> Result<Track, IdError> {
        let song = &self.songs[track as usize];
        let artist = &self.artists[song.artist as usize];
        let genre = &GENRES[artist.genre as usize];
        let mut rng = stream(self.seed, TRACK, u64::from(track));
        let recording = if rng.random_bool(0.015) { artist.first_track } else { track };
        let title = names::song(genre.name, &mut stream(self.seed, TRACK, u64::from(recording) | 1 << 40));
        let mut album = stream(self.seed, ALBUM, u64::from(song.album_first));
        let licence_end = album.random_bool(0.005).then(|| i64::from(song.release_day + 9_500) * 86_400_000);
        Ok(Track {
            track_id: TrackId::new(format!("t{track}"))?,
            title,
            artist_id: ArtistId::new(format!("a{}", song.artist))?,
            artist_name: names::artist(&mut stream(self.seed, ARTIST, u64::from(song.artist) | 1 << 41)),
            album_id: Some(format!("l{}", song.album_first)),
            recording_id: Some(format!("r{recording}")),
            genre: Some(genre.name.into()),
            label: None,
            release_day: Some(song.release_day),
            duration_ms: Some(song.duration_ms as i32),
            explicit: rng.random_bool(f64::from(genre.explicit)),
            markets: (song.markets != u8::MAX)
                .then(|| (0..8).filter(|m| song.markets >> m & 1 == 1).map(|m| MARKETS[m].into()).collect()),
            available_from_ms: Some(i64::from(song.release_day) * 86_400_000),
            available_until_ms: licence_end,
            ..sound(genre, song, &mut rng)?
        })
    }
}

/// The audio half of a row; every other field is a placeholder that [`World::row`] replaces.
fn sound(genre: &Genre, song: &Song, rng: &mut ChaCha8Rng) -> Result<Track, IdError> {
    Ok(Track {
        track_id: TrackId::new("-")?,
        title: String::new(),
        artist_id: ArtistId::new("-")?,
        artist_name: String::new(),
        album_id: None,
        recording_id: None,
        genre: None,
        label: None,
        release_day: None,
        duration_ms: None,
        explicit: false,
        tempo_bpm: Some((genre.tempo + 22.0 * normal(rng)).clamp(55.0, 210.0)),
        energy: Some(song.energy),
        valence: Some(around(genre.valence, 0.16, rng)),
        danceability: Some(around(genre.danceability, 0.11, rng)),
        acousticness: Some(around(genre.acousticness, 0.14, rng)),
        loudness_db: Some((genre.loudness + 2.0 * normal(rng)).clamp(-40.0, -1.0)),
        key: Some(rng.random_range(0..12)),
        mode: Some(i8::from(rng.random_bool(0.62))),
        markets: None,
        available_from_ms: None,
        available_until_ms: None,
    })
}

fn pick_genre(rng: &mut ChaCha8Rng) -> usize {
    let mut left = rng.random::<f32>() * GENRES.iter().map(|g| g.share).sum::<f32>();
    GENRES
        .iter()
        .position(|g| {
            left -= g.share;
            left < 0.0
        })
        .unwrap_or(0)
}

/// A standard normal number.
pub(super) fn normal(rng: &mut ChaCha8Rng) -> f32 {
    Normal::new(0.0f32, 1.0).map_or(0.0, |n| n.sample(rng))
}

/// A log-normal number with median 1.
pub(super) fn log_normal(rng: &mut ChaCha8Rng, sigma: f32) -> f32 {
    LogNormal::new(0.0f32, sigma).map_or(1.0, |n| n.sample(rng))
}

/// A point around the origin.
pub(super) fn normal_latent(rng: &mut ChaCha8Rng, scale: f32) -> Latent {
    std::array::from_fn(|_| normal(rng) * scale)
}

fn around(mean: f32, spread: f32, rng: &mut ChaCha8Rng) -> f32 {
    (mean + spread * normal(rng)).clamp(0.0, 1.0)
}
