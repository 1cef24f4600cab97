//! Each filter against a naive predicate over full rows.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::domain::{ArtistIx, Catalogue, RemovalReason, Request, RequestContext, SessionState, UserProfile};
use crate::pipeline::CandidateFilter;
use crate::stages::fixtures;

const TRACKS: u32 = 40;

fn catalogue() -> Arc<Catalogue> {
    fixtures::catalogue(TRACKS as usize, |row, track| {
        track.explicit = row % 4 == 0;
        track.recording_id = (row % 5 == 0).then(|| format!("r{}", row % 3));
        track.available_from_ms = (row % 6 == 0).then_some(100);
        track.available_until_ms = (row % 7 == 0).then_some(200);
        track.markets = match row % 3 {
            0 => None,
            1 => Some(vec!["SE".into()]),
            _ => Some(vec!["DE".into(), "SE".into()]),
        };
    })
}

fn filters(catalogue: &Arc<Catalogue>, takedowns: &Arc<Takedowns>) -> Vec<Box<dyn CandidateFilter>> {
    vec![
        Box::new(PlayedInSession::new(Arc::clone(catalogue))),
        Box::new(ServedBefore::new(Arc::clone(catalogue))),
        Box::new(Excluded::new(Arc::clone(catalogue))),
        Box::new(Disliked::new(Arc::clone(catalogue))),
        Box::new(BlockedArtist::new(Arc::clone(catalogue))),
        Box::new(Market::new(Arc::clone(catalogue))),
        Box::new(Explicit::new(Arc::clone(catalogue))),
        Box::new(Licence::new(Arc::clone(catalogue))),
        Box::new(TakenDown::new(Arc::clone(takedowns))),
        Box::new(SameRecording::new(Arc::clone(catalogue))),
    ]
}

/// Whether a track must go, read from its full row; `earlier` are the candidates before it.
fn must_go(
    reason: RemovalReason,
    catalogue: &Catalogue,
    down: &[TrackIx],
    context: &RequestContext,
    track: TrackIx,
    earlier: &[TrackIx],
) -> bool {
    let (row, request, session) = (catalogue.track(track), &context.request, &context.session);
    let same = |other: TrackIx| match &catalogue.track(other).recording_id {
        None => other == track,
        Some(recording) => row.recording_id.as_ref() == Some(recording),
    };
    match reason {
        RemovalReason::PlayedInSession => session.played.iter().copied().any(same),
        RemovalReason::ServedBefore => session.served.iter().copied().any(same),
        RemovalReason::Excluded => request.exclude.iter().copied().chain(request.current_track).any(same),
        RemovalReason::Disliked => context.profile.disliked.iter().copied().any(same),
        RemovalReason::BlockedArtist => context.profile.blocked_artists.contains(&catalogue.artist_of(track)),
        RemovalReason::Market => match (&request.market, &row.markets) {
            (Some(market), Some(licensed)) => !licensed.contains(market),
            (None, _) | (_, None) => false,
        },
        RemovalReason::Explicit => row.explicit && !request.allow_explicit,
        RemovalReason::Licence => {
            row.available_from_ms.is_some_and(|from| request.now_ms < from)
                || row.available_until_ms.is_some_and(|until| request.now_ms >= until)
        }
        RemovalReason::TakenDown => down.contains(&track),
        // No such filter is among these.
        RemovalReason::Rule => false,
        RemovalReason::SameRecording => earlier.iter().copied().any(same),
    }
}

fn rows() -> impl Strategy<Value = Vec<TrackIx>> {
    prop::collection::btree_set((0..TRACKS).prop_map(TrackIx), 0..12).prop_map(|set| set.into_iter().collect())
}

