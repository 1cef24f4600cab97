//! Baselines as retrievers: wired in a pipeline without a ranker, their order is the list.

use std::sync::Arc;

use crate::domain::{ArtistIx, Catalogue, Popularity, RequestContext, Retrieved, Source, TrackIx};
use crate::pipeline::{Deadline, Retriever, StageError, TrackSet};

/// Appends tracks as hits with falling scores, up to `quota`.
fn push_all(out: &mut Vec<Retrieved>, tracks: &[TrackIx], quota: usize) {
    let hit = |(at, track): (usize, &TrackIx)| Retrieved { track: *track, score: 1.0 / (1.0 + at as f32) };
    out.extend(tracks.iter().take(quota).enumerate().map(hit));
}

/// The most played tracks of the world, for everyone alike.
#[derive(Debug)]
pub struct GlobalPopular {
    popularity: Arc<Popularity>,
}

impl GlobalPopular {
    /// Takes the popularity of a bundle.
    pub fn new(popularity: Arc<Popularity>) -> Self {
        Self { popularity }
    }
}

impl Retriever for GlobalPopular {
    fn name(&self) -> &'static str {
        "baseline_popularity"
    }

    fn source(&self) -> Source {
        Source::Popular
    }

    fn retrieve(
        &mut self,
        _context: &RequestContext,
        quota: usize,
        _deadline: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), StageError> {
        push_all(out, &self.popularity.top, quota);
        Ok(())
    }
}

/// The most played tracks of the listener's market; of the world where the market is unknown.
#[derive(Debug)]
pub struct MarketPopular {
    popularity: Arc<Popularity>,
}

impl MarketPopular {
    /// Takes the popularity of a bundle.
    pub fn new(popularity: Arc<Popularity>) -> Self {
        Self { popularity }
    }
}

impl Retriever for MarketPopular {
    fn name(&self) -> &'static str {
        "baseline_market_popularity"
    }

    fn source(&self) -> Source {
        Source::Popular
    }

    fn retrieve(
        &mut self,
        context: &RequestContext,
        quota: usize,
        _deadline: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), StageError> {
        let market = context.request.market.as_deref().and_then(|code| self.popularity.market(code));
        push_all(out, market.map_or(&self.popularity.top, |market| &market.top), quota);
        Ok(())
    }
}

/// Tracks of each artist in the first sweep of [`RecentArtists`].
const PER_ARTIST: usize = 5;

/// More of what was heard last: the listener's artists by recency, of each first the tracks heard (newest first), then the
/// artist's others by popularity. A first sweep takes five of each artist, a second the rest. Where every track has an
/// artist of its own, this is the list of recently played tracks.
#[derive(Debug)]
pub struct RecentArtists {
    catalogue: Arc<Catalogue>,
    by_popularity: Vec<Vec<TrackIx>>,
    seen: TrackSet,
    artists: Vec<ArtistIx>,
    heard: Vec<TrackIx>,
    tracks: Vec<TrackIx>,
}

impl RecentArtists {
    /// Sorts every artist's tracks by popularity. `O(tracks log tracks)`.
    pub fn new(catalogue: Arc<Catalogue>, popularity: &Popularity) -> Self {
        let sorted = |artist| {
            let mut tracks = catalogue.tracks_of(ArtistIx(artist)).to_vec();
            tracks.sort_by(|a, b| popularity.score[b.at()].total_cmp(&popularity.score[a.at()]).then(a.cmp(b)));
            tracks
        };
        let by_popularity = (0..catalogue.artist_count() as u32).map(sorted).collect();
        let (artists, heard, tracks) = (Vec::new(), Vec::new(), Vec::new());
        Self { catalogue, by_popularity, seen: TrackSet::default(), artists, heard, tracks }
    }

    /// Tracks heard and their artists, newest first, each once.
    fn recent(&mut self, context: &RequestContext) {
        self.seen.clear();
        self.artists.clear();
        self.heard.clear();
        let session = context.session.current.iter().chain(context.session.window.iter().rev());
        for play in session.chain(context.profile.recent.iter().rev()) {
            if self.seen.insert(play.track) {
                self.heard.push(play.track);
                let artist = self.catalogue.artist_of(play.track);
                if !self.artists.contains(&artist) {
                    self.artists.push(artist);
                }
            }
        }
    }

