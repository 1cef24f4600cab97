//! Why a track is in the list, for people. Pure: everything is read from the request, the listener's state and the bundle.

use crate::domain::{
    ArtistIx, Catalogue, ItemVectors, Popularity, Reason, Request, ServedTrack, SessionState, Source, TrackIx,
    UserProfile,
};
use crate::stages::similarity::dot;

/// Cosine from which two tracks are called similar.
const SIMILAR: f32 = 0.5;
/// Affinity from which an artist is called much played: about two finished plays of late.
const MUCH_PLAYED: f32 = 2.0;
/// Rank up to which a track is called popular.
const POPULAR_RANK: usize = 100;

/// Most tracks that a served one is compared with.
const MAX_ANCHORS: usize = 64;

/// What reasons are found from.
#[derive(Debug, Clone, Copy)]
pub struct Explainer<'a> {
    /// The question.
    pub request: &'a Request,
    /// The session it was asked in.
    pub session: &'a SessionState,
    /// The listener.
    pub profile: &'a UserProfile,
    /// Of the bundle that answered.
    pub catalogue: &'a Catalogue,
    /// Of the bundle that answered.
    pub vectors: &'a ItemVectors,
    /// Of the bundle that answered.
    pub popularity: &'a Popularity,
}

impl Explainer<'_> {
    /// Fills the reasons of every track. `O(tracks * history * dim)`: some tens of microseconds for a list of 20.
    pub fn fill(&self, tracks: &mut [ServedTrack]) {
        let anchors = self.anchors();
        for served in tracks {
            served.reasons = self.reasons(served, &anchors);
        }
    }

    /// Reasons of one track, the most telling first; each kind at most once.
    fn reasons(&self, served: &ServedTrack, anchors: &[TrackIx]) -> Vec<Reason> {
        let artist = self.catalogue.artist_of(served.track);
        let explored = served.source == Source::Exploration || served.propensity.is_some();
        let found = [
            self.closest(served.track, anchors).map(Reason::SimilarTo),
            self.in_session(artist).then_some(Reason::SessionArtist),
            (self.profile.artists.get(artist) >= MUCH_PLAYED).then_some(Reason::ArtistYouPlay),
            (served.source == Source::Fresh).then_some(Reason::Fresh),
            self.is_popular(served.track).then_some(Reason::Popular),
            explored.then_some(Reason::Explore),
        ];
        let rules = served.rules.iter().map(|rule| Reason::Rule(rule.clone()));
        rules.chain(found.into_iter().flatten()).collect()
    }

    /// The tracks that a served one may be similar to: what sounds now, the seeds, and what was played and not skipped,
    /// newest first.
    fn anchors(&self) -> Vec<TrackIx> {
        let sounding = self.request.current_track.into_iter().chain(self.session.current.map(|play| play.track));
        let session = self.session.window.iter().rev().filter(|play| play.signal >= 0.0);
        let history = session.chain(self.profile.recent.iter().rev()).map(|play| play.track);
        let mut anchors: Vec<TrackIx> = Vec::new();
        for track in sounding.chain(self.request.seed_tracks.iter().copied()).chain(history) {
            if anchors.len() >= MAX_ANCHORS {
                break;
            }
            if track.at() < self.vectors.len() && !anchors.contains(&track) {
                anchors.push(track);
            }
        }
        anchors
    }

    /// The anchor of the highest cosine above [`SIMILAR`]; ties go to the first.
    fn closest(&self, track: TrackIx, anchors: &[TrackIx]) -> Option<TrackIx> {
        if track.at() >= self.vectors.len() {
            return None;
        }
        let vector = self.vectors.row(track.at());
        let mut best: Option<(TrackIx, f32)> = None;
        for anchor in anchors.iter().filter(|anchor| **anchor != track) {
            let similarity = dot(vector, self.vectors.row(anchor.at()));
            if similarity > best.map_or(SIMILAR, |(_, most)| most) {
                best = Some((*anchor, similarity));
            }
        }
        best.map(|(anchor, _)| anchor)
    }

    fn in_session(&self, artist: ArtistIx) -> bool {
        let played = self.session.window.iter().filter(|play| play.signal >= 0.0).chain(&self.session.current);
        let tracks = played.map(|play| play.track).chain(self.request.current_track);
        self.request.seed_artists.contains(&artist) || tracks.into_iter().any(|t| self.catalogue.artist_of(t) == artist)
    }

    /// Among the first of its market; where the market has no plays, of the world.
    fn is_popular(&self, track: TrackIx) -> bool {
        match self.request.market.as_deref().and_then(|code| self.popularity.market(code)) {
            Some(market) => market.rank.get(track.at()).is_some_and(|r| (1..=POPULAR_RANK).contains(&usize::from(*r))),
            None => self.popularity.top.iter().take(POPULAR_RANK).any(|top| *top == track),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Affinity, Play};
    use crate::stages::testing::{answer, request, track};

    fn play(row: u32, signal: f32) -> Play {
        Play { track: TrackIx(row), signal, played_fraction: 1.0, ts_ms: 0, liked: false }
    }

    #[test]
    fn finds_every_kind_of_reason() {
        let artists = ["a", "b", "a", "c", "d"];
        let rows = artists.iter().enumerate().map(|(row, artist)| track(row, artist)).collect();
        let catalogue = Catalogue::new(rows).unwrap();
        let vectors = ItemVectors::from_raw(vec![1.0, 0.0, 0.8, 0.6, 0.96, 0.28, 0.0, 1.0, -1.0, 0.0], 2).unwrap();
        let popularity = Popularity::new(&catalogue, &[0.0, 0.0, 0.0, 0.0, 9.0], vec![]);
        let session = SessionState { window: vec![play(2, 1.0), play(3, -1.0)], ..SessionState::default() };
        let profile = UserProfile {
            recent: vec![play(1, 1.0)],
            artists: Affinity { entries: vec![(catalogue.artist_of(TrackIx(3)), 2.5)], as_of_ms: 0 },
            ..UserProfile::default()
        };
        let mut served = answer(5).tracks;
        served[3].source = Source::Fresh;
        served[4].source = Source::Exploration;
        served[3].rules = vec!["new-year".into()];
        Explainer {
            request: &request(0.0, 0.0),
            session: &session,
            profile: &profile,
            catalogue: &catalogue,
            vectors: &vectors,
            popularity: &popularity,
        }
        .fill(&mut served);
        assert_eq!(served[0].reasons, [Reason::SimilarTo(TrackIx(2)), Reason::SessionArtist]);
        assert_eq!(served[1].reasons, [Reason::SimilarTo(TrackIx(2))], "closer than its own kind, never itself");
        assert_eq!(
            served[3].reasons,
            [Reason::Rule("new-year".into()), Reason::SimilarTo(TrackIx(1)), Reason::ArtistYouPlay, Reason::Fresh,]
        );
        assert_eq!(served[4].reasons, [Reason::Popular, Reason::Explore], "a skipped artist is no reason");
    }
}
