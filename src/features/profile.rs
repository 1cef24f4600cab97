//! How events change the long-term profile.

use super::bounded::{insert_sorted, make_room, push_newest, remove_sorted};
use super::{Verdict, affinity};
use crate::config::SignalConfig;
use crate::domain::{ArtistIx, GenreIx, Play, TrackHistory, TrackIx, UserProfile};

/// Artists kept in the affinity; the lightest goes first.
pub const MAX_ARTISTS: usize = 256;
/// Genres kept in the affinity; the lightest goes first.
pub const MAX_GENRES: usize = 256;
/// Plays kept in `recent`; the oldest go first.
pub const MAX_RECENT: usize = 50;
/// Tracks with a history; the least recently played goes first.
pub const MAX_TRACKS: usize = 1_024;
/// Disliked tracks. Beyond that a new one takes the place of the lowest row: ages are not stored.
pub const MAX_DISLIKED: usize = 8_192;
/// Blocked artists. Beyond that a new one takes the place of the lowest row: ages are not stored.
pub const MAX_BLOCKED: usize = 2_048;

/// Weight that a like adds to the affinities of artist and genre: as much as a finished play.
const LIKE_WEIGHT: f32 = 1.0;

/// Brings the clock-bound parts up to the time of an event. Late events move nothing back.
pub(super) fn advance(profile: &mut UserProfile, ts_ms: i64, config: &SignalConfig) {
    let elapsed = ts_ms.saturating_sub(profile.last_ms);
    if elapsed > 0 {
        let factor = affinity::decay(elapsed, config.affinity_half_life_days);
        profile.hours.iter_mut().for_each(|plays| *plays *= factor);
        profile.last_ms = ts_ms;
    }
}

/// Takes in an ended play; [`advance`] has been called for its event.
pub(super) fn record_play(
    profile: &mut UserProfile,
    play: Play,
    verdict: &Verdict,
    by: (ArtistIx, GenreIx),
    local_hour: usize,
    config: &SignalConfig,
) {
    profile.plays = profile.plays.saturating_add(1);
    profile.skips = profile.skips.saturating_add(u64::from(verdict.skipped));
    let late = affinity::decay(profile.last_ms.saturating_sub(play.ts_ms), config.affinity_half_life_days);
    profile.hours[local_hour % 24] += late;
    if play.signal > 0.0 {
        add_affinity(profile, by, play.signal, play.ts_ms, config);
    }
    if play.signal >= 0.0 {
        push_newest(&mut profile.recent, play, MAX_RECENT);
    }
    let history = history_of(profile, play.track, play.ts_ms);
    history.plays = history.plays.saturating_add(1);
    history.completes = history.completes.saturating_add(u32::from(verdict.completed));
    history.last_ms = history.last_ms.max(play.ts_ms);
    history.liked |= play.liked;
}

/// Marks a track as liked (and no longer disliked) or takes the like back. The affinities gain once for each change to
/// liked; what they gained stays and decays. Says whether the track turned to liked.
pub(super) fn set_liked(
    profile: &mut UserProfile,
    track: TrackIx,
    liked: bool,
    by: (ArtistIx, GenreIx),
    ts_ms: i64,
    config: &SignalConfig,
) -> bool {
    profile.recent.iter_mut().filter(|play| play.track == track).for_each(|play| play.liked = liked);
    if !liked && profile.track(track).is_none() {
        return false;
    }
    let history = history_of(profile, track, ts_ms);
    let turned = liked && !history.liked;
    history.liked = liked;
    if turned {
        add_affinity(profile, by, LIKE_WEIGHT, ts_ms, config);
    }
    if liked {
        remove_sorted(&mut profile.disliked, track);
    }
    turned
}

/// Puts a track under the hard filter and takes a like back. Says whether the track turned to disliked.
pub(super) fn dislike(profile: &mut UserProfile, track: TrackIx) -> bool {
    let turned = insert_sorted(&mut profile.disliked, track, MAX_DISLIKED);
    profile.recent.iter_mut().filter(|play| play.track == track).for_each(|play| play.liked = false);
    if let Ok(at) = profile.tracks.binary_search_by_key(&track, |h| h.track) {
        profile.tracks[at].liked = false;
    }
    turned
}

/// Puts an artist under the hard filter.
pub(super) fn block_artist(profile: &mut UserProfile, artist: ArtistIx) {
    insert_sorted(&mut profile.blocked_artists, artist, MAX_BLOCKED);
}

fn add_affinity(
    profile: &mut UserProfile,
    (artist, genre): (ArtistIx, GenreIx),
    weight: f32,
    ts_ms: i64,
    config: &SignalConfig,
) {
    let half_life = config.affinity_half_life_days;
    affinity::add(&mut profile.artists, artist, weight, ts_ms, half_life, MAX_ARTISTS);
    if genre != GenreIx::NONE {
        affinity::add(&mut profile.genres, genre, weight, ts_ms, half_life, MAX_GENRES);
    }
}

