//! `GET /v1/sessions/{id}`.

use super::rfc3339;
use crate::domain::{Catalogue, Play, SessionState, TrackIx};

/// The live state of a session.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct SessionView<'a> {
    /// The session.
    session_id: &'a str,
    /// Who listens; null until the first event.
    user_id: Option<&'a str>,
    /// First event, RFC 3339; null until then.
    started_at: Option<String>,
    /// Latest event, RFC 3339; null until there is one.
    last_event_at: Option<String>,
    /// Ended plays.
    plays: u32,
    /// Skips.
    skips: u32,
    /// Plays that finished or passed 30 s.
    completes: u32,
    /// Skips since the last play that was not one.
    skips_in_row: u32,
    /// What sounds now.
    current: Option<PlayView<'a>>,
    /// The last 50 ended plays, newest first.
    recent: Vec<PlayView<'a>>,
    /// Tracks served to this session, newest first; bounded.
    served_track_ids: Vec<&'a str>,
    /// Artists that early skips hold back, most first.
    artist_penalties: Vec<PenaltyView<'a>>,
}

/// One play.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct PlayView<'a> {
    /// The track.
    track_id: &'a str,
    /// Graded verdict in -1..1; 0 = censored or not ended.
    signal: f32,
    /// Part of the track that sounded, 0..1.
    played_fraction: f32,
    /// When it ended, or began while it sounds, RFC 3339.
    at: Option<String>,
    /// Liked or added to a playlist.
    liked: bool,
}

/// An artist held back.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct PenaltyView<'a> {
    /// The artist.
    artist_id: &'a str,
    /// 0..1; fades with every later play.
    penalty: f32,
}

impl<'a> SessionView<'a> {
    /// The wire form.
    pub fn new(session_id: &'a str, state: &'a SessionState, catalogue: &'a Catalogue) -> Self {
        let id = |track: &TrackIx| catalogue.track(*track).track_id.as_str();
        let penalty = |(artist, penalty): &(_, f32)| PenaltyView {
            artist_id: catalogue.artist(*artist).id.as_str(),
            penalty: *penalty,
        };
        let mut artist_penalties: Vec<_> = state.artist_penalty.iter().map(penalty).collect();
        // Without an event there is neither a listener nor a time.
        let at = |ms| state.user_id.as_ref().and_then(|_| rfc3339(ms));
        artist_penalties.sort_by(|a, b| crate::domain::by_score(a.penalty, b.penalty));
        Self {
            session_id,
            user_id: state.user_id.as_ref().map(|id| id.as_str()),
            started_at: at(state.started_ms),
            last_event_at: at(state.last_ms),
            plays: state.plays,
            skips: state.skips,
            completes: state.completes,
            skips_in_row: state.skips_in_row,
            current: state.current.as_ref().map(|play| PlayView::new(play, catalogue)),
            recent: state.window.iter().rev().map(|play| PlayView::new(play, catalogue)).collect(),
            served_track_ids: state.served.iter().rev().map(id).collect(),
            artist_penalties,
        }
    }
}

impl<'a> PlayView<'a> {
    fn new(play: &Play, catalogue: &'a Catalogue) -> Self {
        Self {
            track_id: catalogue.track(play.track).track_id.as_str(),
            signal: play.signal,
            played_fraction: play.played_fraction,
            at: rfc3339(play.ts_ms),
            liked: play.liked,
        }
    }
}
