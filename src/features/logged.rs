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
    /// What exploration did with them.
    pub contest: Contest,
}

/// Who competed for the places of a list that explore, and who got them. Empty where nothing explored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contest {
    /// Everybody who competed for the first place, winner included.
    pub competed: Vec<TrackIx>,
    /// Who won, first place first, each with the probability of that choice among those that were left.
    pub chosen: Vec<(TrackIx, f32)>,
}

impl Contest {
    /// Nobody competes.
    pub fn clear(&mut self) {
        self.competed.clear();
        self.chosen.clear();
    }

    /// `None` of a track that did not compete, 0 of one that won nothing, else which place it won, from 1; with the probability
    /// of that choice. `O(competitors)`.
    pub fn outcome(&self, track: TrackIx) -> Option<(u32, Option<f32>)> {
        let won = self.chosen.iter().position(|(winner, _)| *winner == track);
        let won = won.map(|at| (at as u32 + 1, Some(self.chosen[at].1)));
        won.or_else(|| self.competed.contains(&track).then_some((0, None)))
    }
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
    /// Probability with which it was chosen: of what exploration chose that of the choice, served in the end or not; 1 of
    /// everything else that was served. `None` where it was neither.
    pub propensity: Option<f32>,
    /// The score that ordered the list. `None` where it was not served.
    pub score: Option<f32>,
    /// Whether it competed for the places that explore: `None` where not, 0 where it won none, else which, from 1.
    pub contest: Option<u32>,
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

/// Whether a candidate that was not served is logged: a draw of its own from the request's seed (SplitMix64). `share`: 0..1.
pub fn is_sampled(seed: u64, track: TrackIx, share: f32) -> bool {
    let mixed = seed ^ u64::from(track.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    // 24 bits are what an f32 holds exactly.
    (((mixed ^ mixed >> 31) >> 40) as f32) < share * (1u32 << 24) as f32
}
