//! What a listener does with one track.

use rand::RngExt;

use super::catalogue::World;
use super::event::Told;
use super::listener::Listener;
use super::session::Intent;
use crate::domain::{EndReason, EventType, StartReason};

/// One play from start to end.
#[derive(Debug, Clone)]
pub(super) struct Play {
    pub(super) track: u32,
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) played_ms: u32,
    pub(super) ending: EventType,
    pub(super) reason_end: EndReason,
    pub(super) reason_start: StartReason,
    pub(super) skipped: bool,
    pub(super) stopped: bool,
    pub(super) asides: Vec<Told>,
}

/// Lets a listener hear a track: how well it fits decides between finishing, skipping and leaving. `weariness`: what the
/// session before it adds to the log-odds of a skip.
pub(super) fn play(
    world: &World,
    listener: &mut Listener,
    intent: Intent,
    track: u32,
    start_ms: i64,
    weariness: f32,
) -> Play {
    let song = &world.songs[track as usize];
    let artist = &world.artists[song.artist as usize];
    let fit = super::cosine(&listener.taste, &artist.latent);
    let mood = (song.energy - intent.energy).abs();
    let tired = listener.satiation(track, start_ms);
    let known = listener.favourites.contains(&song.artist);
    let leaning =
        -0.1 - 2.0 * fit + 2.4 * mood + 1.6 * tired - 0.5 * f32::from(known) + listener.impatience + weariness;
    let skip = 1.0 / (1.0 + (-leaning).exp());
    let skipped = listener.rng.random::<f32>() < skip;
    let stopped = !skipped && listener.rng.random_bool(0.02);
    let (ending, reason_end, played_ms) = if skipped {
        (EventType::Skip, EndReason::Skip, skip_point(listener, skip, song.duration_ms))
    } else if stopped {
        let reasons = [EndReason::Logout, EndReason::AppClosed, EndReason::Timeout];
        let reason = reasons[listener.rng.random_range(0..reasons.len())];
        (EventType::Stop, reason, listener.rng.random_range(1_000..song.duration_ms))
    } else {
        (EventType::PlayEnd, EndReason::Done, song.duration_ms)
    };
    let mut asides = Vec::new();
    let paused_ms = pauses(listener, start_ms, played_ms, &mut asides);
    let end_ms = start_ms + i64::from(played_ms) + paused_ms;
    verdicts(listener, skip, skipped, (start_ms, played_ms), &mut asides);
    asides.sort_by_key(|aside| aside.ts_ms);
    listener.remember(track, end_ms);
    if !skipped && !stopped {
        listener.enjoy(song.artist, &artist.latent);
    }
    let reason_start = match listener.rng.random_range(0..10) {
        0 => StartReason::Click,
        1 => StartReason::Search,
        _ => StartReason::Auto,
    };
    Play { track, start_ms, end_ms, played_ms, ending, reason_end, reason_start, skipped, stopped, asides }
}

/// When a skip comes: the poorer the match, the more often within the first ten seconds.
fn skip_point(listener: &mut Listener, skip: f32, duration_ms: u32) -> u32 {
    if listener.rng.random::<f32>() < 0.35 + 0.4 * skip {
        listener.rng.random_range(800..9_900)
    } else {
        let part = listener.rng.random::<f32>().powi(2) * 0.85;
        10_000 + (part * duration_ms.saturating_sub(12_000) as f32) as u32
    }
}

/// Pauses and seeks: no verdicts. Returns how long the music rested, ms.
fn pauses(listener: &mut Listener, start_ms: i64, played_ms: u32, asides: &mut Vec<Told>) -> i64 {
    if played_ms < 20_000 || !listener.rng.random_bool(0.03) {
        return 0;
    }
    let position_ms = listener.rng.random_range(5_000..played_ms);
    let at = start_ms + i64::from(position_ms);
    if listener.rng.random_bool(0.3) {
        asides.push(Told { kind: EventType::Seek, ts_ms: at, position_ms });
        return 0;
    }
    let rest = listener.rng.random_range(2_000..600_000);
    asides.push(Told { kind: EventType::Pause, ts_ms: at, position_ms });
    asides.push(Told { kind: EventType::Resume, ts_ms: at + rest, position_ms });
    rest
}

/// Likes and dislikes: rare, and mostly where they belong.
fn verdicts(
    listener: &mut Listener,
    skip: f32,
    skipped: bool,
    (start_ms, played_ms): (i64, u32),
    asides: &mut Vec<Told>,
) {
    let dice = listener.rng.random::<f32>();
    let kind = if skipped {
        match dice {
            d if d < 0.0015 => EventType::BlockArtist,
            d if d < 0.012 => EventType::Dislike,
            _ => return,
        }
    } else {
        match dice {
            d if d < 0.06 * (1.0 - skip).powi(3) => EventType::Like,
            d if d < 0.07 * (1.0 - skip).powi(3) => EventType::AddToPlaylist,
            _ => return,
        }
    };
    let position_ms = (played_ms as f32 * (0.2 + 0.6 * listener.rng.random::<f32>())) as u32;
    asides.push(Told { kind, ts_ms: start_ms + i64::from(position_ms), position_ms });
}
