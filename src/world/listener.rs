//! Listeners: tastes, habits, and what they remember.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::audio::GENRES;
use super::catalogue::{MARKETS, World, log_normal, normal};
use super::{Latent, stream};
use crate::domain::Device;

const LISTENER: u64 = 5;
/// Plays a listener remembers.
const MEMORY: usize = 48;
/// Artists a listener holds dear.
const FAVOURITES: usize = 12;

/// Hours that listeners' clocks are ahead of UTC, by market.
const UTC_OFFSET: [i8; 8] = [1, -6, 1, -3, 9, 0, 1, 5];

/// One listener.
pub(super) struct Listener {
    pub(super) market: u8,
    pub(super) device: Device,
    /// Sessions a day.
    pub(super) rate: f32,
    /// Mean plays a session.
    pub(super) stamina: f32,
    /// How readily a poor match is skipped.
    pub(super) impatience: f32,
    /// How much of the listening is old favourites.
    pub(super) repeats: f32,
    /// Two hours around which listening gathers.
    pub(super) peaks: [f32; 2],
    /// First day without listening.
    pub(super) churn_day: i32,
    /// Where the taste is; drifts towards what is enjoyed.
    pub(super) taste: Latent,
    /// Genres by share of the listening.
    pub(super) genres: [(u8, f32); 3],
    pub(super) favourites: Vec<u32>,
    /// Tracks played lately with the time of the last play, newest last.
    pub(super) memory: Vec<(u32, i64)>,
    /// When the last session ended.
    pub(super) busy_until_ms: i64,
    pub(super) sessions: u32,
    pub(super) rng: ChaCha8Rng,
}

impl Listener {
    /// The listener with this number.
    pub(super) fn new(world: &World, number: u64, start_day: i32, days: u32) -> Self {
        let mut rng = stream(world.seed, LISTENER, number);
        let mut genres = [(0u8, 0.0f32); 3];
        for (place, share) in [(0, 0.6), (1, 0.27), (2, 0.13)] {
            genres[place] = (populated_genre(world, &mut rng), share);
        }
        let favourites: Vec<u32> = (0..rng.random_range(4..=FAVOURITES))
            .map(|_| artist_of_genre(world, genres[usize::from(rng.random_bool(0.3))].0, &mut rng))
            .collect();
        let mut taste = [0.0; super::LATENT];
        for artist in &favourites {
            let latent = &world.artists[*artist as usize].latent;
            taste.iter_mut().zip(latent).for_each(|(t, l)| *t += l / favourites.len() as f32);
        }
        let lifetime = if rng.random_bool(0.25) { rng.random_range(1..=days) } else { days };
        Self {
            market: rng.random_range(0..MARKETS.len()) as u8,
            device: Device::ALL[rng.random_range(0..Device::ALL.len())],
            rate: (log_normal(&mut rng, 0.8) * 0.24).min(4.0),
            stamina: 6.0 + 10.0 * rng.random::<f32>(),
            impatience: 0.5 * normal(&mut rng),
            repeats: 0.08 + 0.22 * rng.random::<f32>(),
            peaks: [7.0 + 3.0 * rng.random::<f32>(), 17.0 + 5.0 * rng.random::<f32>()],
            churn_day: start_day + lifetime as i32,
            taste,
            genres,
            favourites,
            memory: Vec::with_capacity(MEMORY),
            busy_until_ms: 0,
            sessions: 0,
            rng,
        }
    }

    /// The listener's hour at a moment, 0..23.
    pub(super) fn local_hour(&self, ts_ms: i64) -> u8 {
        let utc = ts_ms.rem_euclid(86_400_000) / 3_600_000;
        (utc + i64::from(UTC_OFFSET[self.market as usize])).rem_euclid(24) as u8
    }

    /// Milliseconds after midnight UTC at which a session of this listener begins.
    pub(super) fn session_start(&mut self) -> i64 {
        let peak = self.peaks[usize::from(self.rng.random_bool(0.6))];
        let local = peak + 1.8 * normal(&mut self.rng);
        let utc = (local - f32::from(UTC_OFFSET[self.market as usize])).rem_euclid(24.0);
        (f64::from(utc) * 3_600_000.0) as i64
    }

    /// Takes note of a play.
    pub(super) fn remember(&mut self, track: u32, ts_ms: i64) {
        self.memory.retain(|(known, _)| *known != track);
        if self.memory.len() == MEMORY {
            self.memory.remove(0);
        }
        self.memory.push((track, ts_ms));
    }

    /// 0 = fresh, 1 = just heard; recovers over three days.
    pub(super) fn satiation(&self, track: u32, ts_ms: i64) -> f32 {
        let heard = self.memory.iter().rev().find(|(known, _)| *known == track);
        heard.map_or(0.0, |(_, last)| (-((ts_ms - last) as f32) / (3.0 * 86_400_000.0)).exp())
    }

    /// Moves the taste towards an artist that was enjoyed and may make it a favourite.
    pub(super) fn enjoy(&mut self, artist: u32, latent: &Latent) {
        self.taste.iter_mut().zip(latent).for_each(|(t, l)| *t += 0.015 * (l - *t));
        if !self.favourites.contains(&artist) && self.rng.random_bool(0.06) {
            if self.favourites.len() >= FAVOURITES {
                let out = self.rng.random_range(0..self.favourites.len());
                self.favourites.swap_remove(out);
            }
            self.favourites.push(artist);
        }
    }
}

/// A genre with at least one artist.
fn populated_genre(world: &World, rng: &mut ChaCha8Rng) -> u8 {
    let mut genre = rng.random_range(0..GENRES.len());
    while world.by_genre[genre].is_empty() {
        genre = (genre + 1) % GENRES.len();
    }
    genre as u8
}

/// An artist of a genre, by weight.
pub(super) fn artist_of_genre(world: &World, genre: u8, rng: &mut ChaCha8Rng) -> u32 {
    let artists = &world.by_genre[genre as usize];
    let total = artists.last().map_or(0.0, |(sum, _)| *sum);
    let at = rng.random::<f32>() * total;
    let place = artists.partition_point(|(sum, _)| *sum < at);
    artists[place.min(artists.len() - 1)].1
}
