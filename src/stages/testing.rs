//! Requests, candidates and one call of a re-ranker, for the tests beside.

use std::sync::Arc;

use crate::domain::{
    Answer, CandidateSet, Knobs, PoolCounts, RecommendationId, Request, RequestContext, Retrieved, Rung, ServedTrack,
    Source, Track, TrackIx, UserId, bare_track,
};
use crate::pipeline::Reranker;

/// A track `t<row>` with nothing but ids.
pub(crate) fn track(row: usize, artist: &str) -> Track {
    bare_track(&format!("t{row}"), artist)
}

/// A request with nothing but a listener and the two dials.
pub(crate) fn request(discovery: f32, diversity: f32) -> Request {
    Request { limit: 20, discovery, diversity, ..Request::new(UserId::new("u").unwrap(), 0) }
}

/// The context of [`request`] with default knobs.
pub(crate) fn context(discovery: f32, diversity: f32) -> RequestContext {
    RequestContext::new(Arc::new(request(discovery, diversity)), Knobs::default())
}

/// Tracks `0..n`, all from one retriever.
pub(crate) fn candidates(n: usize) -> CandidateSet {
    let mut set = CandidateSet::default();
    (0..n as u32).for_each(|row| set.push(Retrieved { track: TrackIx(row), score: 0.0 }, Source::TwoTower));
    set
}

/// Runs a re-ranker over tracks with these scores, ordered best first; gives the new order and scores.
pub(crate) fn rerank(
    stage: &mut impl Reranker,
    context: &RequestContext,
    scores: &[f32],
    limit: usize,
) -> (Vec<u32>, Vec<f32>) {
    let candidates = candidates(scores.len());
    let mut scores = scores.to_vec();
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    candidates.sort_rows(&mut order, &scores);
    let mut propensity = vec![None; scores.len()];
    stage.rerank(context, &candidates, &mut scores, &mut propensity, &mut order, limit).unwrap();
    assert!(propensity.iter().all(Option::is_none), "nothing here is drawn by chance");
    (order, scores)
}

/// The order of these scores, best first.
pub(crate) fn ranking(scores: &[f32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    candidates(scores.len()).sort_rows(&mut order, scores);
    order
}

/// A full answer of tracks `0..n` from the two-tower retriever.
pub(crate) fn answer(n: u32) -> Answer {
    let served = |row| ServedTrack {
        track: TrackIx(row),
        score: 1.0,
        source: Source::TwoTower,
        tasks: None,
        propensity: None,
        rules: vec![],
        reasons: vec![],
    };
    Answer {
        recommendation_id: RecommendationId::new("r-1").unwrap(),
        rung: Rung::Full,
        degraded: vec![],
        intent: None,
        tracks: (0..n).map(served).collect(),
        pool: PoolCounts::default(),
        reports: vec![],
        seed: 0,
        experiments: Vec::new(),
        detail: None,
    }
}
