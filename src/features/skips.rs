//! What the skips of a session still weigh at a moment, read off its window: nothing of it is stored, so it fades with time
//! without an event, and a change of its rules changes neither state on disk nor a column of the models.

use super::affinity::halve;
use crate::config::SignalConfig;
use crate::domain::{ArtistIx, Catalogue, GenreIx, Play, RequestContext, TrackIx};

/// How far one early skip, all of it left, moves a penalty towards 1.
const STEP: f32 = 0.5;
/// Milliseconds of a minute.
const MINUTE_MS: f32 = 60_000.0;

/// One skip of the window.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mark {
    track: TrackIx,
    artist: ArtistIx,
    genre: GenreIx,
    early: bool,
    /// How strongly it was skipped, 0..1, times what is left of it.
    pull: f32,
    /// What is left of it, 0..1.
    left: f32,
}

/// What is held against one track, each 0..1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Held {
    /// Early skips of the track.
    pub track: f32,
    /// Early skips of its artist; `None` where the window has none.
    pub artist: Option<f32>,
    /// Early skips of its genre.
    pub genre: f32,
}

/// The skips of one session at one moment. Keeps its memory.
#[derive(Debug, Default)]
pub struct Skips {
    marks: Vec<Mark>,
}

impl Skips {
    /// Reads the session of a request, at the request's moment.
    ///
    /// Of a skip is left `skip_decay` to the power of the later plays, times `1 - forgive` for each later completed or liked
    /// play of its artist, times a half for each `skip_half_life_min` since. A play that says nothing (stopped, closed, lost)
    /// is no play here. A play of a track that the listener dislikes counts as skipped early. `O(window^2)` at worst.
    pub fn read(&mut self, context: &RequestContext, catalogue: &Catalogue, config: &SignalConfig) {
        let (window, disliked) = (&context.session.window, &context.profile.disliked);
        let signal_of = |play: &Play| if disliked.binary_search(&play.track).is_ok() { -1.0 } else { play.signal };
        self.marks.clear();
        for (at, play) in window.iter().enumerate() {
            let signal = signal_of(play);
            if signal >= 0.0 {
                continue;
            }
            let artist = catalogue.artist_of(play.track);
            let later = || window[at + 1..].iter().map(|play| (play, signal_of(play))).filter(|(_, s)| *s != 0.0);
            let own = later().filter(|(play, _)| catalogue.artist_of(play.track) == artist);
            let pardons = own.map(|(play, signal)| i32::from(signal > 0.0) + i32::from(play.liked)).sum::<i32>();
            let faded = config.skip_decay.powi(later().count() as i32);
            let forgiven = (1.0 - config.forgive).powi(pardons + i32::from(play.liked));
            let aged = halve(context.request.now_ms - play.ts_ms, config.skip_half_life_min * MINUTE_MS);
            let left = faded * forgiven * aged;
            let (genre, early) = (catalogue.genre_of(play.track), signal <= -1.0);
            self.marks.push(Mark { track: play.track, artist, genre, early, pull: -signal * left, left });
        }
    }

    /// Whether the window has none.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// What is held against a track: of the early skips of it, its artist, its genre, each with `left` of it left, one minus
    /// the product of `1 - left / 2`. `O(skips)`.
    pub fn held(&self, track: TrackIx, artist: ArtistIx, genre: GenreIx) -> Held {
        let (mut spared, mut by_artist) = ([1.0f32; 3], false);
        for mark in self.marks.iter().filter(|mark| mark.early) {
            let same_genre = mark.genre == genre && genre != GenreIx::NONE;
            by_artist |= mark.artist == artist;
            for (spared, same) in spared.iter_mut().zip([mark.track == track, mark.artist == artist, same_genre]) {
                *spared *= if same { 1.0 - STEP * mark.left } else { 1.0 };
            }
        }
        let [track, artist, genre] = spared.map(|spared| 1.0 - spared);
        Held { track, artist: by_artist.then_some(artist), genre }
    }

    /// Each skipped track with its weight in the direction of what was skipped, 0..1.
    pub fn pulls(&self) -> impl Iterator<Item = (TrackIx, f32)> {
        self.marks.iter().map(|mark| (mark.track, mark.pull))
    }
}

