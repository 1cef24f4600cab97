//! What happened between a listener and a track: one definition for HTTP, logs, tables and imports.

use super::{EventId, RecommendationId, SessionId, TrackId, UserId};

/// Version of what an event is, wherever it is written: a change of meaning raises it. Absent means 1.
pub const EVENT_SCHEMA: u32 = 1;

macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),* }

        impl $name {
            /// Every value, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The value with that wire name.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

wire_enum! {
    /// The kinds of event.
    EventType {
        /// A track began.
        PlayStart = "play_start",
        /// A track ended by itself or by an unknown cause; `reason_end` says which.
        PlayEnd = "play_end",
        /// The listener moved on: before 10 s a strong negative, later a weak one graded by the part played.
        Skip = "skip",
        /// Not a verdict.
        Pause = "pause",
        /// Not a verdict.
        Resume = "resume",
        /// Not a verdict.
        Seek = "seek",
        /// Not a verdict: the play is censored where it stopped.
        Stop = "stop",
        /// Strong positive.
        Like = "like",
        /// Takes a like back.
        Unlike = "unlike",
        /// Hard filter for the track from the next request on.
        Dislike = "dislike",
        /// Hard filter for the track's artist from the next request on.
        BlockArtist = "block_artist",
        /// Strong positive.
        AddToPlaylist = "add_to_playlist",
        /// The track was shown.
        Impression = "impression",
        /// The listener searched.
        Search = "search",
    }
}

wire_enum! {
    /// Why a play began.
    StartReason {
        /// The queue went on by itself.
        Auto = "auto",
        /// The listener chose it.
        Click = "click",
        /// The listener went back to it.
        Back = "back",
        /// The listener found it by search.
        Search = "search",
    }
}

wire_enum! {
    /// Why a play ended.
    EndReason {
        /// The track finished.
        Done = "done",
        /// The listener moved on.
        Skip = "skip",
        /// The listener went back.
        Back = "back",
        /// Not a verdict.
        Logout = "logout",
        /// Not a verdict.
        Timeout = "timeout",
        /// Not a verdict.
        AppClosed = "app_closed",
    }
}

wire_enum! {
    /// What the listener listens on.
    Device {
        /// A phone or tablet.
        Phone = "phone",
        /// A computer.
        Desktop = "desktop",
        /// A car.
        Car = "car",
        /// A speaker.
        Speaker = "speaker",
        /// A television.
        Tv = "tv",
        /// Anything else; also what an absent device counts as.
        Other = "other",
    }
}

/// One event, validated. Times in Unix milliseconds UTC, durations in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Key of idempotency.
    pub event_id: EventId,
    /// Who.
    pub user_id: UserId,
    /// In which session.
    pub session_id: SessionId,
    /// What happened.
    pub kind: EventType,
    /// When it happened (event time).
    pub ts_ms: i64,
    /// On which track; absent only for `search`.
    pub track_id: Option<TrackId>,
    /// Position in the track.
    pub position_ms: Option<u32>,
    /// Length of the track as the client knows it.
    pub duration_ms: Option<u32>,
    /// How long it really sounded.
    pub played_ms: Option<u32>,
    /// Why the play began.
    pub reason_start: Option<StartReason>,
    /// Why the play ended.
    pub reason_end: Option<EndReason>,
    /// The answer that proposed the track.
    pub recommendation_id: Option<RecommendationId>,
    /// ISO 3166 market code.
    pub market: Option<String>,
    /// On what.
    pub device: Option<Device>,
    /// The listener's hour, 0..23; absent: the UTC hour of `ts_ms`.
    pub local_hour: Option<u8>,
}
