//! An event as a client sends it.

use super::optional_object;
use crate::domain::{
    Device, EndReason, Event, EventId, EventType, RecommendationId, SessionId, StartReason, TrackId, UserId,
};

/// What a client knows of the moment.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RawContext {
    /// On what.
    pub device: Option<Device>,
    /// The listener's hour, 0..23.
    #[schema(minimum = 0, maximum = 23)]
    pub local_hour: Option<u8>,
    /// ISO 3166 code.
    #[schema(pattern = "^[A-Z]{2}$")]
    pub market: Option<String>,
}

/// An event as a client sends it: types are right, values are not yet checked.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RawEvent {
    /// Version of the event's schema; absent: 1, the only one so far.
    #[schema(minimum = 1, maximum = 1)]
    pub schema_version: Option<u32>,
    /// Key of idempotency: sending an event again under its id is harmless.
    #[schema(value_type = String, min_length = 1, max_length = 128)]
    pub event_id: EventId,
    /// Who.
    #[schema(value_type = String, min_length = 1, max_length = 128)]
    pub user_id: UserId,
    /// In which session; a session belongs to one listener.
    #[schema(value_type = String, min_length = 1, max_length = 128)]
    pub session_id: SessionId,
    /// On which track; only `search` needs none. `block_artist` names any track of the artist.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    pub track_id: Option<TrackId>,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// The answer that proposed the track.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    pub recommendation_id: Option<RecommendationId>,
    /// Position in the track, at most 24 h.
    pub position_ms: Option<u32>,
    /// Length of the track as the client knows it, at most 24 h.
    pub duration_ms: Option<u32>,
    /// How long it really sounded, at most 24 h.
    pub played_ms: Option<u32>,
    /// Why the play began.
    pub reason_start: Option<StartReason>,
    /// Why the play ended.
    pub reason_end: Option<EndReason>,
    /// When it happened by the client's clock, RFC 3339.
    #[schema(example = "2026-01-01T00:00:00Z")]
    pub client_ts: String,
    /// What the client knows of the moment.
    #[serde(default, deserialize_with = "optional_object")]
    pub context: Option<RawContext>,
}

impl From<&Event> for RawEvent {
    /// The event as a client with a right clock would send it again.
    fn from(event: &Event) -> Self {
        let context = RawContext { device: event.device, local_hour: event.local_hour, market: event.market.clone() };
        Self {
            schema_version: None,
            event_id: event.event_id.clone(),
            user_id: event.user_id.clone(),
            session_id: event.session_id.clone(),
            track_id: event.track_id.clone(),
            kind: event.kind,
            recommendation_id: event.recommendation_id.clone(),
            position_ms: event.position_ms,
            duration_ms: event.duration_ms,
            played_ms: event.played_ms,
            reason_start: event.reason_start,
            reason_end: event.reason_end,
            client_ts: jiff::Timestamp::from_millisecond(event.ts_ms)
                .map_or_else(|_| String::new(), |ts| ts.to_string()),
            context: (context != RawContext::default()).then_some(context),
        }
    }
}
