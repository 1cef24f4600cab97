//! Everything behind the HTTP surface: the bundle that is served, and what outlives it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use super::active::Active;
use super::exports::Exports;
use super::live_tracks::{Changes, LiveTracks};
use super::serving::{Common, Loaded, Serving};
use super::snapshots::Snapshots;
use super::swap::Kept;
use super::{ChangeError, Put, Wiring, recovery, stream};
use crate::arms::Arms;
use crate::bundle::{Bundle, BundleError};
use crate::config::{Config, EventStore, RuleConfig, rule_conflicts};
use crate::domain::{Knobs, Track, TrackId, UserId};
use crate::events::{Batch, EventLogError, EventOutcome, Ingest, Notes};
use crate::features::StateStore;
use crate::inference::{InferenceError, Runtime};
use crate::metrics::Metrics;
use crate::security::{KeyRing, Signer, SignerError};
use crate::stages::observe::TraceStore;
use crate::stages::rules::{RuleBook, Rules};
use crate::store::StoreError;

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A model or its runtime.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The metrics registry.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The changes of the catalogue.
    #[error("the changes of the catalogue: {0}")]
    Changes(ChangeError),
    /// The note of which bundle is served.
    #[error("{0}")]
    Active(std::io::Error),
    /// The event log.
    #[error(transparent)]
    Events(#[from] EventLogError),
    /// The secret that signs ids of answers.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The thread that writes snapshots.
    #[error("no thread for snapshots: {0}")]
    Snapshots(std::io::Error),
    /// The store of the feature log, or the threads that write it.
    #[error("the feature log does not start: {0}")]
    FeatureLog(std::io::Error),
    /// The archive of events.
    #[error("events.export.dir: {0}")]
    Archive(#[from] StoreError),
    /// The thread that exports events.
    #[error("no thread for exports: {0}")]
    Exports(std::io::Error),
    /// The thread that probes the index.
    #[error("no thread for probes of the index: {0}")]
    RecallProbe(std::io::Error),
    /// Threads.
    #[error("cannot start lanes: {0}")]
    Lanes(std::io::Error),
}

/// Where changes of the catalogue are kept, beside the event log.
const CHANGES_FILE: &str = "catalogue.ndjson";

/// Everything behind the HTTP surface.
pub struct Engine {
    pub(super) common: Arc<Common>,
    /// The bundle that answers: read once a request.
    pub(super) current: ArcSwap<Serving>,
    /// Held by whoever changes the catalogue, or the bundle that is served.
    pub(super) changes: Mutex<Changes>,
    pub(super) active: Mutex<Active>,
    /// What a rollback goes back to. Held while a swap runs.
    pub(super) kept: Mutex<Option<Kept>>,
    // Before the last snapshot is written.
    _stream: Option<stream::Stream>,
    _exports: Option<Exports>,
    pub(super) ingest: Arc<Ingest>,
    _snapshots: Option<Snapshots>,
    keys: KeyRing,
    signer: Option<Signer>,
}

impl Engine {
    /// Loads the bundle that was served last, or `configured` where the configuration names another one since then or none
    /// was, opens the models of every lane (each runs once, so that the first request finds them warm), reads the event log
    /// back into the live state and starts the lanes. A bundle that does not load is said so, and the one before it is
    /// served.
    ///
    /// # Errors
    /// ONNX Runtime, all bundles that might be served, a model or the event log; the message says what to do.
    pub fn start(config: Config, configured: &Path) -> Result<Self, AppError> {
        let runtime = Runtime::open(&config.inference)?;
        let on_disk = config.events.store == EventStore::Disk;
        let data_dir = on_disk.then_some(&*config.events.data_dir);
        let mut active = Active::open(data_dir, configured).map_err(AppError::Active)?;
        let bundle = Arc::new(active.load(|directory| Bundle::load(directory, &config, &runtime))?);
        let state = Arc::new(StateStore::new(&config.state, &config.signals));
        let metrics = Arc::new(Metrics::new()?);
        let changes = Changes::open(data_dir.map(|dir| dir.join(CHANGES_FILE)).as_deref())?;
        let notes = Arc::new(Notes::open(&config.events, metrics.events.clone())?);
        let common = Arc::new(Common {
            runtime: runtime.clone(),
            knobs: ArcSwap::from_pointee(config.knobs),
            arms: Arms::new(&config),
            metrics: Arc::clone(&metrics),
            config,
        });
        let config = &common.config;
        let wiring = Wiring::new(config, Arc::clone(&bundle), Arc::clone(&state));
        report_rules(&config.rules, &bundle);
        if wiring.drift().is_none() && config.drift.candidates > 0 {
            tracing::info!(bundle = %bundle.version, "the bundle holds no reference.json: drift is not told");
        }
        let ground = recovery::ground_id(&bundle, changes.id());
        let live_tracks = LiveTracks::new(runtime, config.catalogue.max_added);
        live_tracks.catch_up(&wiring, &changes, None).map_err(AppError::Changes)?;
        let recovered = recovery::recover(config, &bundle, &ground, &state, &notes)?;
        let loaded = Loaded { wiring, live_tracks, ground };
        let serving = Serving::start(&common, loaded, TraceStore::new(&config.trace), changes.id(), |_| {})?;
        let (tracks, vectors) = (Arc::clone(&bundle.catalogue), Arc::clone(&bundle.vectors));
        let ingest = Ingest::new(state, recovered.log, tracks, vectors, config.events.clone(), notes);
        let signer = Signer::open(&config.signals.feedback)?;
        let ingest = Arc::new(ingest.proven_by(signer.clone()));
        let exports = Exports::start(&config.events.export, recovered.disk.clone(), metrics.archive.clone())?;
        let stream = stream::start(&config.events, recovered.disk, &ingest, &metrics)?;
        let every = Duration::from_secs(config.events.snapshot_s);
        let snapshots = on_disk.then(|| Snapshots::start(Arc::clone(&ingest), every)).transpose()?;
        metrics.bundles.fell_back.set(i64::from(active.fell_back()));
        let engine = Self {
            keys: KeyRing::new(&config.keys, Instant::now()),
            signer,
            common,
            current: ArcSwap::from_pointee(serving),
            changes: Mutex::new(changes),
            active: Mutex::new(active),
            kept: Mutex::default(),
            _stream: stream,
            _exports: exports,
            ingest,
            _snapshots: snapshots,
        };
        engine.tell_bundle();
        Ok(engine)
    }

    /// Sets the gauges that name the bundle in force.
    pub(super) fn tell_bundle(&self) {
        let (serving, node) = (self.current(), &self.metrics().node);
        let bundle = serving.bundle();
        node.lanes.set(serving.lane_figures().lanes as i64);
        node.loaded(&bundle.version, bundle.index.engine().name(), bundle.catalogue.len());
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.common.config
    }

    /// The bundle that answers, with all that answers by it. Whoever holds it keeps it served: for one request.
    pub fn current(&self) -> Arc<Serving> {
        self.current.load_full()
    }

    /// The API keys in force.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// What proves that an answer was given, where that is configured.
    pub fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    /// The server's metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.common.metrics
    }

    /// The weights in force.
    pub fn knobs(&self) -> Knobs {
        **self.common.knobs.load()
    }

    /// Changes the weights from the next request on. The caller has checked the ranges.
    pub fn set_knobs(&self, knobs: Knobs) {
        self.common.knobs.store(Arc::new(knobs));
    }

    /// Changes the business rules from the next request on, and logs what is contradictory in them. The caller has checked
    /// them. Waits for a change of the catalogue or a swap that is at its last steps.
    pub fn set_rules(&self, rules: &[RuleConfig]) {
        let _changes = self.changes();
        let serving = self.current();
        report_rules(rules, serving.bundle());
        serving.wiring().rules().set(rules);
    }

    pub(super) fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a track, or replaces what is known of its id. On return it is stored, and every request that comes can find it.
    /// Runs the item tower and waits for the disk.
    ///
    /// # Errors
    /// [`ChangeError`]: nothing changed.
    pub fn put_track(&self, track: Track) -> Result<Put, ChangeError> {
        let mut changes = self.changes();
        let serving = self.current();
        serving.loaded().live_tracks.put(&mut changes, serving.wiring(), track)
    }

    /// Serves a track no more. On return that is stored and holds for every request that comes. Waits for the disk.
    ///
    /// # Errors
    /// [`ChangeError`]: nothing changed.
    pub fn take_down(&self, track: &TrackId) -> Result<(), ChangeError> {
        let mut changes = self.changes();
        let serving = self.current();
        serving.loaded().live_tracks.take_down(&mut changes, serving.wiring(), track)?;
        self.metrics().events.takedowns.inc();
        Ok(())
    }

    /// Undoes [`Engine::take_down`].
    ///
    /// # Errors
    /// [`ChangeError`]: nothing changed.
    pub fn restore(&self, track: &TrackId) -> Result<(), ChangeError> {
        let mut changes = self.changes();
        let serving = self.current();
        serving.loaded().live_tracks.restore(&mut changes, serving.wiring(), track)
    }

    /// Takes a batch of events in at server time `now_ms`; waits for the event log.
    ///
    /// # Errors
    /// The event log's: nothing of the batch counts.
    pub fn ingest(&self, batch: Batch, now_ms: i64) -> Result<Vec<EventOutcome>, EventLogError> {
        let outcomes = self.ingest.ingest(batch, now_ms)?;
        for outcome in &outcomes {
            let status = match outcome {
                EventOutcome::Accepted => "accepted",
                EventOutcome::Duplicate => "duplicate",
                EventOutcome::Rejected(_) => "rejected",
            };
            self.metrics().events.received.with_label_values(&[status]).inc();
        }
        Ok(outcomes)
    }

    /// Forgets a listener: traces, logged events, profile and sessions. Whether anything was kept. Waits for the event log
    /// and for the state to be written.
    ///
    /// # Errors
    /// The disk's: something may still be held, and it may be tried again.
    pub fn erase(&self, user: &UserId) -> Result<bool, EventLogError> {
        let serving = self.current();
        let traced = serving.traces().forget(user);
        let known = serving.state().profile(user).last_ms != 0;
        Ok(self.ingest.forget(user)? > 0 || known || traced)
    }

    /// All metrics in Prometheus' text format, gauges brought up to date.
    ///
    /// # Errors
    /// If a metric cannot be encoded.
    pub fn metrics_text(&self) -> Result<String, prometheus::Error> {
        let (serving, node) = (self.current(), &self.metrics().node);
        let (live, catalogue) = (serving.state(), &serving.bundle().catalogue);
        node.lanes(&serving.lane_figures());
        node.sessions.set(live.session_count() as i64);
        node.profiles.set(live.profile_count() as i64);
        let state = live.figures();
        node.state_changed.set(state.changed_bytes as i64);
        node.state_disk_reads.set(state.disk_reads as i64);
        node.state_damaged.set(state.damaged as i64);
        node.state_lost.set(state.lost as i64);
        node.added.set(catalogue.added().len() as i64);
        let (exposure, exploration) = (serving.wiring().exposure(), &self.metrics().exploration);
        exploration.new_share.set(f64::from(exposure.new_share().unwrap_or(0.0)));
        exploration.promoted.set(live.completions().promoted() as i64);
        exploration.coverage.set(exposure.distinct() as f64 / catalogue.len().max(1) as f64);
        exploration.top_artists.set(exposure.top_artists_share(catalogue.artist_count()));
        if let Some(drift) = serving.wiring().drift() {
            let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
            drift.tell(now_ms, &self.metrics().drift);
        }
        self.metrics().render()
    }
}

/// Logs where business rules contradict each other or name what is not there.
fn report_rules(rules: &[RuleConfig], bundle: &Bundle) {
    let named = RuleBook::new(Rules::new(rules), Arc::clone(&bundle.catalogue)).findings();
    let found = rule_conflicts(rules).into_iter().chain(named);
    found.for_each(|finding| tracing::warn!("business rules: {finding}"));
}