/// Skips at the end of a window without a play between them that was wanted; plays that say nothing are passed by.
pub fn in_row(window: &[Play]) -> usize {
    window.iter().rev().filter(|play| play.signal != 0.0).take_while(|play| play.signal < 0.0).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Knobs, Request, SessionState, UserId, UserProfile, bare_track};
    use proptest::prelude::*;
    use std::sync::Arc;

    /// `t0..t6` of artists a, b, c, a, b, c; genres x, y, x, y, x, and none.
    fn catalogue() -> Catalogue {
        let track = |row: usize| {
            let mut track = bare_track(&format!("t{row}"), ["a", "b", "c"][row % 3]);
            track.genre = (row != 5).then(|| ["x", "y"][row % 2].into());
            track
        };
        Catalogue::new((0..6).map(track).collect()).unwrap()
    }

    fn read(window: Vec<Play>, disliked: Vec<TrackIx>, now_ms: i64) -> Skips {
        let request = Request::new(UserId::new("u").unwrap(), now_ms);
        let mut context = RequestContext::new(Arc::new(request), Knobs::default());
        context.session = Arc::new(SessionState { window, ..SessionState::default() });
        context.profile = Arc::new(UserProfile { disliked, ..UserProfile::default() });
        let mut skips = Skips::default();
        skips.read(&context, &catalogue(), &SignalConfig::default());
        skips
    }

    fn play(track: u32, signal: f32, minute: i64) -> Play {
        Play { track: TrackIx(track), signal, played_fraction: 0.0, ts_ms: minute * 60_000, liked: false }
    }

    fn held(skips: &Skips, track: u32) -> Held {
        let (catalogue, track) = (catalogue(), TrackIx(track));
        skips.held(track, catalogue.artist_of(track), catalogue.genre_of(track))
    }

    proptest! {
        /// Against a walk through the session that fades, forgives and adds as it goes.
        #[test]
        fn equals_a_walk_through_the_session(
            plays in prop::collection::vec(
                (0u32..6, prop::sample::select(vec![-1.0f32, -0.3, 0.0, 0.6, 1.0]), 0i64..9, any::<bool>()), 0..30),
            after in 0i64..90, disliked in 0u32..12,
        ) {
            let (catalogue, config) = (catalogue(), SignalConfig::default());
            let mut now = 0;
            let window: Vec<Play> = plays.iter().map(|(track, signal, minutes, liked)| {
                now += minutes;
                Play { liked: *liked, ..play(*track, *signal, now) }
            }).collect();
            // What is left of each skip so far: row, whether early, strength, left.
            let mut walk: Vec<(TrackIx, bool, f64, f64)> = vec![];
            let mut minute = 0;
            for one in &window {
                let signal = if one.track.0 == disliked { -1.0 } else { one.signal };
                let passed = (one.ts_ms / 60_000 - minute) as f64;
                minute = one.ts_ms / 60_000;
                walk.iter_mut().for_each(|skip| skip.3 *= 0.5f64.powf(passed / f64::from(config.skip_half_life_min)));
                if signal == 0.0 {
                    continue;
                }
                for skip in &mut walk {
                    skip.3 *= f64::from(config.skip_decay);
                    let pardons = i32::from(signal > 0.0) + i32::from(one.liked);
                    if catalogue.artist_of(skip.0) == catalogue.artist_of(one.track) {
                        skip.3 *= f64::from(1.0 - config.forgive).powi(pardons);
                    }
                }
                if signal < 0.0 {
                    let left = f64::from(1.0 - config.forgive).powi(i32::from(one.liked));
                    walk.push((one.track, signal <= -1.0, f64::from(-signal), left));
                }
            }
            walk.iter_mut().for_each(|skip| skip.3 *= 0.5f64.powf(after as f64 / f64::from(config.skip_half_life_min)));
            let skips = read(window, vec![TrackIx(disliked)], (now + after) * 60_000);
            for track in (0..6).map(TrackIx) {
                let by = |same: &dyn Fn(TrackIx) -> bool| {
                    1.0 - walk.iter().filter(|skip| skip.1 && same(skip.0)).map(|skip| 1.0 - skip.3 / 2.0).product::<f64>()
                };
                let got = held(&skips, track.0);
                let genre = catalogue.genre_of(track);
                let artist = by(&|other| catalogue.artist_of(other) == catalogue.artist_of(track));
                let genres = by(&|other| genre != GenreIx::NONE && catalogue.genre_of(other) == genre);
                prop_assert!((f64::from(got.track) - by(&|other| other == track)).abs() < 1e-4);
                prop_assert!((f64::from(got.artist.unwrap_or(0.0)) - artist).abs() < 1e-4);
                prop_assert!((f64::from(got.genre) - genres).abs() < 1e-4);
                prop_assert!([got.track, got.artist.unwrap_or(0.0), got.genre].iter().all(|p| (0.0..=1.0).contains(p)));
            }
            for ((track, pull), skip) in skips.pulls().zip(&walk) {
                prop_assert!(track == skip.0 && (f64::from(pull) - skip.2 * skip.3).abs() < 1e-4);
            }
            prop_assert_eq!(skips.is_empty(), walk.is_empty());
        }
    }

    #[test]
    fn a_skip_halves_with_time_alone() {
        let half = SignalConfig::default().skip_half_life_min as i64;
        let [now, later] = [0, half].map(|minute| held(&read(vec![play(0, -1.0, 0)], vec![], minute * 60_000), 0));
        assert_eq!((now.track, now.artist, now.genre), (0.5, Some(0.5), 0.5));
        assert_eq!((later.track, later.artist, later.genre), (0.25, Some(0.25), 0.25));
        let early = held(&read(vec![play(0, -1.0, 9)], vec![], 0), 0);
        assert_eq!(early, now, "a play that ends after the request is as new as can be");
    }

    #[test]
    fn skips_in_a_row_end_with_a_wanted_play_only() {
        let row = |signals: &[f32]| in_row(&signals.iter().map(|signal| play(0, *signal, 0)).collect::<Vec<_>>());
        assert_eq!(row(&[]), 0);
        assert_eq!(row(&[-1.0, 0.7, -0.2, 0.0, -1.0, 0.0]), 2);
        assert_eq!(row(&[-1.0, -1.0, 0.2]), 0);
    }
}