prop_compose! {
    fn contexts()(
        market in prop::option::of(prop::sample::select(vec!["SE", "DE", "XX"])),
        (exclude, served, disliked) in (rows(), rows(), rows()),
        played in prop::collection::vec(0..TRACKS, 0..8),
        current in prop::option::of((0..TRACKS).prop_map(TrackIx)),
        blocked in prop::collection::btree_set((0u32..13).prop_map(ArtistIx), 0..4),
        allow_explicit: bool,
        now_ms in prop::sample::select(vec![0i64, 99, 100, 199, 200, 300]),
    ) -> RequestContext {
        let market_ix = market.and_then(|code| catalogue().find_market(code));
        let market = market.map(str::to_owned);
        let request =
            Request { exclude, current_track: current, market, market_ix, allow_explicit, now_ms, ..fixtures::request() };
        let session = SessionState { served, ..fixtures::session(&played) };
        let blocked_artists = blocked.into_iter().collect();
        fixtures::context(request, session, UserProfile { disliked, blocked_artists, ..UserProfile::default() })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn mark_exactly_what_must_go(
        context in contexts(),
        down in rows(),
        tracks in Just((0..TRACKS).map(TrackIx).collect::<Vec<_>>()).prop_shuffle(),
        marked in prop::collection::vec(any::<bool>(), TRACKS as usize),
    ) {
        let catalogue = catalogue();
        let takedowns = Arc::new(Takedowns::new(TRACKS as usize));
        down.iter().for_each(|track| assert!(takedowns.take_down(*track)));
        for mut filter in filters(&catalogue, &takedowns) {
            // Twice, because filters reuse their memory; the second time with marks of others, which must stay.
            for before in [vec![false; tracks.len()], marked.clone()] {
                let mut removed = before.clone();
                filter.mark(&context, &tracks, &mut removed);
                let mut earlier = Vec::new();
                for (at, track) in tracks.iter().enumerate() {
                    let gone = must_go(filter.reason(), &catalogue, &down, &context, *track, &earlier);
                    prop_assert_eq!(removed[at], before[at] || gone, "{:?} of {:?}", filter.reason(), track);
                    if !before[at] {
                        earlier.push(*track);
                    }
                }
            }
        }
    }
}

#[test]
fn what_the_window_no_longer_holds_is_still_played() {
    let all: Vec<u32> = (0..TRACKS).collect();
    let mut session = fixtures::session(&all);
    session.window.drain(..5);
    let context = fixtures::context(fixtures::request(), session, UserProfile::default());
    let mut removed = [false; 2];
    PlayedInSession::new(catalogue()).mark(&context, &[TrackIx(0), TrackIx(TRACKS - 1)], &mut removed);
    assert_eq!(removed, [true; 2]);
}

#[test]
fn what_sounds_in_the_session_is_excluded_too() {
    let mut session = fixtures::session(&[7]);
    session.current = session.window.pop();
    session.played.clear();
    let context = fixtures::context(fixtures::request(), session, UserProfile::default());
    for mut filter in
        [Box::new(Excluded::new(catalogue())) as Box<dyn CandidateFilter>, Box::new(PlayedInSession::new(catalogue()))]
    {
        let mut removed = [false; 2];
        filter.mark(&context, &[TrackIx(6), TrackIx(7)], &mut removed);
        assert_eq!(removed, [false, true]);
    }
}

#[test]
fn without_windows_a_licence_costs_nothing() {
    let catalogue = fixtures::catalogue(3, |_, _| {});
    let mut removed = [false; 3];
    Licence::new(Arc::clone(&catalogue)).mark(
        &fixtures::context(fixtures::request(), SessionState::default(), UserProfile::default()),
        &[TrackIx(0), TrackIx(1), TrackIx(2)],
        &mut removed,
    );
    assert_eq!(removed, [false; 3]);
}

#[test]
fn a_small_market_names_what_it_leaves() {
    let catalogue = fixtures::catalogue(300, |row, track| {
        track.markets = if row == 70 { None } else { Some(vec![if row % 60 == 0 { "IS" } else { "SE" }.into()]) };
    });
    let market = Market::new(Arc::clone(&catalogue));
    let all: Vec<TrackIx> = (0..300).map(TrackIx).collect();
    for (code, few) in [(Some("IS"), true), (Some("SE"), false), (Some("XX"), true), (None, false)] {
        let market_ix = code.and_then(|code| catalogue.find_market(code));
        let request = Request { market: code.map(Into::into), market_ix, ..fixtures::request() };
        let context = fixtures::context(request, SessionState::default(), UserProfile::default());
        let mut removed = vec![false; 300];
        market.clone().mark(&context, &all, &mut removed);
        let left: Vec<TrackIx> = all.iter().copied().filter(|track| !removed[track.at()]).collect();
        assert_eq!(market.only(&context), few.then_some(&left[..]), "{code:?}");
    }
}
