//! The lists of the ladder below the funnel.

use std::cmp::Reverse;
use std::sync::Arc;

use super::session_artists::TopArtists;
use super::{ArtistCharts, push_by_place};
use crate::domain::{Popularity, RequestContext, Retrieved, Source, TrackHistory};
use crate::pipeline::{Deadline, Retriever, StageError, TrackSet};

/// Favourite artists whose tracks follow the listener's own.
const TOP_ARTISTS: usize = 10;

/// The listener's own favourites: liked tracks and those played to the end or long enough most often, then the best known tracks of the artists they like.
/// Absent for a listener of whom nothing is known.
#[derive(Debug)]
pub struct UserTop {
    charts: Arc<ArtistCharts>,
    own: Vec<TrackHistory>,
    artists: TopArtists,
    seen: TrackSet,
}

impl UserTop {
    /// Reads artists' tracks from the charts.
    pub fn new(charts: Arc<ArtistCharts>) -> Self {
        Self { charts, own: Vec::new(), artists: TopArtists::default(), seen: TrackSet::default() }
    }
}

impl Retriever for UserTop {
    fn name(&self) -> &'static str {
        "user_top"
    }

    fn source(&self) -> Source {
        Source::Fallback
    }

    fn retrieve(
        &mut self,
        context: &RequestContext,
        quota: usize,
        _: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), StageError> {
        self.own.clear();
        self.own.extend(context.profile.tracks.iter().filter(|history| history.liked || history.completes > 0));
        self.own.sort_unstable_by_key(|h| (Reverse((h.liked, h.completes, h.last_ms)), h.track));
        let artists = self.artists.of(&context.profile, TOP_ARTISTS);
        if self.own.is_empty() && artists.is_empty() {
            return Err(StageError::Absent("nothing is known of the listener"));
        }
        self.seen.clear();
        for history in self.own.iter().take(quota) {
            self.seen.insert(history.track);
            push_by_place(out, history.track, quota);
        }
        self.charts.round_robin(artists, |track| {
            if out.len() < quota && self.seen.insert(track) {
                push_by_place(out, track, quota);
            }
            out.len() < quota
        });
        Ok(())
    }
}

/// The most played tracks of the request's market. Absent without a market or where nothing is known of it.
#[derive(Debug, Clone)]
pub struct MarketTop {
    popularity: Arc<Popularity>,
}

impl MarketTop {
    /// Reads the lists of a bundle.
    pub fn new(popularity: Arc<Popularity>) -> Self {
        Self { popularity }
    }
}

impl Retriever for MarketTop {
    fn name(&self) -> &'static str {
        "market_top"
    }

    fn source(&self) -> Source {
        Source::Fallback
    }

    fn retrieve(
        &mut self,
        context: &RequestContext,
        quota: usize,
        _: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), StageError> {
        let market = context.request.market.as_ref().ok_or(StageError::Absent("the request names no market"))?;
        let list = self.popularity.market(market).ok_or(StageError::Absent("nothing was played in the market"))?;
        list.top.iter().take(quota).for_each(|track| push_by_place(out, *track, quota));
        Ok(())
    }
}

/// The tracks built into the bundle, then the most played of the world. Never fails.
#[derive(Debug)]
pub struct GlobalTop {
    popularity: Arc<Popularity>,
    seen: TrackSet,
}

impl GlobalTop {
    /// Reads the lists of a bundle.
    pub fn new(popularity: Arc<Popularity>) -> Self {
        Self { popularity, seen: TrackSet::default() }
    }
}

impl Retriever for GlobalTop {
    fn name(&self) -> &'static str {
        "global_top"
    }

    fn source(&self) -> Source {
        Source::Fallback
    }

    fn retrieve(
        &mut self,
        _: &RequestContext,
        quota: usize,
        _: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), StageError> {
        self.seen.clear();
        for track in self.popularity.global_top.iter().chain(&self.popularity.top) {
            if out.len() >= quota {
                break;
            }
            if self.seen.insert(*track) {
                push_by_place(out, *track, quota);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{hits, rows};
    use super::*;
    use crate::domain::{Affinity, ArtistIx, Request, SessionState, TrackIx, UserProfile};
    use crate::stages::fixtures::{catalogue, context, request};

    fn popularity() -> Arc<Popularity> {
        let plays: Vec<f32> = (0..90).map(|row| if row < 60 { 90.0 - row as f32 } else { 0.0 }).collect();
        let sweden = (0..90).map(|row| (row % 30) as f32).collect();
        Arc::new(Popularity::new(&catalogue(90, |_, _| {}), &plays, vec![("SE".into(), sweden)]))
    }

    #[test]
    fn a_listener_gets_likes_then_completed_plays_then_favourite_artists_and_nothing_only_skipped() {
        let history = |row: u32, completes, liked| TrackHistory {
            track: TrackIx(row),
            plays: 40 - completes,
            completes,
            last_ms: 0,
            liked,
        };
        let profile = UserProfile {
            tracks: vec![history(1, 5, false), history(2, 9, false), history(4, 0, true), history(80, 0, false)],
            artists: Affinity { entries: vec![(ArtistIx(0), 1.0), (ArtistIx(5), -1.0)], as_of_ms: 0 },
            ..UserProfile::default()
        };
        let charts = Arc::new(ArtistCharts::new(&catalogue(90, |_, _| {}), &popularity()));
        let mut stage = UserTop::new(charts);
        let known = context(request(), SessionState::default(), profile);
        assert_eq!(rows(&hits(&mut stage, &known, 10)), [4, 2, 1, 0]);
        assert_eq!(rows(&hits(&mut stage, &known, 2)), [4, 2]);
        let unknown = context(request(), SessionState::default(), UserProfile::default());
        let absent = stage.retrieve(&unknown, 5, &Deadline::never(), &mut Vec::new());
        assert!(matches!(absent, Err(StageError::Absent(_))));
    }

    #[test]
    fn a_market_without_plays_is_absent() {
        let mut stage = MarketTop::new(popularity());
        let ask = |market: Option<&str>| {
            let request = Request { market: market.map(str::to_owned), ..request() };
            context(request, SessionState::default(), UserProfile::default())
        };
        assert_eq!(rows(&hits(&mut stage, &ask(Some("SE")), 2)), [29, 59]);
        for market in [None, Some("DE")] {
            let absent = stage.retrieve(&ask(market), 2, &Deadline::never(), &mut Vec::new());
            assert!(matches!(absent, Err(StageError::Absent(_))));
        }
    }

    #[test]
    fn the_last_rung_always_gives_its_list() {
        let mut stage = GlobalTop::new(popularity());
        let anyone = context(request(), SessionState::default(), UserProfile::default());
        assert_eq!(rows(&hits(&mut stage, &anyone, 500)), (0..60).collect::<Vec<_>>());
        assert_eq!(rows(&hits(&mut stage, &anyone, 3)), [0, 1, 2]);
    }
}
