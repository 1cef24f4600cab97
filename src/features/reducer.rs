//! What each type of event does to a session and a profile: the one transition function of serving and backfill.

use super::facts::{Sound, duration_ms};
use super::{Verdict, grade, heard, profile, session};
use crate::config::SignalConfig;
use crate::domain::{
    Catalogue, Event, EventType, Heard, ItemVectors, Play, SessionState, TrackIx, UserId, UserProfile,
};

/// Why an event cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The catalogue has no such track.
    #[error("track_id: the loaded bundle has no track {0:?}")]
    UnknownTrack(String),
    /// The event needs a track and has none.
    #[error("track_id: required for {0}")]
    MissingTrack(&'static str),
    /// The session is another listener's.
    #[error("session_id: this session was begun by another user_id; every listening session needs its own id")]
    OtherListener,
}

/// A play that ended, and what its end says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EndedPlay {
    /// The play as it stands in the window.
    pub play: Play,
    /// When it began, Unix ms; `None` where only its end was reported.
    pub began_ms: Option<i64>,
    /// Its grading.
    pub verdict: Verdict,
}

impl EndedPlay {
    /// What the end says of each task, in schema order (completed, skipped early, liked); `None` where it says nothing:
    /// a censored play may still have been long enough, but never shows that it would have been skipped.
    pub fn labels(&self) -> [Option<bool>; 3] {
        let known = !self.verdict.censored;
        [
            (known || self.verdict.completed).then_some(self.verdict.completed),
            known.then_some(self.verdict.early_skip),
            Some(self.play.liked),
        ]
    }
}

/// What an event changed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Applied {
    /// The play that this event ended.
    pub ended: Option<EndedPlay>,
    /// The unfinished play that a new one pushed aside.
    pub displaced: Option<EndedPlay>,
    /// Whether it came later than is allowed after its listener's newest event.
    pub late: bool,
}

/// Applies events to state. Pure: time comes from the events alone, so a replay gives the same state.
#[derive(Debug, Clone, Copy)]
pub struct Reducer<'a> {
    /// Resolves tracks, artists, genres and sound.
    pub catalogue: &'a Catalogue,
    /// Item vectors for the session's directions; without them the directions stay as they are.
    pub vectors: Option<&'a ItemVectors>,
    /// Thresholds and decays.
    pub config: &'a SignalConfig,
}

/// One event in the making: its track and the state it changes.
struct Step<'a> {
    rules: &'a Reducer<'a>,
    session: &'a mut SessionState,
    profile: &'a mut UserProfile,
    event: &'a Event,
    track: TrackIx,
}

impl Reducer<'_> {
    /// Checks what can be wrong with an event without changing anything; `owner` is the session's listener, if known.
    ///
    /// # Errors
    /// An unknown or missing track, or a session that is another listener's.
    pub fn check(&self, owner: Option<&UserId>, event: &Event) -> Result<Option<TrackIx>, ApplyError> {
        if owner.is_some_and(|owner| *owner != event.user_id) {
            return Err(ApplyError::OtherListener);
        }
        match &event.track_id {
            Some(id) => match self.catalogue.find(id.as_str()) {
                Some(track) => Ok(Some(track)),
                None if event.kind == EventType::Search => Ok(None),
                None => Err(ApplyError::UnknownTrack(id.as_str().to_owned())),
            },
            None if event.kind == EventType::Search => Ok(None),
            None => Err(ApplyError::MissingTrack(event.kind.as_str())),
        }
    }

    /// Applies one event to its session and its listener's profile. On error nothing has changed. `O(profile)` at worst,
    /// a few microseconds.
    ///
    /// * `play_start` makes the play current; a play that was still current ended unseen: censored at an unknown position.
    /// * `play_end`, `skip`, `stop` grade the current play, or count as start and end where none of that track sounds.
    /// * `pause`, `resume` of the current play stop and start the clock of what has sounded.
    /// * `like`, `add_to_playlist`, `unlike` mark the plays and the history of the track; a track that turns to liked leans
    ///   the session towards it and forgives its artist as a completed play does.
    /// * `dislike`, `block_artist` set hard filters; a track that turns to disliked counts in the session as skipped early.
    /// * the others only show that the listener is there.
    ///
    /// # Errors
    /// As [`Reducer::check`].
    pub fn apply(
        &self,
        session: &mut SessionState,
        profile: &mut UserProfile,
        event: &Event,
    ) -> Result<Applied, ApplyError> {
        let track = self.check(session.user_id.as_ref(), event)?;
        Ok(self.apply_checked(session, profile, event, track))
    }

    /// As [`Reducer::apply`], of the track that [`Reducer::check`] found.
    pub(super) fn apply_checked(
        &self,
        session: &mut SessionState,
        profile: &mut UserProfile,
        event: &Event,
        track: Option<TrackIx>,
    ) -> Applied {
        if session.user_id.is_none() {
            session.user_id = Some(event.user_id.clone());
            (session.started_ms, session.before_ms) = (event.ts_ms, profile.last_ms);
        }
        session.last_ms = session.last_ms.max(event.ts_ms);
        profile::advance(profile, event.ts_ms, self.config);
        match track {
            Some(track) => Step { rules: self, session, profile, event, track }.run(),
            None => Applied::default(),
        }
    }
}

