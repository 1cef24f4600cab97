//! How the end of a play, a like or a dislike changes the session at hand: window, counters, penalties, directions and
//! sound.

use super::bounded::{make_room, push_distinct, push_newest};
use super::facts::Sound;
use super::{Verdict, moments};
use crate::config::SignalConfig;
use crate::domain::{ArtistIx, Play, SESSION_WINDOW, SessionState, TrackIx};

/// Artists with a penalty kept a session; the smallest penalty goes first.
pub const MAX_PENALTIES: usize = 64;
/// Distinct tracks remembered as played in a session; the oldest go first.
pub const MAX_PLAYED: usize = 500;
/// What a like or a dislike adds to its direction: as much as a finished play, or an early skip.
const VERDICT_WEIGHT: f32 = 1.0;

/// How far one early skip moves an artist's penalty towards 1.
const PENALTY_STEP: f32 = 0.5;
/// Penalties below this are forgotten.
const NEGLIGIBLE: f32 = 0.01;

/// The penalty of an artist in this session, 0..1.
pub fn penalty_of(session: &SessionState, artist: ArtistIx) -> f32 {
    session.artist_penalty.iter().find(|entry| entry.0 == artist).map_or(0.0, |entry| entry.1)
}

/// Takes in an ended play by `artist`. `vector` is the track's item vector where there are vectors.
///
/// Order: old penalties and the skipped direction decay by one play, then this play adds to them.
pub(super) fn record_play(
    session: &mut SessionState,
    play: Play,
    verdict: &Verdict,
    artist: ArtistIx,
    sound: &Sound,
    vector: Option<&[f32]>,
    config: &SignalConfig,
) {
    count(session, verdict);
    decay(session, config.skip_decay);
    if verdict.early_skip {
        penalise(session, artist);
    } else if verdict.completed {
        forgive(session, artist, config.forgive);
    }
    if let Some(vector) = vector {
        lean(session, vector, play.signal);
    }
    let heard =
        [(&mut session.tempo, sound.tempo), (&mut session.energy, sound.energy), (&mut session.valence, sound.valence)];
    for (moments, value) in heard {
        if let Some(value) = value {
            moments::push(moments, value);
        }
    }
    push_newest(&mut session.window, play, SESSION_WINDOW);
    push_distinct(&mut session.played, play.track, MAX_PLAYED);
}

/// Takes in a track's turn to liked: a strong positive, which forgives its artist as a completed play does.
pub(super) fn embrace(session: &mut SessionState, artist: ArtistIx, vector: Option<&[f32]>, config: &SignalConfig) {
    forgive(session, artist, config.forgive);
    if let Some(vector) = vector {
        lean(session, vector, VERDICT_WEIGHT);
    }
}

/// Takes in a track's turn to disliked: a strong negative, which penalises its artist as an early skip does.
pub(super) fn reject(session: &mut SessionState, artist: ArtistIx, vector: Option<&[f32]>) {
    penalise(session, artist);
    if let Some(vector) = vector {
        lean(session, vector, -VERDICT_WEIGHT);
    }
}

/// Marks or unmarks every play of a track in the session as liked.
pub(super) fn mark_liked(session: &mut SessionState, track: TrackIx, liked: bool) {
    let plays = session.window.iter_mut().chain(&mut session.current);
    plays.filter(|play| play.track == track).for_each(|play| play.liked = liked);
}

/// Moves the liked (signal > 0) or the skipped (signal < 0) direction towards a vector.
pub(super) fn lean(session: &mut SessionState, vector: &[f32], signal: f32) {
    let direction = if signal > 0.0 { &mut session.liked_direction } else { &mut session.skipped_direction };
    if signal == 0.0 {
        return;
    }
    if direction.len() != vector.len() {
        *direction = vec![0.0; vector.len()];
    }
    direction.iter_mut().zip(vector).for_each(|(sum, v)| *sum += signal.abs() * v);
}

fn count(session: &mut SessionState, verdict: &Verdict) {
    session.plays = session.plays.saturating_add(1);
    session.completes = session.completes.saturating_add(u32::from(verdict.completed));
    session.skips = session.skips.saturating_add(u32::from(verdict.skipped));
    session.skips_in_row = if verdict.skipped { session.skips_in_row.saturating_add(1) } else { 0 };
}

fn decay(session: &mut SessionState, factor: f32) {
    session.artist_penalty.iter_mut().for_each(|entry| entry.1 *= factor);
    session.artist_penalty.retain(|entry| entry.1 >= NEGLIGIBLE);
    session.skipped_direction.iter_mut().for_each(|v| *v *= factor);
}

fn penalise(session: &mut SessionState, artist: ArtistIx) {
    let penalties = &mut session.artist_penalty;
    match penalties.iter_mut().find(|entry| entry.0 == artist) {
        Some(entry) => entry.1 += (1.0 - entry.1) * PENALTY_STEP,
        None => {
            make_room(penalties);
            penalties.push((artist, PENALTY_STEP));
        }
    }
    if penalties.len() > MAX_PENALTIES {
        let smallest = penalties.iter().enumerate().min_by(|a, b| a.1.1.total_cmp(&b.1.1)).map(|(at, _)| at);
        if let Some(at) = smallest {
            penalties.remove(at);
        }
    }
}

