//! Pure data: what a track, a listener, a candidate and a served list are. No I/O, no clocks, no product policy.

mod added;
mod appended;
mod candidate_set;
mod catalogue;
mod context;
mod event;
mod experiment;
mod few_tracks;
mod ids;
mod intent;
mod knobs;
mod listener;
mod popularity;
mod recorded;
mod request;
mod rung;
mod sequential_rules;
mod served;
mod vectors;

pub use appended::Appended;
pub use candidate_set::{CandidateSet, Retrieved, Source, TaskScores};
#[cfg(test)]
pub(crate) use catalogue::tests::bare as bare_track;
pub use catalogue::{Artist, Catalogue, CatalogueError, MarketSet, Track};
pub use context::{Dials, Intent, IntentShare, RequestContext};
pub use event::{Device, EVENT_SCHEMA, EndReason, Event, EventType, StartReason};
pub use experiment::{ArmName, Assigned, arm_in, arms_text};
pub use few_tracks::is_few;
pub use ids::{
    AlbumIx, ArtistId, ArtistIx, EventId, GenreIx, IdError, MAX_ID_BYTES, MarketIx, RecommendationId, RecordingIx,
    SessionId, TrackId, TrackIx, UserId,
};
pub use intent::{Band, IntentPrototypes, IntentRule, Prototype, SessionProfile};
pub use knobs::{BlendWeights, Knobs};
pub use listener::{
    Affinity, GivenPlays, GivenTrack, Heard, Play, SESSION_WINDOW, SessionState, TrackHistory, UserProfile,
};
pub use popularity::{GLOBAL_TOP_LEN, MarketPopularity, Popularity, TOP_LEN};
pub use recorded::{Posterior, Posteriors, Recorded};
pub use request::{ExplainLevel, GivenDials, Request, Target};
pub use rung::{Degradation, Rung};
pub use sequential_rules::{RawRule, Rule, SequentialRules};
pub use served::{Answer, PoolCounts, Reason, RemovalReason, ServedTrack};
pub use vectors::{ItemVectors, UnitVector, VectorError};

/// Orders scores from best to worst: higher first, non-finite last. The one place where scores are compared.
#[inline]
pub fn by_score(a: f32, b: f32) -> std::cmp::Ordering {
    match (a.is_finite(), b.is_finite()) {
        (true, true) => b.total_cmp(&a),
        (true, false) => std::cmp::Ordering::Less,
        (false, true) => std::cmp::Ordering::Greater,
        (false, false) => std::cmp::Ordering::Equal,
    }
}
