//! From a configuration to a running server: logs, engine, listeners, the graceful end.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tracing_subscriber::EnvFilter;

use crate::app::{
    AppError, Asked, Bundles, ChangeError, Engine, Explained, Put, RehearsalError, ReplayChanges, ReplayError,
    Replayed, Serving, SwapError, SwapReport,
};
use crate::config::{Config, Difference, LogFormat, differences};
use crate::domain::{
    Answer, Catalogue, Knobs, RecommendationId, Request, Retrieved, SessionId, SessionState, Track, TrackId, TrackIx,
    UserId,
};
use crate::events::{Batch, EventLogError, EventOutcome};
use crate::http::{self, ChangeFault, IngestError, Reply, ServedBundle, Service, SwapFault, Traced};
use crate::inference::Runtime;
use crate::pipeline::{Refused, Terms};
use crate::replay::Capture;
use crate::security::{KeyRing, Signer};

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

/// The filter of the logs, which can be changed.
pub struct Logs(Box<dyn Fn(EnvFilter) -> Result<(), tracing_subscriber::reload::Error>>);

/// Sends logs to standard error in the configured format. A second call in a process changes nothing.
pub fn init_logs(config: &Config) -> Logs {
    let terminal = std::io::stderr().is_terminal();
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter(config)).with_writer(std::io::stderr).with_ansi(terminal);
    // Refused only when a subscriber is set already, in tests.
    match config.log.format {
        LogFormat::Text => {
            let logs = logs.with_filter_reloading();
            let handle = logs.reload_handle();
            let _ = logs.try_init();
            Logs(Box::new(move |filter| handle.reload(filter)))
        }
        LogFormat::Json => {
            let logs = logs.json().with_filter_reloading();
            let handle = logs.reload_handle();
            let _ = logs.try_init();
            Logs(Box::new(move |filter| handle.reload(filter)))
        }
    }
}

