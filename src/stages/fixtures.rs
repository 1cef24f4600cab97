//! Catalogues and contexts for the tests of retrievers and filters.

use std::sync::Arc;

use crate::domain::{
    Catalogue, ItemVectors, Knobs, Play, Popularity, Request, RequestContext, SequentialRules, SessionState, Track,
    TrackIx, UserId, UserProfile, bare_track,
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
    Request { limit: 20, seed: 1, ..Request::new(UserId::new("u").unwrap(), 0) }
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
    let rules = Arc::new(SequentialRules::default());
    Arc::new(Assembler::new(catalogue, vectors(tracks, dim), popularity, rules, 20_000, 60.0))
}

/// The vectors of [`assembler`].
pub(crate) fn vectors(tracks: usize, dim: usize) -> Arc<ItemVectors> {
    Arc::new(index::testing::random(tracks, dim, 3, 0.5, 1))
}
