//! What the HTTP surface needs of the engine behind it. `app` implements it; protocol tests implement a small one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::app::{Asked, Bundles, Explained, RehearsalError, ReplayChanges, ReplayError, Replayed, SwapReport};
use crate::config::Config;
use crate::domain::{
    Answer, Catalogue, Knobs, RecommendationId, Request, Retrieved, SessionId, SessionState, Track, TrackId, TrackIx,
    UserId,
};
use crate::events::{Batch, EventOutcome};
use crate::pipeline::{Refused, Terms};
use crate::replay::Capture;
use crate::security::{KeyRing, Signer};

/// A boxed future that borrows the service.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An answer that was given, with the question, for as long as the service keeps it.
#[derive(Debug, Clone)]
pub struct Traced {
    /// Version of the bundle that answered.
    pub bundle: String,
    /// The question as validated.
    pub request: Arc<Request>,
    /// The weights in force.
    pub knobs: Knobs,
    /// The answer.
    pub answer: Answer,
    /// Whether what the request read was kept, so that it can be replayed.
    pub replayable: bool,
}

/// Why a whole batch of events, or an erasure, was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// More events wait than can be stored in time.
    #[error("more events wait than can be stored: try again in {retry_after_ms} ms")]
    Overloaded {
        /// When to come back.
        retry_after_ms: u64,
    },
    /// The event log failed; the text is for the log, not for the client.
    #[error("the event log failed: {0}")]
    Log(String),
}

/// Why a change of the catalogue did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeFault {
    /// There is no such track.
    #[error("there is no such track")]
    Unknown,
    /// The catalogue cannot take the track as it is.
    #[error("{0}")]
    Refused(String),
    /// The catalogue takes no more tracks; the text says what to do.
    #[error("{0}")]
    Full(String),
    /// It could not be stored or computed; the text is for the log, not for the client.
    #[error("{0}")]
    Failed(String),
}

/// Why another bundle is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SwapFault {
    /// There is no such bundle.
    #[error("there is no such bundle")]
    Unknown,
    /// One swap at a time.
    #[error("another swap is running: try again when it is done")]
    Busy,
    /// Not as things are; the text says why.
    #[error("{0}")]
    NotPossible(String),
    /// It should not be served; the text says why, and so does the report, where there is one.
    #[error("{why}")]
    Refused {
        /// For people.
        why: String,
        /// What was found: a [`SwapReport`].
        report: Option<serde_json::Value>,
    },
    /// The server's own disk or threads; the text is for the log, not for the client.
    #[error("{0}")]
    Failed(String),
}

