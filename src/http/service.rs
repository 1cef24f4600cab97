//! What the HTTP surface needs of the engine behind it. `app` implements it; protocol tests implement a small one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::app::{Asked, Explained, RehearsalError, ReplayChanges, ReplayError, Replayed};
use crate::config::Config;
use crate::domain::{
    Answer, Catalogue, Knobs, RecommendationId, Request, Retrieved, SessionId, SessionState, Track, TrackId, TrackIx,
    UserId,
};
use crate::events::{Batch, EventOutcome};
use crate::pipeline::{Refused, Terms};
use crate::replay::Capture;

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

/// The engine as HTTP sees it. Every method is called from the threads that parse HTTP: none may run a model, search an
/// index or wait for a disk; such work goes to lanes or other threads and comes back through a [`Reply`].
pub trait Service: Send + Sync + 'static {
    /// The configuration in force.
    fn config(&self) -> &Config;

    /// Version of the bundle that answers.
    fn bundle_version(&self) -> &str;

    /// The catalogue that resolves ids. Rows of requests and answers are rows of this one.
    fn catalogue(&self) -> &Catalogue;

    /// The weights in force.
    fn knobs(&self) -> Knobs;

    /// Changes the weights from the next request on; the ranges have been checked.
    ///
    /// # Errors
    /// What is wrong with them, for people.
    fn set_knobs(&self, knobs: Knobs) -> Result<(), String>;

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

    /// Kept requests with what they read, at most `most`, for replays elsewhere. Ready once they are gathered.
    fn captures(&self, most: usize) -> Reply<'_, Vec<Capture>>;

    /// The `k` nearest other tracks, best first, without what is taken down; the score is a cosine similarity.
    fn similar(&self, track: TrackIx, k: usize, terms: Terms) -> Reply<'_, Result<Vec<Retrieved>, Refused>>;

    /// Validates, drops duplicates, stores and applies events, and keeps those that are refused; one outcome an event, in
    /// order. Ready once what is accepted is durable.
    ///
    /// # Errors
    /// [`IngestError`]: nothing of the batch counts.
    fn ingest(&self, batch: Batch) -> Reply<'_, Result<Vec<EventOutcome>, IngestError>>;

    /// The live state of a session.
    fn session(&self, id: &SessionId) -> Option<Arc<SessionState>>;

    /// The most played tracks, best first; of a market, or of all. Empty for a market without plays.
    fn top(&self, market: Option<&str>) -> Vec<TrackIx>;

    /// An answer by its id, while it is kept.
    fn trace(&self, recommendation_id: &str) -> Option<Arc<Traced>>;

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

    /// Whether the track is taken down.
    fn taken_down(&self, track: TrackIx) -> bool;

    /// Forgets a listener: logged events, profile, sessions, traces. `false` when nothing was held.
    ///
    /// # Errors
    /// [`IngestError`]: something may still be held, and it may be tried again.
    fn erase_user(&self, user: &UserId) -> Reply<'_, Result<bool, IngestError>>;

    /// Whether it can answer now.
    fn ready(&self) -> bool;

    /// All metrics in Prometheus' text format.
    fn metrics_text(&self) -> String;

    /// Takes note of one answered HTTP request. `route` is the pattern (`/v1/tracks/{id}`) or `unmatched`, never a path.
    fn observe_http(&self, route: &str, status: u16, seconds: f64);
}