fn filter(config: &Config) -> EnvFilter {
    EnvFilter::try_new(&config.log.level).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// A value as people write it: a number of 32 bits without the digits that 64 add; of tables with names, or with clients, how
/// many there are, and the names.
fn told(value: &toml::Value) -> String {
    let name = |table: &toml::Value| table.get("name").or_else(|| table.get("client")).cloned();
    let named = |table: &toml::Value| name(table)?.as_str().map(str::to_owned);
    if let Some(names) = value.as_array().and_then(|list| list.iter().map(named).collect::<Option<Vec<_>>>()) {
        return format!("{} ({})", names.len(), names.join(", "));
    }
    let short = value.as_float().map(|long| (long, long as f32)).filter(|(long, short)| f64::from(*short) == *long);
    short.map_or_else(|| value.to_string(), |(_, short)| short.to_string())
}

/// What SIGHUP does: reads the configuration again.
pub struct Reload {
    /// Reads it; the error is for people.
    pub load: Box<dyn Fn() -> Result<Config, String>>,
    /// The logs whose level follows it.
    pub logs: Logs,
}

/// The key of the business rules, all of which are one value.
const RULES: &str = "rules";
/// That of the API keys.
const KEYS: &str = "keys";

/// Keys that a reload takes over.
fn is_reloadable(key: &str) -> bool {
    key.starts_with("knobs.") || key == "log.level" || key == RULES || key == KEYS
}

impl Reload {
    /// Takes over what may change while the server runs, and logs what changed and what waits for a restart. A configuration
    /// with faults changes nothing.
    fn run(&self, engine: &Engine, in_force: &mut Config) {
        let next = match (self.load)() {
            Ok(next) => next,
            Err(error) => return tracing::error!(%error, "the configuration has faults: nothing was reloaded"),
        };
        // An operator may have turned them since.
        in_force.knobs = engine.knobs();
        let found = differences(in_force, &next);
        for Difference { key, before, after } in &found {
            let text = |value: &Option<toml::Value>| value.as_ref().map_or("none".to_owned(), told);
            let (before, after) = (text(before), text(after));
            match is_reloadable(key) {
                true => tracing::info!(key, before, after, "reloaded"),
                false => tracing::warn!(key, before, after, "changed in the configuration: a restart takes it over"),
            }
        }
        engine.set_knobs(next.knobs);
        in_force.knobs = next.knobs;
        if in_force.rules != next.rules {
            engine.set_rules(&next.rules);
            in_force.rules = next.rules.clone();
        }
        if in_force.keys != next.keys {
            engine.keys().replace(&next.keys, Instant::now());
            in_force.keys = next.keys.clone();
            if engine.keys().is_open() {
                tracing::warn!(
                    "no API keys are configured any more: whoever reaches this server may ask and send events"
                );
            }
        }
        if let Err(error) = (self.logs.0)(filter(&next)) {
            tracing::error!(%error, "the level of the logs stays as it is");
        }
        in_force.log.level = next.log.level;
        tracing::info!(changed = found.len(), "the configuration was read again");
    }
}

/// Serves a bundle until SIGTERM or SIGINT. `prepare` runs once the engine stands and before the port opens; `ready` is
/// told the address. With `reload`, SIGHUP reads the configuration again.
///
/// # Errors
/// The bundle, a model, ONNX Runtime or the port; the message says what to do.
pub fn serve(
    config: Config,
    bundle: &Path,
    reload: Option<Reload>,
    prepare: impl FnOnce(&Engine),
    ready: impl FnOnce(&Engine, SocketAddr),
) -> Result<(), StartupError> {
    let start = Instant::now();
    actix_web::rt::System::new().block_on(async {
        let signals = http::Signals::listen();
        let signals = if reload.is_some() { signals.reloading() } else { signals };
        let mut in_force = config.clone();
        let engine = Arc::new(Engine::start(config, bundle)?);
        prepare(&engine);
        let bound = http::bind(service(Arc::clone(&engine)))?;
        let (address, admin) = (bound.address()?, bound.admin_address()?);
        let bundle = Arc::clone(engine.current().bundle());
        tracing::info!(
            %address,
            admin = admin.map(tracing::field::display),
            bundle = %bundle.version,
            tracks = bundle.catalogue.len(),
            engine = bundle.index.engine().name(),
            ready_ms = start.elapsed().as_millis() as u64,
            "ready"
        );
        // A swap may let go of it.
        drop(bundle);
        if engine.keys().is_open() && !address.ip().is_loopback() {
            tracing::warn!(%address, "no API keys are configured: whoever reaches this address may ask and send events");
        }
        ready(&engine, address);
        let signals = match reload {
            Some(reload) => signals.on_hangup(move || reload.run(&engine, &mut in_force)),
            None => signals,
        };
        Ok::<_, StartupError>(bound.run(signals).await?)
    })?;
    // All sessions are gone with the engine that the block above held.
    Runtime::close();
    tracing::info!("drained and stopped");
    Ok(())
}

/// The engine as the HTTP surface sees it: what [`serve`] binds, and what tests put behind the real router.
pub fn service(engine: Arc<Engine>) -> Arc<dyn Service> {
    Arc::new(Server(engine))
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

/// Runs a swap on a thread that may wait.
async fn swapping(
    work: impl FnOnce() -> Result<SwapReport, SwapError> + Send + 'static,
) -> Result<SwapReport, SwapFault> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| SwapFault::Failed(error.to_string()))?;
    done.map_err(|error| {
        let why = error.to_string();
        match error {
            SwapError::Busy => SwapFault::Busy,
            SwapError::Unknown(_) => SwapFault::Unknown,
            SwapError::NotPossible(why) => SwapFault::NotPossible(why),
            SwapError::Damaged(_) => SwapFault::Refused { why, report: None },
            SwapError::Refused(report) => SwapFault::Refused { why, report: serde_json::to_value(report).ok() },
            SwapError::Failed(_) => SwapFault::Failed(why),
        }
    })
}

/// The engine as HTTP sees it.
struct Server(Arc<Engine>);

impl Service for Server {
    fn config(&self) -> &Config {
        self.0.config()
    }

    fn current(&self) -> Arc<dyn ServedBundle> {
        self.0.current()
    }

    fn keys(&self) -> &KeyRing {
        self.0.keys()
    }

    fn signer(&self) -> Option<&Signer> {
        self.0.signer()
    }

    fn knobs(&self) -> Knobs {
        self.0.knobs()
    }

    fn set_knobs(&self, knobs: Knobs) -> Result<(), String> {
        self.0.set_knobs(knobs);
        Ok(())
    }

