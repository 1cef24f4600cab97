//! What one listener's plays add to counts by which others' lists go: so that a few who push a track move little.

use super::affinity::DAY_MS;
use super::bounded::make_room;
use super::{Applied, EndedPlay};
use crate::config::FeedbackConfig;
use crate::domain::{Event, GivenPlays, GivenTrack, TrackIx, UserProfile};

/// Tracks of a day that are noted; plays of more count no further.
pub(super) const MAX_GIVEN: usize = 1_024;

/// How much what an event tells counts for others, 0 to 1 each.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Shares {
    /// Of the play that it ended.
    pub(super) ended: f32,
    /// Of the play that a new one pushed aside.
    pub(super) displaced: f32,
    /// Of the impression that it reports.
    pub(super) shown: f32,
}

impl Shares {
    /// All of everything.
    #[cfg(test)]
    pub(super) const ALL: Self = Self { ended: 1.0, displaced: 1.0, shown: 1.0 };

    /// Whether something of this share counts where only whole ones are counted.
    pub(super) fn is_whole(share: f32) -> bool {
        share >= 0.5
    }
}

/// What counts by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Play,
    Impression,
}

/// Judges by what an event says and what is known of its listener, and takes note in the profile of what counted: a replay
/// judges the same. `profile` has taken the event in; `shown` is the track of an impression.
///
/// A play counts if the event that ended it names an answer that was proven to have proposed it (ingest leaves no other name
/// in an event); of a play that was pushed aside nobody can prove anything. Lists that callers made themselves prove nothing.
pub(super) fn judge(
    profile: &mut UserProfile,
    event: &Event,
    applied: &Applied,
    shown: Option<TrackIx>,
    config: &FeedbackConfig,
) -> Shares {
    let is_open = config.secret_file.is_none();
    let proven = is_open || event.recommendation_id.as_ref().is_some_and(|id| !id.is_of_own_list());
    let trust = trust(profile, config);
    let mut share = |kind, track: Option<TrackIx>, believed: bool| {
        let counts = track.is_some_and(|track| believed && is_within(profile, kind, track, event.ts_ms, config));
        if counts { trust } else { 0.0 }
    };
    let track_of = |end: &EndedPlay| end.play.track;
    Shares {
        displaced: share(Kind::Play, applied.displaced.as_ref().map(track_of), is_open),
        ended: share(Kind::Play, applied.ended.as_ref().map(track_of), proven),
        shown: share(Kind::Impression, shown, proven),
    }
}

/// How far a listener is believed, 0 to 1: who plays one track again and again is not a listener yet.
fn trust(profile: &UserProfile, config: &FeedbackConfig) -> f32 {
    let wanted = config.trust_tracks as usize;
    let played = profile.tracks.iter().filter(|history| history.plays > 0).take(wanted).count();
    if wanted == 0 { 1.0 } else { played as f32 / wanted as f32 }
}

