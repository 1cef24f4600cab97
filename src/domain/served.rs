//! The answer.

use std::sync::Arc;

use super::{ArmName, Degradation, Intent, RecommendationId, Rung, Source, TrackIx};
use crate::pipeline::{Detail, StageReport};

/// The closed set of reasons for which a candidate is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RemovalReason {
    /// Played in this session.
    PlayedInSession,
    /// Served to this session before.
    ServedBefore,
    /// In the request's exclude list, or what sounds now.
    Excluded,
    /// Disliked by the listener.
    Disliked,
    /// By an artist the listener blocked.
    BlockedArtist,
    /// Not licensed in the market.
    Market,
    /// Explicit, and the request does not allow it.
    Explicit,
    /// Outside its licence window.
    Licence,
    /// Taken down.
    TakenDown,
    /// Blocked by a business rule.
    Rule,
    /// The same recording as a better candidate.
    SameRecording,
}

impl RemovalReason {
    /// All reasons.
    pub const ALL: [Self; 11] = [
        Self::PlayedInSession,
        Self::ServedBefore,
        Self::Excluded,
        Self::Disliked,
        Self::BlockedArtist,
        Self::Market,
        Self::Explicit,
        Self::Licence,
        Self::TakenDown,
        Self::Rule,
        Self::SameRecording,
    ];

    /// The name in labels and traces.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PlayedInSession => "played_in_session",
            Self::ServedBefore => "served_before",
            Self::Excluded => "excluded",
            Self::Disliked => "disliked",
            Self::BlockedArtist => "blocked_artist",
            Self::Market => "market",
            Self::Explicit => "explicit",
            Self::Licence => "licence",
            Self::TakenDown => "taken_down",
            Self::Rule => "rule",
            Self::SameRecording => "same_recording",
        }
    }
}

/// Why a track is in the list, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Close to this track in the embedding space.
    SimilarTo(TrackIx),
    /// By an artist the listener plays much.
    ArtistYouPlay,
    /// By an artist of this session.
    SessionArtist,
    /// Much played in the market.
    Popular,
    /// A new release.
    Fresh,
    /// Explored: little is known about it yet.
    Explore,
    /// Placed or moved by the business rule of this name.
    Rule(Arc<str>),
}

/// One served track.
#[derive(Debug, Clone, PartialEq)]
pub struct ServedTrack {
    /// The track.
    pub track: TrackIx,
    /// The score that ordered it.
    pub score: f32,
    /// Who proposed it.
    pub source: Source,
    /// Task probabilities `(complete, skip, like)`; absent below rung `reduced`.
    pub tasks: Option<(f32, f32, f32)>,
    /// Probability with which an exploratory choice fell on it; absent for a deterministic one.
    pub propensity: Option<f32>,
    /// The business rules that placed or moved it, by name.
    pub rules: Vec<Arc<str>>,
    /// Why it is here; filled on request.
    pub reasons: Vec<Reason>,
}

/// How many candidates there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, utoipa::ToSchema)]
pub struct PoolCounts {
    /// After merging the retrievers.
    pub retrieved: usize,
    /// After filters.
    pub after_filters: usize,
    /// Scored by the ranker.
    pub ranked: usize,
}

/// The answer to one request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its id.
    pub recommendation_id: RecommendationId,
    /// The rung it came from.
    pub rung: Rung,
    /// What went less than well.
    pub degraded: Vec<Degradation>,
    /// What the session seems to be for.
    pub intent: Option<Intent>,
    /// Best first.
    pub tracks: Vec<ServedTrack>,
    /// Candidate counts.
    pub pool: PoolCounts,
    /// One report a stage, in order of execution.
    pub reports: Vec<StageReport>,
    /// The seed that was used.
    pub seed: u64,
    /// The arms of the experiments that could have made it otherwise.
    pub experiments: Vec<ArmName>,
    /// The ways of its tracks, where they were recorded.
    pub detail: Option<Arc<Detail>>,
}
