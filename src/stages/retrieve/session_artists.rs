use std::sync::Arc;

use super::{ArtistCharts, push_by_place};
use crate::domain::{ArtistIx, Catalogue, RequestContext, Retrieved, Source, TrackIx, UserProfile, by_score};
use crate::pipeline::{Deadline, Retriever, StageError, TrackSet};

/// Most artists of one request.
const MAX_ARTISTS: usize = 30;
/// Artists of the profile that stand in for an empty session.
const PROFILE_ARTISTS: usize = 10;

/// Other tracks of the artists at hand, most popular first, in turns between the artists: of the seeds, of what sounds
/// now, of the session from its latest play back, but for skipped ones; where there are none, the listener's favourite artists. A listener
/// without any gets no candidates, which is no failure. Scores say the place only.
#[derive(Debug)]
pub struct SessionArtists {
    catalogue: Arc<Catalogue>,
    charts: Arc<ArtistCharts>,
    artists: Vec<ArtistIx>,
    top: TopArtists,
    seen: TrackSet,
}

impl SessionArtists {
    /// Reads artists from the catalogue and their tracks from the charts.
    pub fn new(catalogue: Arc<Catalogue>, charts: Arc<ArtistCharts>) -> Self {
        Self { catalogue, charts, artists: Vec::new(), top: TopArtists::default(), seen: TrackSet::default() }
    }

    fn gather(&mut self, context: &RequestContext) {
        let (request, session) = (&context.request, &context.session);
        let sounding = request.current_track.into_iter().chain(session.current.map(|play| play.track));
        let played = session.window.iter().rev().filter(|play| play.signal >= 0.0).map(|play| play.track);
        let of_tracks = request.seed_tracks.iter().copied().chain(sounding).chain(played);
        let artists = request.seed_artists.iter().copied().chain(of_tracks.map(|t| self.catalogue.artist_of(t)));
        self.artists.clear();
        for artist in artists {
            if self.artists.len() >= MAX_ARTISTS {
                break;
            }
            if !self.artists.contains(&artist) {
                self.artists.push(artist);
            }
        }
        if self.artists.is_empty() {
            self.artists.extend_from_slice(self.top.of(&context.profile, PROFILE_ARTISTS));
        }
    }
}

impl Retriever for SessionArtists {
    fn name(&self) -> &'static str {
        "session_artists"
    }

    fn source(&self) -> Source {
        Source::SessionArtists
    }

    fn retrieve(
        &mut self,
        context: &RequestContext,
        quota: usize,
        _: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), StageError> {
        self.gather(context);
        self.seen.clear();
        at_hand(context).for_each(|track| {
            self.seen.insert(track);
        });
        let seen = &mut self.seen;
        self.charts.round_robin(&self.artists, |track| {
            if out.len() < quota && seen.insert(track) {
                push_by_place(out, track, quota);
            }
            out.len() < quota
        });
        Ok(())
    }
}

/// The tracks that brought the artists in: they are not "other tracks".
fn at_hand(context: &RequestContext) -> impl Iterator<Item = TrackIx> {
    let (request, session) = (&context.request, &context.session);
    let played = session.window.iter().chain(&session.current).map(|play| play.track);
    request.seed_tracks.iter().chain(&request.current_track).copied().chain(played)
}

/// A listener's favourite artists. Keeps its memory.
#[derive(Debug, Default)]
pub(super) struct TopArtists {
    sorted: Vec<(ArtistIx, f32)>,
    artists: Vec<ArtistIx>,
}

impl TopArtists {
    /// The `most` artists with the highest positive affinity, best first, ties by row.
    pub(super) fn of(&mut self, profile: &UserProfile, most: usize) -> &[ArtistIx] {
        self.sorted.clear();
        self.sorted.extend(profile.artists.entries.iter().filter(|(_, weight)| *weight > 0.0));
        self.sorted.sort_unstable_by(|a, b| by_score(a.1, b.1).then(a.0.cmp(&b.0)));
        self.artists.clear();
        self.artists.extend(self.sorted.iter().take(most).map(|(artist, _)| *artist));
        &self.artists
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{hits, rows};
    use super::*;
    use crate::domain::{Affinity, Popularity, Request, SessionState};
    use crate::stages::fixtures::{self, context, request};

    fn stage() -> SessionArtists {
        let catalogue = fixtures::catalogue(12, |_, _| {});
        let plays: Vec<f32> = (0..12).map(|row| row as f32).collect();
        let popularity = Popularity::new(&catalogue, &plays, Vec::new());
        let charts = Arc::new(ArtistCharts::new(&catalogue, &popularity));
        SessionArtists::new(catalogue, charts)
    }

    fn favourites() -> UserProfile {
        let artists = Affinity { entries: vec![(ArtistIx(1), 0.5), (ArtistIx(2), 2.0)], as_of_ms: 0 };
        UserProfile { artists, ..UserProfile::default() }
    }

    #[test]
    fn takes_turns_from_seeds_to_the_oldest_play() {
        let request = Request { seed_artists: vec![ArtistIx(3)], ..request() };
        let context = context(request, fixtures::session(&[0, 5]), favourites());
        assert_eq!(rows(&hits(&mut stage(), &context, 20)), [11, 2, 10, 4, 1, 9, 3]);
        assert_eq!(rows(&hits(&mut stage(), &context, 2)), [11, 2]);
    }

    #[test]
    fn a_skipped_play_brings_no_more_of_its_artist() {
        let mut session = fixtures::session(&[0, 5]);
        session.window[0].signal = -1.0;
        let context = context(request(), session, UserProfile::default());
        assert_eq!(rows(&hits(&mut stage(), &context, 20)), [4, 3]);
    }

    #[test]
    fn favourites_stand_in_for_an_empty_session() {
        let mut stage = stage();
        let known = context(request(), SessionState::default(), favourites());
        assert_eq!(rows(&hits(&mut stage, &known, 4)), [8, 5, 7, 4]);
        let unknown = context(request(), SessionState::default(), UserProfile::default());
        assert!(hits(&mut stage, &unknown, 4).is_empty());
    }
}
