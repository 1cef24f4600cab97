//! A request, validated and resolved against the loaded bundle.

use super::{ArtistIx, Assigned, Catalogue, Device, Event, MarketIx, SessionId, TrackIx, UserId};

/// How much the answer explains itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExplainLevel {
    /// Tracks only.
    #[default]
    None,
    /// Reasons per track.
    Reasons,
    /// Reasons and the report of every stage.
    Trace,
}

/// A sound the listener asks for; absent parts do not count.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Target {
    /// Beats per minute.
    pub tempo: Option<f32>,
    /// 0..1.
    pub energy: Option<f32>,
    /// 0..1.
    pub valence: Option<f32>,
}

/// What `POST /v1/next-tracks` asks, after validation: numbers in range, ids resolved (unknown ones dropped and counted).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Who asks.
    pub user_id: UserId,
    /// In which session; absent: no live session features.
    pub session_id: Option<SessionId>,
    /// Tracks wanted, 1..=100.
    pub limit: usize,
    /// Where the list is shown, e.g. `radio`: whether it stays in rank order. A label for logs, never for metrics.
    pub surface: Option<String>,
    /// What sounds now.
    pub current_track: Option<TrackIx>,
    /// Tracks to start from.
    pub seed_tracks: Vec<TrackIx>,
    /// Artists to start from.
    pub seed_artists: Vec<ArtistIx>,
    /// Tracks not to serve, sorted.
    pub exclude: Vec<TrackIx>,
    /// Market code as given, for popularity.
    pub market: Option<String>,
    /// Its row, where a licence names it.
    pub market_ix: Option<MarketIx>,
    /// Whether explicit tracks may be served.
    pub allow_explicit: bool,
    /// 0 = familiar, 1 = mostly unheard artists.
    pub discovery: f32,
    /// 0 = rank order, 1 = as diverse as the pool allows.
    pub diversity: f32,
    /// A sound to aim at.
    pub target: Target,
    /// On what.
    pub device: Device,
    /// The listener's hour, 0..23; absent: UTC.
    pub local_hour: Option<u8>,
    /// How much to explain.
    pub explain: ExplainLevel,
    /// Seed of all randomness; drawn when absent, and kept in the trace.
    pub seed: u64,
    /// When the request came, Unix ms: the `now` of every feature.
    pub now_ms: i64,
    /// Ids in the request that the bundle does not know.
    pub unknown_ids: u32,
    /// The caller's own candidates (`POST /v1/rank`): retrieval is replaced by this list.
    pub candidates: Option<Vec<TrackIx>>,
    /// Which dials the client gave; an experiment may set the others, and the session's intent turn them.
    #[serde(default)]
    pub given: GivenDials,
    /// The arms that it is in.
    #[serde(skip)]
    pub arms: Vec<Assigned>,
}

/// The dials that a client gave with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenDials {
    /// `discovery`.
    pub discovery: bool,
    /// `diversity`.
    pub diversity: bool,
}

impl Request {
    /// `discovery` where a client gives none.
    pub const DISCOVERY: f32 = 0.3;
    /// `diversity` where a client gives none.
    pub const DIVERSITY: f32 = 0.5;

    /// The least that can be asked: one track for a listener at a moment, nothing known beside it, dials and seed at 0.
    pub fn new(user_id: UserId, now_ms: i64) -> Self {
        Self {
            user_id,
            session_id: None,
            limit: 1,
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
            seed: 0,
            now_ms,
            unknown_ids: 0,
            candidates: None,
            given: GivenDials::default(),
            arms: Vec::new(),
        }
    }

    /// The request that a client would have sent just before an event: for evaluation and training rows.
    pub fn before(event: &Event, catalogue: &Catalogue) -> Self {
        Self {
            session_id: Some(event.session_id.clone()),
            market: event.market.clone(),
            market_ix: event.market.as_deref().and_then(|code| catalogue.find_market(code)),
            device: event.device.unwrap_or(Device::Other),
            local_hour: event.local_hour,
            ..Self::new(event.user_id.clone(), event.ts_ms)
        }
    }
}