/// The history of a track, made if there is none; the least recently played other track goes when the list is full.
fn history_of(profile: &mut UserProfile, track: TrackIx, ts_ms: i64) -> &mut TrackHistory {
    let list = &mut profile.tracks;
    let at = match list.binary_search_by_key(&track, |h| h.track) {
        Ok(at) => at,
        Err(mut at) => {
            if list.len() >= MAX_TRACKS {
                let oldest = list.iter().enumerate().min_by_key(|(_, h)| (h.last_ms, h.track)).map_or(0, |(at, _)| at);
                list.remove(oldest);
                at -= usize::from(oldest < at);
            }
            make_room(list);
            list.insert(at, TrackHistory { track, plays: 0, completes: 0, last_ms: ts_ms, liked: false });
            at
        }
    };
    &mut list[at]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const BY: (ArtistIx, GenreIx) = (ArtistIx(0), GenreIx(0));

    fn end(profile: &mut UserProfile, track: u32, signal: f32, hour: usize, ts_ms: i64) {
        let config = SignalConfig::default();
        advance(profile, ts_ms, &config);
        let play = Play { track: TrackIx(track), signal, played_fraction: 0.0, ts_ms, liked: false };
        let verdict = Verdict { signal, completed: signal > 0.0, ..Verdict::UNKNOWN };
        record_play(profile, play, &verdict, BY, hour, &config);
    }

    proptest! {
        /// Hours, recent plays and track histories against recomputation from the whole list, late events included.
        #[test]
        fn equals_recomputing_from_scratch(
            plays in prop::collection::vec((0u32..9, 0usize..24, 1i64..300, -1i8..2), 1..90)
        ) {
            let mut profile = UserProfile::default();
            for (track, hour, day, signal) in &plays {
                end(&mut profile, *track, f32::from(*signal), *hour, day * affinity::DAY_MS);
            }
            let now = plays.iter().map(|p| p.2).max().unwrap();
            for hour in 0..24 {
                let exact: f64 = plays.iter().filter(|p| p.1 == hour).map(|p| 2f64.powf((p.2 - now) as f64 / 60.0)).sum();
                prop_assert!((f64::from(profile.hours[hour]) - exact).abs() < 1e-3);
            }
            let mut twin: HashMap<u32, (u32, u32, i64)> = HashMap::new();
            for (track, _, day, signal) in &plays {
                let entry = twin.entry(*track).or_default();
                *entry = (entry.0 + 1, entry.1 + u32::from(*signal > 0), entry.2.max(day * affinity::DAY_MS));
            }
            for (track, expected) in twin {
                let history = profile.track(TrackIx(track)).unwrap();
                prop_assert_eq!((history.plays, history.completes, history.last_ms), expected);
            }
            let kept: Vec<u32> = plays.iter().filter(|p| p.3 >= 0).map(|p| p.0).collect();
            let recent: Vec<u32> = profile.recent.iter().map(|p| p.track.0).collect();
            prop_assert_eq!(&recent[..], &kept[kept.len().saturating_sub(MAX_RECENT)..]);
        }
    }

    #[test]
    fn the_least_recent_tracks_go_first() {
        let mut profile = UserProfile::default();
        (0..2_000u32).for_each(|track| end(&mut profile, (track * 7919) % 2_000, 1.0, 0, i64::from(track) + 1));
        assert_eq!(profile.tracks.len(), MAX_TRACKS);
        assert!(profile.tracks.iter().all(|h| h.last_ms > 2_000 - MAX_TRACKS as i64));
        assert!(profile.tracks.is_sorted_by_key(|h| h.track));
    }

    #[test]
    fn likes_and_dislikes_undo_each_other() {
        let config = SignalConfig::default();
        let (mut profile, track) = (UserProfile::default(), TrackIx(3));
        set_liked(&mut profile, track, false, BY, 1, &config);
        assert!(profile.tracks.is_empty());
        let turned = [true, true, true].map(|liked| set_liked(&mut profile, track, liked, BY, 1, &config));
        assert_eq!(turned, [true, false, false]);
        assert!(profile.track(track).unwrap().liked);
        assert_eq!(profile.artists.get(ArtistIx(0)), LIKE_WEIGHT);
        assert_eq!([dislike(&mut profile, track), dislike(&mut profile, track)], [true, false]);
        assert!(!profile.track(track).unwrap().liked);
        assert_eq!(profile.disliked, [track]);
        set_liked(&mut profile, track, true, BY, 1, &config);
        assert!(profile.disliked.is_empty());
    }
}
