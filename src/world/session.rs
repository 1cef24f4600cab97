//! One session: an intent, and one play after another.

use rand::RngExt;

use super::behaviour::{Play, play};
use super::catalogue::World;
use super::listener::{Listener, artist_of_genre};

/// What a session is for: the energy it wants, and how much it explores.
#[derive(Clone, Copy)]
pub(super) struct Intent {
    pub(super) energy: f32,
    pub(super) explore: f32,
}

/// The intents: focus, energise, relax, party, discover.
const INTENTS: [Intent; 5] = [
    Intent { energy: 0.35, explore: 0.10 },
    Intent { energy: 0.85, explore: 0.10 },
    Intent { energy: 0.30, explore: 0.15 },
    Intent { energy: 0.78, explore: 0.15 },
    Intent { energy: 0.58, explore: 0.45 },
];

/// How likely each intent is at an hour.
pub(super) fn intent_at(hour: u8, listener: &mut Listener) -> Intent {
    let weights: [f32; 5] = match hour {
        6..=8 => [1.0, 4.0, 1.0, 0.2, 1.0],
        9..=16 => [4.0, 1.0, 1.0, 0.3, 1.0],
        17..=19 => [1.0, 3.0, 1.5, 1.0, 1.5],
        20..=23 => [0.8, 0.6, 3.0, 2.5, 1.5],
        _ => [0.5, 0.3, 3.0, 2.0, 1.0],
    };
    let mut left = listener.rng.random::<f32>() * weights.iter().sum::<f32>();
    let place = weights.iter().position(|w| {
        left -= w;
        left < 0.0
    });
    INTENTS[place.unwrap_or(4)]
}

/// Simulates one session from `start_ms`; plays are appended in time order. Returns when it ended.
pub(super) fn simulate(world: &World, listener: &mut Listener, start_ms: i64, plays: &mut Vec<Play>) -> i64 {
    let intent = intent_at(listener.local_hour(start_ms), listener);
    let mut now = start_ms;
    let mut last: Option<Play> = None;
    let go_on = f64::from(1.0 - 1.0 / listener.stamina);
    listener.sessions += 1;
    for _ in 0..200 {
        let Some(track) = choose(world, listener, intent, last.as_ref(), now) else { break };
        let next = play(world, listener, intent, track, now, 0.0);
        now = next.end_ms + listener.rng.random_range(300..4_000);
        let stopped = next.stopped;
        plays.push(next.clone());
        last = Some(next);
        if stopped || !listener.rng.random_bool(go_on) {
            break;
        }
    }
    now
}

/// The next track: the album goes on, the artist stays, a neighbour follows, an old favourite returns, or something new.
pub(super) fn choose(
    world: &World,
    listener: &mut Listener,
    intent: Intent,
    last: Option<&Play>,
    now: i64,
) -> Option<u32> {
    for _ in 0..12 {
        let track = propose(world, listener, intent, last);
        let song = &world.songs[track as usize];
        let here = song.markets >> listener.market & 1 == 1;
        let released = i64::from(song.release_day) * 86_400_000 <= now;
        let same = last.is_some_and(|play| play.track == track);
        let tired = f64::from(0.8 * listener.satiation(track, now));
        if here && released && !same && !listener.rng.random_bool(tired) {
            return Some(track);
        }
    }
    None
}

fn propose(world: &World, listener: &mut Listener, intent: Intent, last: Option<&Play>) -> u32 {
    let dice = listener.rng.random::<f32>();
    if let Some(play) = last.filter(|play| !play.skipped) {
        let song = &world.songs[play.track as usize];
        if dice < 0.20 {
            let next = play.track + 1;
            let in_album = world.songs.get(next as usize).is_some_and(|s| s.album_first == song.album_first);
            if in_album {
                return next;
            }
        }
        if dice < 0.36 {
            return track_of(world, listener, song.artist);
        }
        if dice < 0.58 {
            let near = world.artists[song.artist as usize].near;
            let pick = near[listener.rng.random_range(0..near.len())];
            return track_of(world, listener, pick);
        }
    }
    let dice = listener.rng.random::<f32>();
    if dice < listener.repeats && !listener.memory.is_empty() {
        let place = listener.rng.random_range(0..listener.memory.len());
        return listener.memory[place].0;
    }
    let artist = if dice < 1.0 - intent.explore && !listener.favourites.is_empty() {
        listener.favourites[listener.rng.random_range(0..listener.favourites.len())]
    } else {
        let which = listener.rng.random::<f32>();
        let genre = if which < listener.genres[0].1 {
            listener.genres[0].0
        } else if which < listener.genres[0].1 + listener.genres[1].1 {
            listener.genres[1].0
        } else {
            listener.genres[2].0
        };
        artist_of_genre(world, genre, &mut listener.rng)
    };
    track_of(world, listener, artist)
}

/// A track of an artist, by weight.
fn track_of(world: &World, listener: &mut Listener, artist: u32) -> u32 {
    let tracks = world.tracks_of(artist);
    let total: f32 = tracks.clone().map(|t| world.songs[t as usize].weight).sum();
    let mut left = listener.rng.random::<f32>() * total;
    tracks
        .clone()
        .find(|t| {
            left -= world.songs[*t as usize].weight;
            left < 0.0
        })
        .unwrap_or(tracks.start)
}