impl<'a> Reducer<'a> {
    /// The item vector of a track, where there is one.
    fn vector(&self, track: TrackIx) -> Option<&'a [f32]> {
        self.vectors.filter(|vectors| track.at() < vectors.len()).map(|vectors| vectors.row(track.at()))
    }
}

impl Step<'_> {
    fn run(mut self) -> Applied {
        match self.event.kind {
            EventType::PlayStart => self.start(),
            EventType::PlayEnd | EventType::Skip | EventType::Stop => self.end(),
            EventType::Like | EventType::AddToPlaylist => self.like(true),
            EventType::Unlike => self.like(false),
            EventType::Dislike => self.dislike(),
            EventType::BlockArtist => {
                profile::block_artist(self.profile, self.rules.catalogue.artist_of(self.track));
                Applied::default()
            }
            EventType::Pause => self.rests(heard::pause),
            EventType::Resume => self.rests(heard::resume),
            EventType::Seek | EventType::Impression | EventType::Search => Applied::default(),
        }
    }

    fn start(&mut self) -> Applied {
        let current = self.session.current.take();
        let displaced = current.map(|play| self.finish(play, Some(play.ts_ms), Verdict::UNKNOWN));
        self.session.current = Some(self.new_play(self.track));
        self.session.heard = heard::begin(self.event.ts_ms);
        Applied { displaced, ..Applied::default() }
    }

    fn end(&mut self) -> Applied {
        let current = self.session.current.take_if(|play| play.track == self.track);
        let sounded = current.and_then(|_| heard::until(self.session.heard, self.event.ts_ms));
        let duration = duration_ms(self.rules.catalogue.track(self.track));
        let verdict = grade(self.event, duration, sounded, self.rules.config).unwrap_or(Verdict::UNKNOWN);
        let play = current.unwrap_or_else(|| self.new_play(self.track));
        let ended = self.finish(play, current.map(|play| play.ts_ms), verdict);
        Applied { ended: Some(ended), ..Applied::default() }
    }

    /// Stops or starts the clock of the current play, if that is the track.
    fn rests(&mut self, change: fn(&mut Heard, i64)) -> Applied {
        if self.session.current.is_some_and(|play| play.track == self.track) {
            change(&mut self.session.heard, self.event.ts_ms);
        }
        Applied::default()
    }

    /// Files an ended play in session and profile.
    fn finish(&mut self, play: Play, began_ms: Option<i64>, verdict: Verdict) -> EndedPlay {
        let Reducer { catalogue, config, .. } = *self.rules;
        let play =
            Play { signal: verdict.signal, played_fraction: verdict.played_fraction, ts_ms: self.event.ts_ms, ..play };
        let (artist, genre) = (catalogue.artist_of(play.track), catalogue.genre_of(play.track));
        let vector = self.rules.vector(play.track);
        let sound = Sound::of(catalogue.track(play.track));
        session::record_play(self.session, play, &verdict, artist, &sound, vector, config);
        let hour = local_hour(self.event.local_hour, self.event.ts_ms);
        profile::record_play(self.profile, play, &verdict, (artist, genre), hour, config);
        EndedPlay { play, began_ms, verdict }
    }

    fn like(&mut self, liked: bool) -> Applied {
        let Reducer { catalogue, config, .. } = *self.rules;
        let by = (catalogue.artist_of(self.track), catalogue.genre_of(self.track));
        session::mark_liked(self.session, self.track, liked);
        if profile::set_liked(self.profile, self.track, liked, by, self.event.ts_ms, config) {
            session::embrace(self.session, by.0, self.rules.vector(self.track), config);
        }
        Applied::default()
    }

    fn dislike(&mut self) -> Applied {
        session::mark_liked(self.session, self.track, false);
        if profile::dislike(self.profile, self.track) {
            let artist = self.rules.catalogue.artist_of(self.track);
            session::reject(self.session, artist, self.rules.vector(self.track));
        }
        Applied::default()
    }

    fn new_play(&self, track: TrackIx) -> Play {
        Play { track, signal: 0.0, played_fraction: 0.0, ts_ms: self.event.ts_ms, liked: false }
    }
}

