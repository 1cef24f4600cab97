//! From a configuration to a running server: logs, engine, listeners, the graceful end.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tracing_subscriber::EnvFilter;

use crate::app::{
    AppError, Asked, ChangeError, Engine, Explained, Put, RehearsalError, ReplayChanges, ReplayError, Replayed,
};
use crate::config::{Config, LogFormat};
use crate::domain::{
    Answer, Catalogue, Knobs, RecommendationId, Request, Retrieved, SessionId, SessionState, Track, TrackId, TrackIx,
    UserId,
};
use crate::events::{Batch, EventLogError, EventOutcome};
use crate::http::{self, ChangeFault, IngestError, Reply, Service, Traced};
use crate::inference::Runtime;
use crate::pipeline::{Refused, Terms};
use crate::replay::Capture;

/// Why the server did not start or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The engine.
    #[error(transparent)]
    App(#[from] AppError),
    /// Listeners and workers.
    #[error("{0}")]
    Server(#[from] std::io::Error),
}

/// Sends logs to standard error in the configured format. A second call in a process changes nothing.
pub fn init_logs(config: &Config) {
    let filter = EnvFilter::try_new(&config.log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    // Refused only when a subscriber is set already, in tests.
    let _ = match config.log.format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().try_init(),
    };
}

/// Serves a bundle until SIGTERM or SIGINT. `prepare` runs once the engine stands and before the port opens; `ready` is
/// told the address.
///
/// # Errors
/// The bundle, a model, ONNX Runtime or the port; the message says what to do.
pub fn serve(
    config: Config,
    bundle: &Path,
    prepare: impl FnOnce(&Engine),
    ready: impl FnOnce(&Engine, SocketAddr),
) -> Result<(), StartupError> {
    let start = Instant::now();
    actix_web::rt::System::new().block_on(async {
        let signals = http::Signals::listen();
        let engine = Arc::new(Engine::start(config, bundle)?);
        prepare(&engine);
        let bound = http::bind(service(Arc::clone(&engine)))?;
        let (address, admin) = (bound.address()?, bound.admin_address()?);
        tracing::info!(
            %address,
            admin = admin.map(tracing::field::display),
            bundle = %engine.bundle().version,
            tracks = engine.bundle().catalogue.len(),
            engine = engine.bundle().index.engine().name(),
            ready_ms = start.elapsed().as_millis() as u64,
            "ready"
        );
        ready(&engine, address);
        Ok::<_, StartupError>(bound.run(signals).await?)
    })?;
    // All sessions are gone with the engine that the block above held.
    Runtime::close();
    tracing::info!("drained and stopped");
    Ok(())
}

/// The engine as the HTTP surface sees it: what [`serve`] binds, and what tests put behind the real router.
pub fn service(engine: Arc<Engine>) -> Arc<dyn Service> {
    Arc::new(Serving(engine))
}

/// Now, Unix ms.
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Runs what waits for the event log where waiting holds up no other request.
async fn waiting<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EventLogError> + Send + 'static,
) -> Result<T, IngestError> {
    let done = actix_web::web::block(work).await.map_err(|error| IngestError::Log(error.to_string()))?;
    done.map_err(|error| IngestError::Log(error.to_string()))
}

/// The same for a change of the catalogue.
async fn changing<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ChangeError> + Send + 'static,
) -> Result<T, ChangeFault> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| ChangeFault::Failed(error.to_string()))?;
    done.map_err(|error| match error {
        ChangeError::Unknown => ChangeFault::Unknown,
        ChangeError::Refused(_) => ChangeFault::Refused(error.to_string()),
        ChangeError::Full(_) => ChangeFault::Full(error.to_string()),
        ChangeError::Bundle(_) | ChangeError::Index(_) | ChangeError::Torn => ChangeFault::Failed(error.to_string()),
    })
}

/// The engine as HTTP sees it.
struct Serving(Arc<Engine>);

impl Service for Serving {
    fn config(&self) -> &Config {
        self.0.config()
    }

    fn bundle_version(&self) -> &str {
        &self.0.bundle().version
    }

    fn catalogue(&self) -> &Catalogue {
        &self.0.bundle().catalogue
    }

    fn knobs(&self) -> Knobs {
        self.0.knobs()
    }

