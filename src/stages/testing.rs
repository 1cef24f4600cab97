//! Requests, candidates and one call of a re-ranker, for the tests beside.

use std::sync::Arc;

use crate::domain::{
    Answer, ArtistId, CandidateSet, Device, ExplainLevel, Knobs, PoolCounts, RecommendationId, Request, RequestContext,
    Retrieved, Rung, ServedTrack, Source, Target, Track, TrackId, TrackIx, UserId,
};
use crate::pipeline::Reranker;

/// A track `t<row>` with nothing but ids.
pub(crate) fn track(row: usize, artist: &str) -> Track {
    Track {
        track_id: TrackId::new(format!("t{row}")).unwrap(),
        title: String::new(),
        artist_id: ArtistId::new(artist).unwrap(),
        artist_name: String::new(),
        album_id: None,
        recording_id: None,
        genre: None,
        release_day: None,
        duration_ms: None,
        explicit: false,
        tempo_bpm: None,
        energy: None,
        valence: None,
        danceability: None,
        acousticness: None,
        loudness_db: None,
        key: None,
        mode: None,
        markets: None,
        available_from_ms: None,
        available_until_ms: None,
    }
}

/// A request with nothing but a listener and the two dials.
pub(crate) fn request(discovery: f32, diversity: f32) -> Request {
    Request {
        user_id: UserId::new("u").unwrap(),
        session_id: None,
        limit: 20,
        surface: None,
        current_track: None,
        seed_tracks: vec![],
        seed_artists: vec![],
        exclude: vec![],
        market: None,
        market_ix: None,
        allow_explicit: true,
        discovery,
        diversity,
        target: Target::default(),
        device: Device::Other,
        local_hour: None,
        explain: ExplainLevel::None,
        seed: 0,
        now_ms: 0,
        unknown_ids: 0,
        candidates: None,
    }
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
    }
}