/// The listener's hour, 0..23: as given, else the UTC hour of the moment.
pub fn local_hour(given: Option<u8>, ts_ms: i64) -> usize {
    match given {
        Some(hour) => usize::from(hour % 24),
        None => ts_ms.rem_euclid(86_400_000) as usize / 3_600_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::testing::{catalogue, event, random_events, vectors};
    use proptest::prelude::*;

    struct World {
        catalogue: Catalogue,
        vectors: ItemVectors,
        session: SessionState,
        profile: UserProfile,
    }

    impl World {
        fn new() -> Self {
            let catalogue = catalogue();
            let vectors = vectors(catalogue.len());
            Self { catalogue, vectors, session: SessionState::default(), profile: UserProfile::default() }
        }

        fn send(&mut self, kind: EventType, track: &str, ts_ms: i64, played: Option<u32>) -> Applied {
            let mut event = event("e", "u", "s", kind, Some(track), ts_ms);
            event.played_ms = played;
            self.apply(&event).unwrap()
        }

        fn apply(&mut self, event: &Event) -> Result<Applied, ApplyError> {
            let config = SignalConfig::default();
            let rules = Reducer { catalogue: &self.catalogue, vectors: Some(&self.vectors), config: &config };
            rules.apply(&mut self.session, &mut self.profile, event)
        }
    }

    #[test]
    fn a_play_runs_from_start_to_verdict() {
        let mut world = World::new();
        world.send(EventType::PlayStart, "t1", 1_000, None);
        assert_eq!(world.session.current.unwrap().track, TrackIx(1));
        assert_eq!(world.profile.plays, 0);
        world.send(EventType::Like, "t1", 3_000, None);
        let ended = world.send(EventType::Skip, "t1", 5_000, None).ended.unwrap();
        assert!(ended.verdict.early_skip && ended.play.liked, "4 s between start and skip");
        assert_eq!((world.session.current, world.session.skips, world.profile.skips), (None, 1, 1));
        assert_eq!(world.session.window[0].ts_ms, 5_000);
        assert!(world.profile.recent.is_empty(), "a skipped play is not in recent");
        assert!(world.profile.track(TrackIx(1)).unwrap().liked);
    }

    #[test]
    fn a_new_play_ends_the_old_one_unseen() {
        let mut world = World::new();
        world.send(EventType::PlayStart, "t1", 1_000, None);
        let applied = world.send(EventType::PlayStart, "t2", 90_000, None);
        let displaced = applied.displaced.unwrap();
        assert_eq!((displaced.play.track, displaced.verdict), (TrackIx(1), Verdict::UNKNOWN));
        assert_eq!((world.session.plays, world.session.skips, world.profile.recent.len()), (1, 0, 1));
    }

    #[test]
    fn a_pause_is_no_part_of_what_was_played() {
        use EventType::{Pause, PlayStart, Resume, Seek, Skip, Stop};
        // What happens to t1 after its start at 0 s, the last of it its end -> what was played, ms.
        let table = [
            (vec![(Pause, "t1", 3), (Skip, "t1", 60)], 3_000),
            (vec![(Pause, "t1", 3), (Resume, "t1", 50), (Skip, "t1", 60)], 13_000),
            (
                vec![(Pause, "t1", 3), (Pause, "t1", 9), (Resume, "t1", 50), (Resume, "t1", 55), (Stop, "t1", 60)],
                13_000,
            ),
            (vec![(Seek, "t1", 3), (Skip, "t1", 8)], 8_000),
            (vec![(Pause, "t2", 3), (Skip, "t1", 60)], 60_000),
            (vec![(Pause, "t1", 3), (PlayStart, "t1", 50), (Skip, "t1", 54)], 4_000),
        ];
        for (steps, played_ms) in table {
            let mut world = World::new();
            world.send(PlayStart, "t1", 0, None);
            let applied = steps.iter().map(|(kind, track, second)| world.send(*kind, track, second * 1_000, None));
            let verdict = applied.last().unwrap().ended.unwrap().verdict;
            assert_eq!((verdict.played_ms, verdict.completed), (Some(played_ms), played_ms > 30_000), "{steps:?}");
        }
    }

    #[test]
    fn an_ended_play_knows_when_it_began() {
        let mut world = World::new();
        world.send(EventType::PlayStart, "t1", 1_000, None);
        assert_eq!(world.send(EventType::PlayStart, "t1", 2_000, None).displaced.unwrap().began_ms, Some(1_000));
        assert_eq!(world.send(EventType::Stop, "t1", 3_000, None).ended.unwrap().began_ms, Some(2_000));
        assert_eq!(world.send(EventType::Stop, "t1", 4_000, None).ended.unwrap().began_ms, None);
    }

    #[test]
    fn a_like_leans_and_forgives_once_and_a_dislike_does_the_contrary() {
        let mut world = World::new();
        let penalty = |world: &World| session::penalty_of(&world.session, world.catalogue.artist_of(TrackIx(1)));
        world.send(EventType::Skip, "t5", 1_000, Some(2_000));
        assert_eq!(penalty(&world), 0.5, "t5 and t1 are by one artist");
        for kind in [EventType::Like, EventType::Like, EventType::AddToPlaylist] {
            world.send(kind, "t1", 2_000, None);
            assert_eq!((penalty(&world), &world.session.liked_direction[..]), (0.25, world.vectors.row(1)));
        }
        let liked = world.session.clone();
        world.send(EventType::Unlike, "t1", 3_000, None);
        assert_eq!(
            (penalty(&world), &world.session.liked_direction, &world.session.skipped_direction),
            (0.25, &liked.liked_direction, &liked.skipped_direction),
            "taking a like back is no verdict"
        );
        for _ in 0..2 {
            world.send(EventType::Dislike, "t2", 4_000, None);
            let skipped = world.vectors.row(5).iter().zip(world.vectors.row(2)).map(|(a, b)| a + b);
            assert_eq!(world.session.skipped_direction, skipped.collect::<Vec<_>>());
            assert_eq!(session::penalty_of(&world.session, world.catalogue.artist_of(TrackIx(2))), 0.5);
        }
        assert_eq!(world.session.plays, 1, "none of these is a play");
    }

    #[test]
    fn an_end_without_a_start_counts_as_both() {
        let mut world = World::new();
        world.send(EventType::PlayStart, "t1", 1_000, None);
        world.send(EventType::PlayEnd, "t2", 2_000, Some(60_000));
        assert_eq!(world.session.current.unwrap().track, TrackIx(1), "another track's end leaves what sounds alone");
        assert_eq!((world.session.plays, world.session.completes), (1, 1));
    }

    #[test]
    fn refuses_without_changing_anything() {
        let mut world = World::new();
        world.send(EventType::PlayStart, "t1", 1_000, None);
        let before = (world.session.clone(), world.profile.clone());
        let cases = [
            event("e", "other", "s", EventType::Skip, Some("t1"), 2_000),
            event("e", "u", "s", EventType::Skip, Some("unknown"), 2_000),
            event("e", "u", "s", EventType::Skip, None, 2_000),
        ];
        for case in &cases {
            world.apply(case).unwrap_err();
        }
        assert_eq!((world.session.clone(), world.profile.clone()), before);
        assert!(world.apply(&event("e", "u", "s", EventType::Search, None, 2_000)).is_ok());
    }

    #[test]
    fn a_session_knows_when_the_listener_was_last_here() {
        let mut world = World::new();
        world.send(EventType::Stop, "t1", 5_000, None);
        world.session = SessionState::default();
        world.send(EventType::PlayStart, "t1", 9_000, None);
        world.send(EventType::Stop, "t1", 9_500, None);
        assert_eq!((world.session.before_ms, world.profile.last_ms), (5_000, 9_500));
    }

    #[test]
    fn hours_fall_back_to_utc() {
        assert_eq!(local_hour(None, 3 * 3_600_000 + 5), 3);
        assert_eq!(local_hour(None, -1), 23);
        assert_eq!(local_hour(Some(255), 0), 15);
    }

    proptest! {
        /// Whatever came before: a like never raises a penalty nor touches the skipped direction, a dislike never the liked
        /// one, an unlike neither, and no step is longer than a whole vector.
        #[test]
        fn verdicts_about_tracks_are_bounded(
            events in random_events(60), track in 0usize..12,
            kind in prop::sample::select(vec![EventType::Like, EventType::AddToPlaylist, EventType::Unlike, EventType::Dislike]),
        ) {
            let mut world = World::new();
            events.iter().for_each(|event| drop(world.apply(event)));
            let before = world.session.clone();
            world.send(kind, &format!("t{track}"), before.last_ms, None);
            let after = &world.session;
            let moved = |from: &[f32], to: &[f32]| {
                let step = |at: usize| to[at] - from.get(at).copied().unwrap_or(0.0);
                (0..to.len()).map(|at| step(at).powi(2)).sum::<f32>().sqrt()
            };
            let liked = moved(&before.liked_direction, &after.liked_direction);
            let skipped = moved(&before.skipped_direction, &after.skipped_direction);
            prop_assert!(liked < 1.001 && skipped < 1.001);
            prop_assert!(skipped == 0.0 || kind == EventType::Dislike);
            prop_assert!(liked == 0.0 || matches!(kind, EventType::Like | EventType::AddToPlaylist));
            for artist in (0..4).map(crate::domain::ArtistIx) {
                let (was, is) = (session::penalty_of(&before, artist), session::penalty_of(after, artist));
                prop_assert!((0.0..=1.0).contains(&is));
                prop_assert!(is <= was || kind == EventType::Dislike);
                prop_assert!(is >= was || matches!(kind, EventType::Like | EventType::AddToPlaylist));
            }
            prop_assert_eq!((after.plays, after.completes, after.skips), (before.plays, before.completes, before.skips));
        }

        #[test]
        fn every_list_is_bounded_and_every_number_finite(events in random_events(150)) {
            let mut world = World::new();
            let mut ended = 0;
            for event in &events {
                let applied = world.apply(event).unwrap();
                ended += u32::from(applied.ended.is_some()) + u32::from(applied.displaced.is_some());
            }
            let (session, profile) = (&world.session, &world.profile);
            prop_assert_eq!((session.plays, profile.plays), (ended, u64::from(ended)));
            prop_assert!(session.window.len() <= 50 && profile.recent.len() <= 50);
            let numbers = session.liked_direction.iter().chain(&session.skipped_direction).chain(&profile.hours);
            prop_assert!(numbers.chain(profile.artists.entries.iter().map(|e| &e.1)).all(|v| v.is_finite() && v.abs() < 1e4));
            prop_assert!(session.artist_penalty.iter().all(|e| (0.0..=1.0).contains(&e.1)));
            prop_assert_eq!(session.tempo.0, session.energy.0);
        }
    }
}
