//! What leaves a lane for the feature log: the very numbers that its ranker saw.

use std::sync::{Arc, Mutex};

use crate::domain::{RecommendationId, Rung, SessionId, TrackIx, UserId};

/// What the ranker of one lane saw and said last; row i = candidate i. Empty where it scored nothing since it was cleared.
#[derive(Debug, Default)]
pub struct Ranked {
    /// The candidates.
    pub tracks: Vec<TrackIx>,
    /// The user's row, `[U + dim]`.
    pub user: Vec<f32>,
    /// The items' rows, `[n * (I + dim)]`.
    pub items: Vec<f32>,
    /// The rows of user by item, `[n * X]`.
    pub cross: Vec<f32>,
    /// The heads' probabilities, `[n * tasks]`.
    pub tasks: Vec<f32>,
    /// The blend of them that re-ranking starts from, `[n]`.
    pub blended: Vec<f32>,
}

/// Where the ranker of a lane leaves what it saw, for the lane's own observer: never contended. The ranker swaps its
/// buffers in, so that nothing is copied for an answer of which nothing is logged.
pub type RankedTap = Arc<Mutex<Ranked>>;

/// One candidate of a logged answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoggedRow {
    /// The track.
    pub track: TrackIx,
    /// Its place in the list, from 0; `None` where it was not served.
    pub position: Option<u32>,
    /// Probability with which a served track was chosen: 1 for a deterministic choice. `None` where it was not served.
    pub propensity: Option<f32>,
    /// The score that ordered the list. `None` where it was not served.
    pub score: Option<f32>,
    /// The heads' probabilities, in schema order.
    pub tasks: [f32; 3],
    /// The blend of them.
    pub blended: f32,
}

/// One answer as the feature log keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedAnswer {
    /// Its id.
    pub recommendation_id: RecommendationId,
    /// Who asked.
    pub user_id: UserId,
    /// In which session.
    pub session_id: Option<SessionId>,
    /// When, Unix ms: the `now` of its features.
    pub ts_ms: i64,
    /// The seed of its randomness.
    pub seed: u64,
    /// Where it came from.
    pub rung: Rung,
    /// Whether it ranked the caller's own tracks.
    pub own_candidates: bool,
    /// The experiment's arm, where there is one.
    pub arm: Option<String>,
    /// Candidates that the ranker scored; 0 where none did.
    pub pool: u32,
    /// Share of the ones not served that are logged.
    pub unserved_share: f32,
    /// The user's row, `[U + dim]`; empty where nothing was ranked.
    pub user: Vec<f32>,
    /// The logged candidates, in the order in which the ranker saw them.
    pub rows: Vec<LoggedRow>,
    /// Their items' rows, `[n * (I + dim)]`.
    pub items: Vec<f32>,
    /// Their rows of user by item, `[n * X]`.
    pub cross: Vec<f32>,
    /// The served tracks in order, where no ranker scored them.
    pub unranked: Vec<TrackIx>,
}
