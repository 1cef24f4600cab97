//! `GET /v1/recommendations/{id}/trace`.

use super::{NextTracksResponse, rfc3339};
use crate::domain::{Catalogue, Device, ExplainLevel, Knobs, Request, Target, TrackIx};
use crate::http::service::Traced;

/// An answer that was given, how it came about, and the question.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct RecordedTrace<'a> {
    /// The question as understood.
    request: RequestView<'a>,
    /// The weights that were in force.
    knobs: Knobs,
    /// The answer with the report of every stage; its `took_ms` is the time the stages took.
    answer: NextTracksResponse<'a>,
    /// Whether what the request read of the listener's state was kept too, so that it can be replayed.
    replayable: bool,
}

/// A question as understood: ids resolved, absent fields filled.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct RequestView<'a> {
    user_id: &'a str,
    session_id: Option<&'a str>,
    limit: usize,
    surface: Option<&'a str>,
    current_track_id: Option<&'a str>,
    seed_track_ids: Vec<&'a str>,
    seed_artist_ids: Vec<&'a str>,
    exclude_track_ids: Vec<&'a str>,
    /// The caller's own tracks (`POST /v1/rank`).
    track_ids: Option<Vec<&'a str>>,
    market: Option<&'a str>,
    allow_explicit: bool,
    discovery: f32,
    diversity: f32,
    target: Target,
    device: Device,
    local_hour: Option<u8>,
    explain: ExplainLevel,
    seed: u64,
    /// Ids that the catalogue did not know.
    unknown_ids: u32,
    /// When it came, RFC 3339.
    at: Option<String>,
}

impl<'a> RecordedTrace<'a> {
    /// The wire form.
    pub fn new(traced: &'a Traced, catalogue: &'a Catalogue) -> Self {
        let mut answer = NextTracksResponse::new(&traced.answer, catalogue, &traced.bundle, ExplainLevel::Trace);
        answer.took_ms = traced.answer.reports.iter().map(|r| r.micros).sum::<u64>() as f64 / 1_000.0;
        answer.unknown_ids = traced.request.unknown_ids;
        Self {
            request: RequestView::new(&traced.request, catalogue),
            knobs: traced.knobs,
            answer,
            replayable: traced.replayable,
        }
    }
}

impl<'a> RequestView<'a> {
    fn new(request: &'a Request, catalogue: &'a Catalogue) -> Self {
        let id = |track: &TrackIx| catalogue.track(*track).track_id.as_str();
        Self {
            user_id: request.user_id.as_str(),
            session_id: request.session_id.as_ref().map(|id| id.as_str()),
            limit: request.limit,
            surface: request.surface.as_deref(),
            current_track_id: request.current_track.as_ref().map(id),
            seed_track_ids: request.seed_tracks.iter().map(id).collect(),
            seed_artist_ids: request.seed_artists.iter().map(|a| catalogue.artist(*a).id.as_str()).collect(),
            exclude_track_ids: request.exclude.iter().map(id).collect(),
            track_ids: request.candidates.as_ref().map(|own| own.iter().map(id).collect()),
            market: request.market.as_deref(),
            allow_explicit: request.allow_explicit,
            discovery: request.discovery,
            diversity: request.diversity,
            target: request.target,
            device: request.device,
            explain: request.explain,
            local_hour: request.local_hour,
            seed: request.seed,
            unknown_ids: request.unknown_ids,
            at: rfc3339(request.now_ms),
        }
    }
}
