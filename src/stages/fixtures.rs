//! Catalogues and contexts for the tests of retrievers and filters.

use std::sync::Arc;

use crate::domain::{
    Catalogue, Device, ExplainLevel, ItemVectors, Knobs, Play, Popularity, Request, RequestContext, SessionState,
    Target, Track, TrackIx, UserId, UserProfile, bare_track,
};
use crate::features::Assembler;
use crate::index;

/// Tracks `t0..`, three in a row by the same artist (`a0`, `a1`, ...), each changed by `edit`.
pub(crate) fn catalogue(tracks: usize, edit: impl Fn(usize, &mut Track)) -> Arc<Catalogue> {
    let rows = (0..tracks).map(|row| {
        let mut track = bare_track(&format!("t{row}"), &format!("a{}", row / 3));
        edit(row, &mut track);
        track
    });
    Arc::new(Catalogue::new(rows.collect()).unwrap())
}

/// A request with nothing but a listener.
pub(crate) fn request() -> Request {
    Request {
        user_id: UserId::new("u").unwrap(),
        session_id: None,
        limit: 20,
        surface: None,
        current_track: None,
        seed_tracks: Vec::new(),
        seed_artists: Vec::new(),
        exclude: Vec::new(),
        market: None,
        market_ix: None,
        allow_explicit: true,
        discovery: 0.0,
        diversity: 0.0,
        target: Target::default(),
        device: Device::Other,
        local_hour: None,
        explain: ExplainLevel::None,
        seed: 1,
        now_ms: 0,
        unknown_ids: 0,
        candidates: None,
    }
}

/// The context of a request, with what a session and a profile hold.
pub(crate) fn context(request: Request, session: SessionState, profile: UserProfile) -> RequestContext {
    let mut context = RequestContext::new(Arc::new(request), Knobs::default());
    context.session = Arc::new(session);
    context.profile = Arc::new(profile);
    context
}

/// A session that has played these tracks, oldest first.
pub(crate) fn session(played: &[u32]) -> SessionState {
    let play = |track: &u32| Play { track: TrackIx(*track), signal: 1.0, played_fraction: 1.0, ts_ms: 0, liked: false };
    SessionState {
        window: played.iter().map(play).collect(),
        played: played.iter().map(|track| TrackIx(*track)).collect(),
        ..SessionState::default()
    }
}

/// The feature code of a bundle of [`catalogue`] with random vectors and no plays.
pub(crate) fn assembler(tracks: usize, dim: usize) -> Arc<Assembler> {
    let catalogue = catalogue(tracks, |_, _| {});
    let popularity = Arc::new(Popularity::new(&catalogue, &vec![0.0; tracks], Vec::new()));
    Arc::new(Assembler::new(catalogue, vectors(tracks, dim), popularity, 20_000, 60.0))
}

/// The vectors of [`assembler`].
pub(crate) fn vectors(tracks: usize, dim: usize) -> Arc<ItemVectors> {
    Arc::new(index::testing::random(tracks, dim, 3, 0.5, 1))
}