    fn set_knobs(&self, knobs: Knobs) -> Result<(), String> {
        self.0.set_knobs(knobs);
        Ok(())
    }

    fn next_tracks(&self, request: Arc<Request>, terms: Terms) -> Reply<'_, Result<Answer, Refused>> {
        Box::pin(self.0.next_tracks(request, terms))
    }

    fn explain(&self, asked: Asked, track: TrackIx, terms: Terms) -> Reply<'_, Result<Explained, RehearsalError>> {
        Box::pin(self.0.explain(asked, track, terms))
    }

    fn replay(
        &self,
        id: &RecommendationId,
        changes: ReplayChanges,
        terms: Terms,
    ) -> Reply<'_, Result<Replayed, ReplayError>> {
        let id = id.clone();
        Box::pin(async move { self.0.replay(&id, changes, terms).await })
    }

    fn captures(&self, most: usize) -> Reply<'_, Vec<Capture>> {
        let engine = Arc::clone(&self.0);
        // The thread only fails by panicking, and then there is nothing to give.
        Box::pin(async move { tokio::task::spawn_blocking(move || engine.captures(most)).await.unwrap_or_default() })
    }

    fn similar(&self, track: TrackIx, k: usize, terms: Terms) -> Reply<'_, Result<Vec<Retrieved>, Refused>> {
        Box::pin(self.0.similar(track, k, terms))
    }

    fn ingest(&self, batch: Batch) -> Reply<'_, Result<Vec<EventOutcome>, IngestError>> {
        let engine = Arc::clone(&self.0);
        Box::pin(waiting(move || engine.ingest(batch, now_ms())))
    }

    fn session(&self, id: &SessionId) -> Option<Arc<SessionState>> {
        // A session that was only served to has no event and no listener yet.
        Some(self.0.state().session(id, now_ms()))
            .filter(|session| session.user_id.is_some() || !session.served.is_empty())
    }

    fn top(&self, market: Option<&str>) -> Vec<TrackIx> {
        let popularity = &self.0.bundle().popularity;
        match market {
            None => popularity.top.clone(),
            Some(code) => popularity.market(code).map(|market| market.top.clone()).unwrap_or_default(),
        }
    }

    fn trace(&self, recommendation_id: &str) -> Option<Arc<Traced>> {
        let id = RecommendationId::new(recommendation_id).ok()?;
        let trace = self.0.traces().get(&id)?;
        let mut answer = trace.answer.clone();
        let recorded = trace.recorded();
        if let Some(recorded) = &recorded {
            self.0.give_reasons(&trace.request, recorded, &mut answer);
        }
        Some(Arc::new(Traced {
            bundle: self.bundle_version().to_owned(),
            request: Arc::clone(&trace.request),
            knobs: trace.knobs,
            answer,
            replayable: recorded.is_some(),
        }))
    }

    fn put_track(&self, track: Track) -> Reply<'_, Result<bool, ChangeFault>> {
        let engine = Arc::clone(&self.0);
        Box::pin(changing(move || engine.put_track(track).map(|put| matches!(put, Put::Added(_)))))
    }

    fn take_down(&self, track: &TrackId) -> Reply<'_, Result<(), ChangeFault>> {
        let (engine, track) = (Arc::clone(&self.0), track.clone());
        Box::pin(changing(move || engine.take_down(&track)))
    }

    fn restore(&self, track: &TrackId) -> Reply<'_, Result<(), ChangeFault>> {
        let (engine, track) = (Arc::clone(&self.0), track.clone());
        Box::pin(changing(move || engine.restore(&track)))
    }

    fn taken_down(&self, track: TrackIx) -> bool {
        self.0.wiring().takedowns().contains(track)
    }

    fn erase_user(&self, user: &UserId) -> Reply<'_, Result<bool, IngestError>> {
        let (engine, user) = (Arc::clone(&self.0), user.clone());
        Box::pin(waiting(move || engine.erase(&user)))
    }

    fn ready(&self) -> bool {
        true
    }

    fn metrics_text(&self) -> String {
        self.0.metrics_text().unwrap_or_else(|error| format!("# {error}\n"))
    }

    fn observe_http(&self, route: &str, status: u16, seconds: f64) {
        let took = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
        self.0.metrics().http.record(route, &status.to_string(), took);
    }
}