/// The engine as HTTP sees it: what outlives the bundle that is served. Every method is called from the threads that parse
/// HTTP: none may run a model, search an index or wait for a disk; such work goes to lanes or other threads and comes back
/// through a [`Reply`].
pub trait Service: Send + Sync + 'static {
    /// The configuration in force.
    fn config(&self) -> &Config;

    /// The bundle that answers now. A request takes it once and is answered by it, whatever is served meanwhile.
    fn current(&self) -> Arc<dyn ServedBundle>;

    /// The API keys in force.
    fn keys(&self) -> &KeyRing;

    /// What proves that an answer was given, where that is configured.
    fn signer(&self) -> Option<&Signer>;

    /// The weights in force.
    fn knobs(&self) -> Knobs;

    /// Changes the weights from the next request on; the ranges have been checked.
    ///
    /// # Errors
    /// What is wrong with them, for people.
    fn set_knobs(&self, knobs: Knobs) -> Result<(), String>;

    /// Kept requests with what they read, at most `most`, for replays elsewhere. Ready once they are gathered.
    fn captures(&self, most: usize) -> Reply<'_, Vec<Capture>>;

    /// Validates, drops duplicates, stores and applies events, and keeps those that are refused; one outcome an event, in
    /// order. Ready once what is accepted is durable.
    ///
    /// # Errors
    /// [`IngestError`]: nothing of the batch counts.
    fn ingest(&self, batch: Batch) -> Reply<'_, Result<Vec<EventOutcome>, IngestError>>;

    /// Adds a track, or replaces what is known of its id; whether its id was new. Ready once it is stored and can be found.
    ///
    /// # Errors
    /// [`ChangeFault`]: nothing changed.
    fn put_track(&self, track: Track) -> Reply<'_, Result<bool, ChangeFault>>;

    /// Serves the track no more. Ready once that is stored; holds for every request that comes then.
    ///
    /// # Errors
    /// [`ChangeFault`]: nothing changed.
    fn take_down(&self, track: &TrackId) -> Reply<'_, Result<(), ChangeFault>>;

    /// Undoes [`Service::take_down`].
    ///
    /// # Errors
    /// [`ChangeFault`]: nothing changed.
    fn restore(&self, track: &TrackId) -> Reply<'_, Result<(), ChangeFault>>;

    /// Forgets a listener: logged events, profile, sessions, traces. `false` when nothing was held.
    ///
    /// # Errors
    /// [`IngestError`]: something may still be held, and it may be tried again.
    fn erase_user(&self, user: &UserId) -> Reply<'_, Result<bool, IngestError>>;

    /// The bundles that there are; `None` where that could not be found out.
    fn bundles(&self) -> Reply<'_, Option<Bundles>>;

    /// Serves a bundle in place of the one that is served; `despite`: why what the guardrail says does not count. Ready when
    /// it is served.
    ///
    /// # Errors
    /// [`SwapFault`]: all is as it was.
    fn activate(&self, name: String, despite: Option<String>) -> Reply<'_, Result<SwapReport, SwapFault>>;

    /// Serves the bundle again that was served before.
    ///
    /// # Errors
    /// [`SwapFault`]: all is as it was.
    fn roll_back(&self) -> Reply<'_, Result<SwapReport, SwapFault>>;

    /// Whether it can answer now.
    fn ready(&self) -> bool;

    /// All metrics in Prometheus' text format.
    fn metrics_text(&self) -> String;

    /// Takes note of a request that needed an API key: its client, a name of the configuration, and what became of it; `None`
    /// where no known key was shown.
    fn observe_caller(&self, known: Option<(&str, &'static str)>);

    /// Takes note of one answered HTTP request. `route` is the pattern (`/v1/tracks/{id}`) or `unmatched`, never a path.
    fn observe_http(&self, route: &str, status: u16, seconds: f64);
}

/// One bundle, and what is answered by it. What [`Service`] says of its methods holds here too.
pub trait ServedBundle: Send + Sync {
    /// Its version.
    fn version(&self) -> &str;

    /// The catalogue that resolves ids. Rows of requests and answers are rows of this one.
    fn catalogue(&self) -> &Catalogue;

    /// Answers what to hear next on a lane. `request.candidates` set: ranks those.
    fn next_tracks(&self, request: Arc<Request>, terms: Terms) -> Reply<'_, Result<Answer, Refused>>;

    /// Says why a track is, or is not, in an answer.
    ///
    /// # Errors
    /// [`RehearsalError`].
    fn explain(&self, asked: Asked, track: TrackIx, terms: Terms) -> Reply<'_, Result<Explained, RehearsalError>>;

    /// Asks the request of a kept answer again, with changes or as it was.
    ///
    /// # Errors
    /// [`ReplayError`].
    fn replay(
        &self,
        id: &RecommendationId,
        changes: ReplayChanges,
        terms: Terms,
    ) -> Reply<'_, Result<Replayed, ReplayError>>;

    /// The `k` nearest other tracks, best first, without what is taken down; the score is a cosine similarity.
    fn similar(&self, track: TrackIx, k: usize, terms: Terms) -> Reply<'_, Result<Vec<Retrieved>, Refused>>;

    /// The live state of a session.
    fn session(&self, id: &SessionId) -> Option<Arc<SessionState>>;

    /// The most played tracks, best first; of a market, or of all. Empty for a market without plays.
    fn top(&self, market: Option<&str>) -> Vec<TrackIx>;

    /// An answer by its id, while it is kept.
    fn trace(&self, recommendation_id: &str) -> Option<Arc<Traced>>;

    /// Whether the track is taken down.
    fn taken_down(&self, track: TrackIx) -> bool;
}