    fn captures(&self, most: usize) -> Reply<'_, Vec<Capture>> {
        let serving = self.0.current();
        // The thread only fails by panicking, and then there is nothing to give.
        Box::pin(async move { tokio::task::spawn_blocking(move || serving.captures(most)).await.unwrap_or_default() })
    }

    fn ingest(&self, batch: Batch) -> Reply<'_, Result<Vec<EventOutcome>, IngestError>> {
        let engine = Arc::clone(&self.0);
        Box::pin(waiting(move || engine.ingest(batch, now_ms())))
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

    fn erase_user(&self, user: &UserId) -> Reply<'_, Result<bool, IngestError>> {
        let (engine, user) = (Arc::clone(&self.0), user.clone());
        Box::pin(waiting(move || engine.erase(&user)))
    }

    fn bundles(&self) -> Reply<'_, Option<Bundles>> {
        let engine = Arc::clone(&self.0);
        Box::pin(async move { tokio::task::spawn_blocking(move || engine.bundles()).await.ok() })
    }

    fn activate(&self, name: String, despite: Option<String>) -> Reply<'_, Result<SwapReport, SwapFault>> {
        let engine = Arc::clone(&self.0);
        Box::pin(swapping(move || engine.activate(&name, despite.as_deref())))
    }

    fn roll_back(&self) -> Reply<'_, Result<SwapReport, SwapFault>> {
        let engine = Arc::clone(&self.0);
        Box::pin(swapping(move || engine.roll_back()))
    }

    fn ready(&self) -> bool {
        true
    }

    fn metrics_text(&self) -> String {
        self.0.metrics_text().unwrap_or_else(|error| format!("# {error}\n"))
    }

    fn observe_caller(&self, known: Option<(&str, &'static str)>) {
        let http = &self.0.metrics().http;
        match known {
            Some((client, outcome)) => http.clients.with_label_values(&[client, outcome]).inc(),
            None => http.unauthorized.inc(),
        }
    }

    fn observe_http(&self, route: &str, status: u16, seconds: f64) {
        let took = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
        self.0.metrics().http.record(route, &status.to_string(), took);
    }
}

impl ServedBundle for Serving {
    fn version(&self) -> &str {
        &self.bundle().version
    }

    fn catalogue(&self) -> &Catalogue {
        &self.bundle().catalogue
    }

    fn next_tracks(&self, request: Arc<Request>, terms: Terms) -> Reply<'_, Result<Answer, Refused>> {
        Box::pin(self.next_tracks(request, terms))
    }

    fn explain(&self, asked: Asked, track: TrackIx, terms: Terms) -> Reply<'_, Result<Explained, RehearsalError>> {
        Box::pin(self.explain(asked, track, terms))
    }

    fn replay(
        &self,
        id: &RecommendationId,
        changes: ReplayChanges,
        terms: Terms,
    ) -> Reply<'_, Result<Replayed, ReplayError>> {
        let id = id.clone();
        Box::pin(async move { self.replay(&id, changes, terms).await })
    }

    fn similar(&self, track: TrackIx, k: usize, terms: Terms) -> Reply<'_, Result<Vec<Retrieved>, Refused>> {
        Box::pin(self.similar(track, k, terms))
    }

    fn session(&self, id: &SessionId) -> Option<Arc<SessionState>> {
        // A session that was only served to has no event and no listener yet.
        Some(self.state().session(id, now_ms()))
            .filter(|session| session.user_id.is_some() || !session.served.is_empty())
    }

    fn top(&self, market: Option<&str>) -> Vec<TrackIx> {
        let popularity = &self.bundle().popularity;
        match market {
            None => popularity.top.clone(),
            Some(code) => popularity.market(code).map(|market| market.top.clone()).unwrap_or_default(),
        }
    }

    fn trace(&self, recommendation_id: &str) -> Option<Arc<Traced>> {
        let id = RecommendationId::new(recommendation_id).ok()?;
        let trace = self.traces().get(&id)?;
        let mut answer = trace.answer.clone();
        let recorded = trace.recorded();
        if let Some(recorded) = &recorded {
            self.give_reasons(&trace.request, recorded, &mut answer);
        }
        Some(Arc::new(Traced {
            bundle: trace.bundle.to_string(),
            request: Arc::clone(&trace.request),
            knobs: trace.knobs,
            answer,
            replayable: recorded.is_some(),
        }))
    }

    fn taken_down(&self, track: TrackIx) -> bool {
        self.wiring().takedowns().contains(track)
    }
}