fn forgive(session: &mut SessionState, artist: ArtistIx, part: f32) {
    if let Some(entry) = session.artist_penalty.iter_mut().find(|entry| entry.0 == artist) {
        entry.1 *= 1.0 - part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn play(track: u32, signal: f32) -> Play {
        Play { track: TrackIx(track), signal, played_fraction: 0.0, ts_ms: 0, liked: false }
    }

    fn verdict(signal: f32) -> Verdict {
        let (skipped, completed) = (signal < 0.0, signal > 0.0);
        Verdict { signal, skipped, completed, early_skip: signal <= -1.0, censored: false, ..Verdict::UNKNOWN }
    }

    proptest! {
        /// Penalties, directions and window against formulas over the whole list of plays.
        #[test]
        fn equals_formulas_over_the_whole_list(
            plays in prop::collection::vec((0u32..5, prop::sample::select(vec![-1.0f32, -0.3, 0.0, 0.6, 1.0])), 0..80)
        ) {
            let config = SignalConfig::default();
            let mut session = SessionState::default();
            let (mut penalty, mut liked, mut skipped) = ([0.0f64; 5], [0.0f64; 5], [0.0f64; 5]);
            for (artist, signal) in &plays {
                let mut vector = [0.0f32; 5];
                vector[*artist as usize] = 1.0;
                record_play(&mut session, play(*artist, *signal), &verdict(*signal), ArtistIx(*artist),
                    &Sound::default(), Some(&vector), &config);
                for p in &mut penalty {
                    *p *= f64::from(config.skip_decay);
                    *p = if *p < f64::from(NEGLIGIBLE) { 0.0 } else { *p };
                }
                skipped.iter_mut().for_each(|s| *s *= f64::from(config.skip_decay));
                let at = *artist as usize;
                if *signal <= -1.0 { penalty[at] = 1.0 - (1.0 - penalty[at]) / 2.0 }
                if *signal > 0.0 { penalty[at] *= 0.5; liked[at] += f64::from(*signal) }
                if *signal < 0.0 { skipped[at] -= f64::from(*signal) }
            }
            for at in 0..5 {
                let got = f64::from(penalty_of(&session, ArtistIx(at as u32)));
                prop_assert!((got - penalty[at]).abs() < 1.1 * f64::from(NEGLIGIBLE));
                prop_assert!((f64::from(session.liked_direction.get(at).copied().unwrap_or(0.0)) - liked[at]).abs() < 1e-3);
                prop_assert!((f64::from(session.skipped_direction.get(at).copied().unwrap_or(0.0)) - skipped[at]).abs() < 1e-3);
            }
            let tail: Vec<_> = plays.iter().map(|(t, s)| play(*t, *s)).skip(plays.len().saturating_sub(SESSION_WINDOW)).collect();
            prop_assert_eq!(&session.window, &tail);
            let mut played: Vec<_> = session.played.iter().map(|track| track.0).collect();
            prop_assert_eq!(played.last().copied(), plays.last().map(|play| play.0));
            played.sort_unstable();
            let distinct: std::collections::BTreeSet<_> = plays.iter().map(|play| play.0).collect();
            prop_assert_eq!(played, distinct.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(session.plays as usize, plays.len());
            let in_row = plays.iter().rev().take_while(|(_, s)| *s < 0.0).count();
            prop_assert_eq!(session.skips_in_row as usize, in_row);
        }
    }

    #[test]
    fn an_early_skip_counts_at_once_and_is_forgiven_by_a_completed_play() {
        let config = SignalConfig::default();
        let mut session = SessionState::default();
        let end = |session: &mut SessionState, signal| {
            record_play(session, play(0, signal), &verdict(signal), ArtistIx(0), &Sound::default(), None, &config);
            penalty_of(session, ArtistIx(0))
        };
        assert_eq!(end(&mut session, -1.0), 0.5);
        assert!((end(&mut session, 1.0) - 0.5 * config.skip_decay * (1.0 - config.forgive)).abs() < 1e-6);
    }

    #[test]
    fn lists_are_bounded() {
        let mut session = SessionState::default();
        for artist in 0..700 {
            let config = SignalConfig { skip_decay: 1.0, ..SignalConfig::default() };
            record_play(
                &mut session,
                play(artist, -1.0),
                &verdict(-1.0),
                ArtistIx(artist),
                &Sound::default(),
                None,
                &config,
            );
        }
        assert_eq!(session.artist_penalty.len(), MAX_PENALTIES);
        assert_eq!((session.played.len(), session.played[0], session.played[499]), (500, TrackIx(200), TrackIx(699)));
        assert_eq!(session.window.len(), SESSION_WINDOW, "the window alone would have let 450 of them return");
    }
}