    /// Takes up to `most` new tracks of every artist.
    fn sweep(&mut self, most: usize, quota: usize) {
        for artist in &self.artists {
            let heard = self.heard.iter().filter(|track| self.catalogue.artist_of(**track) == *artist);
            let room = quota.saturating_sub(self.tracks.len()).min(most);
            let seen = &mut self.seen;
            let new = heard.chain(&self.by_popularity[artist.at()]).filter(|track| seen.insert(**track));
            self.tracks.extend(new.take(room));
        }
    }
}

impl Retriever for RecentArtists {
    fn name(&self) -> &'static str {
        "baseline_recent_artists"
    }

    fn source(&self) -> Source {
        Source::SessionArtists
    }

    fn retrieve(
        &mut self,
        context: &RequestContext,
        quota: usize,
        _deadline: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), StageError> {
        self.recent(context);
        self.seen.clear();
        self.tracks.clear();
        self.sweep(PER_ARTIST, quota);
        self.sweep(usize::MAX, quota);
        push_all(out, &self.tracks, quota);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Play, SessionState, UserProfile};
    use crate::stages::testing::{context, track};

    fn tracks(stage: &mut impl Retriever, context: &RequestContext, quota: usize) -> Vec<u32> {
        let mut out = vec![];
        stage.retrieve(context, quota, &Deadline::never(), &mut out).unwrap();
        assert!(out.is_sorted_by(|a, b| a.score >= b.score));
        out.iter().map(|hit| hit.track.0).collect()
    }

    fn play(row: u32) -> Play {
        Play { track: TrackIx(row), signal: 0.0, played_fraction: 0.0, ts_ms: 0, liked: false }
    }

    #[test]
    fn popularity_by_market_and_world() {
        let catalogue = Catalogue::new((0..4).map(|row| track(row, "a")).collect()).unwrap();
        let by_market = vec![("SE".into(), vec![5.0, 0.0, 9.0, 0.0])];
        let popularity = Arc::new(Popularity::new(&catalogue, &[1.0, 8.0, 2.0, 0.0], by_market));
        let mut context = context(0.0, 0.0);
        let mut market = MarketPopular::new(Arc::clone(&popularity));
        assert_eq!(tracks(&mut market, &context, 10), [1, 2, 0]);
        Arc::make_mut(&mut context.request).market = Some("SE".into());
        assert_eq!(tracks(&mut market, &context, 10), [2, 0]);
        assert_eq!(tracks(&mut GlobalPopular::new(popularity), &context, 2), [1, 2]);
    }

    #[test]
    fn recent_artists_first_five_each_then_the_rest() {
        // Artist a: rows 0..8, artist b: rows 8..10, artist c: row 10.
        let artists = (0..11).map(|row| {
            track(
                row,
                if row < 8 {
                    "a"
                } else if row < 10 {
                    "b"
                } else {
                    "c"
                },
            )
        });
        let catalogue = Arc::new(Catalogue::new(artists.collect()).unwrap());
        let plays: Vec<f32> = (0..11).map(|row| row as f32).collect();
        let mut stage = RecentArtists::new(Arc::clone(&catalogue), &Popularity::new(&catalogue, &plays, vec![]));
        let mut context = context(0.0, 0.0);
        assert!(tracks(&mut stage, &context, 10).is_empty(), "nobody has heard anything");
        context.session = Arc::new(SessionState { window: vec![play(2), play(0)], ..SessionState::default() });
        context.profile = Arc::new(UserProfile { recent: vec![play(8), play(2)], ..UserProfile::default() });
        assert_eq!(tracks(&mut stage, &context, 100), [0, 2, 7, 6, 5, 8, 9, 4, 3, 1]);
        assert_eq!(tracks(&mut stage, &context, 3), [0, 2, 7]);
    }
}