/// Whether one more is within what a listener may add in a day; takes note of it if so. What comes late counts in the day at
/// hand, so that nobody has a day twice.
fn is_within(profile: &mut UserProfile, kind: Kind, track: TrackIx, ts_ms: i64, config: &FeedbackConfig) -> bool {
    let most = |configured: u32| if configured == 0 { u32::MAX } else { configured };
    let (all, of_track) = (most(config.plays_per_day), most(config.track_plays_per_day));
    if all == u32::MAX && of_track == u32::MAX {
        return true;
    }
    let given = &mut profile.given;
    let day = ts_ms.div_euclid(DAY_MS);
    if day > given.day {
        *given = GivenPlays { day, ..GivenPlays::default() };
    }
    if kind == Kind::Play && given.plays >= all {
        return false;
    }
    let at = match given.tracks.binary_search_by_key(&track, |one| one.track) {
        Ok(at) => at,
        Err(_) if given.tracks.len() >= MAX_GIVEN => return false,
        Err(at) => {
            make_room(&mut given.tracks);
            given.tracks.insert(at, GivenTrack { track, plays: 0, shown: 0 });
            at
        }
    };
    let one = &mut given.tracks[at];
    let (count, all) = match kind {
        Kind::Play => (&mut one.plays, &mut given.plays),
        Kind::Impression => (&mut one.shown, &mut given.shown),
    };
    if *count >= of_track {
        return false;
    }
    *count += 1;
    *all = all.saturating_add(1);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EventType, Play, RecommendationId, TrackHistory};
    use crate::features::Verdict;
    use crate::features::testing::event;
    use proptest::prelude::*;

    const NOON_MS: i64 = 1_700_006_400_000 - 1_700_006_400_000 % DAY_MS + DAY_MS / 2;

    /// Somebody who has played so many tracks.
    fn listener(tracks: u32) -> UserProfile {
        let history = |track| TrackHistory { track: TrackIx(track), plays: 1, completes: 1, last_ms: 0, liked: false };
        UserProfile { tracks: (0..tracks).map(history).collect(), ..UserProfile::default() }
    }

    fn ended(track: u32) -> Option<EndedPlay> {
        let play = Play { track: TrackIx(track), signal: 1.0, played_fraction: 1.0, ts_ms: 0, liked: false };
        Some(EndedPlay { play, began_ms: None, verdict: Verdict::UNKNOWN })
    }

    /// The share of a play of a track that ends at a moment.
    fn play(profile: &mut UserProfile, track: u32, ts_ms: i64, config: &FeedbackConfig) -> f32 {
        let event = event("e", "u", "s", EventType::Skip, Some("t"), ts_ms);
        judge(profile, &event, &Applied { ended: ended(track), ..Applied::default() }, None, config).ended
    }

    #[test]
    fn a_day_has_its_bounds_and_ends() {
        let config = FeedbackConfig { plays_per_day: 4, track_plays_per_day: 3, ..FeedbackConfig::off() };
        let mut profile = listener(0);
        let shares = |profile: &mut UserProfile, tracks: &[u32], ts_ms| -> Vec<f32> {
            tracks.iter().map(|track| play(profile, *track, ts_ms, &config)).collect()
        };
        assert_eq!(shares(&mut profile, &[7, 7, 7, 7, 8, 9], NOON_MS), [1.0, 1.0, 1.0, 0.0, 1.0, 0.0]);
        assert_eq!(shares(&mut profile, &[7], NOON_MS - 3 * DAY_MS), [0.0], "a day of the past is no new one");
        assert_eq!(shares(&mut profile, &[7, 9], NOON_MS + DAY_MS), [1.0, 1.0]);
        let (before, off) = (profile.clone(), FeedbackConfig::off());
        assert_eq!((0..9).map(|_| play(&mut profile, 7, NOON_MS + DAY_MS, &off)).sum::<f32>(), 9.0);
        assert_eq!(profile, before, "nothing is noted where nothing is bounded");
    }

    #[test]
    fn who_has_played_few_tracks_counts_little() {
        let config = FeedbackConfig { trust_tracks: 20, ..FeedbackConfig::off() };
        for (tracks, share) in [(1, 0.05), (10, 0.5), (20, 1.0), (900, 1.0)] {
            assert_eq!(play(&mut listener(tracks), 0, NOON_MS, &config), share);
        }
        let mut likes_all = listener(40);
        likes_all.tracks.iter_mut().for_each(|history| history.plays = 0);
        assert_eq!(play(&mut likes_all, 0, NOON_MS, &config), 0.0, "a like is no play");
    }

    #[test]
    fn with_a_secret_only_what_an_answer_proposed_counts() {
        let config = FeedbackConfig { secret_file: Some("secret".into()), ..FeedbackConfig::off() };
        let applied = Applied { ended: ended(1), displaced: ended(2), late: false };
        let judged = |id: Option<&str>| {
            let mut event = event("e", "u", "s", EventType::Skip, Some("t"), NOON_MS);
            event.recommendation_id = id.map(|id| RecommendationId::new(id).unwrap());
            judge(&mut listener(1), &event, &applied, Some(TrackIx(3)), &config)
        };
        assert_eq!(judged(None), Shares::default());
        assert_eq!(judged(Some("c-1")), Shares::default(), "the caller's own list");
        assert_eq!(judged(Some("r-1")), Shares { displaced: 0.0, ..Shares::ALL });
    }

    #[test]
    fn what_is_noted_is_bounded() {
        let config = FeedbackConfig { plays_per_day: 0, ..FeedbackConfig::default() };
        let mut profile = listener(20);
        let counted: f32 = (0..2_000).map(|track| play(&mut profile, track, NOON_MS, &config)).sum();
        assert_eq!((counted as usize, profile.given.tracks.len()), (MAX_GIVEN, MAX_GIVEN));
    }

    proptest! {
        /// Against counting all that came in the day at hand.
        #[test]
        fn equals_a_recount(
            plays in prop::collection::vec((0u32..4, 0i64..3), 0..60), all in 0u32..12, of_track in 0u32..4,
        ) {
            let config = FeedbackConfig { plays_per_day: all, track_plays_per_day: of_track, ..FeedbackConfig::off() };
            let (mut profile, mut today, mut counted) = (listener(0), 0, Vec::new());
            for (track, day) in plays {
                if day > today {
                    (today, counted) = (day, Vec::new());
                }
                let own = counted.iter().filter(|one| **one == track).count() as u32;
                let counts = (all == 0 || (counted.len() as u32) < all) && (of_track == 0 || own < of_track);
                if counts {
                    counted.push(track);
                }
                prop_assert_eq!(play(&mut profile, track, NOON_MS + day * DAY_MS, &config) > 0.0, counts);
            }
        }
    }
}
