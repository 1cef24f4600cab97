//! What goes over the wire: requests as they come (unknown fields refused, lists bounded), their validation into domain
//! types, and replies.

mod answer;
mod bundles;
mod check;
mod event_message;
mod events;
mod explain;
mod knobs;
mod list;
mod put_track;
mod query;
mod replay;
mod request;
mod session;
mod trace;
mod track;

pub use answer::{NextTracksResponse, RemovedView, StepView, TaskScoresView, TraceView, TrackAnswer, WayView};
pub use bundles::ActivateRequest;
pub use check::Checks;
pub(in crate::http) use event_message::{json_of, messages};
pub use events::{EventResult, EventStatus, EventsRequest, EventsResponse};
pub use explain::{ExplainOutcome, ExplainResponse, ProposalView, SimilarityView};
pub use knobs::check_knobs;
pub use list::{HARD_LIST_LEN, List};
pub use put_track::{PutArtist, PutAudio, PutTrack};
pub use query::{Query, Scope};
pub use replay::{ReplayRequest, ReplayResponse, ReplayedTrack};
pub use request::{
    DEFAULT_LIMIT, ExplainRequest, MAX_LIMIT, NextTracksRequest, RankRequest, Surroundings, TargetSound, WhichAnswer,
};
pub use session::{PenaltyView, PlayView, SessionView};
pub use trace::{RecordedTrace, RequestView};
pub use track::{ArtistView, AudioView, SimilarResponse, SimilarTrack, TopResponse, TopTrack, TrackView};

/// Unix milliseconds as RFC 3339; absent outside the calendar's range.
fn rfc3339(ms: i64) -> Option<String> {
    jiff::Timestamp::from_millisecond(ms).ok().map(|at| at.to_string())
}
