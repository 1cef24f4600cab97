//! One bundle being served: lanes, live state, events.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::exports::Exports;
use super::live_tracks::LiveTracks;
use super::recall_probe::RecallProbe;
use super::snapshots::Snapshots;
use super::{ChangeError, Put, Wiring, recovery, stream};
use crate::arms::Arms;
use crate::bundle::{Bundle, BundleError};
use crate::config::{Config, EventStore, RuleConfig, rule_conflicts};
use crate::domain::{
    Answer, ExplainLevel, Knobs, Recorded, Request, Retrieved, Rung, SessionState, Track, TrackId, TrackIx, UnitVector,
    UserId, UserProfile,
};
use crate::events::{Batch, EventLogError, EventOutcome, Ingest, Notes};
use crate::feature_log::{FeatureLog, Served};
use crate::features::StateStore;
use crate::index::VectorIndex;
use crate::inference::{InferenceError, Runtime};
use crate::metrics::Metrics;
use crate::pipeline::{Criticality, Lanes, Permit, Pipeline, PipelineBuilder, Refused, Terms};
use crate::stages::explain::Explainer;
use crate::stages::observe::{FeatureSink, TraceStore};
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
    /// The event log.
    #[error(transparent)]
    Events(#[from] EventLogError),
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

/// An index with its scratch memory, for searches outside the funnel.
type Searcher = Box<dyn VectorIndex>;

/// Everything behind the HTTP surface.
pub struct Engine {
    config: Config,
    wiring: Wiring,
    live_tracks: LiveTracks,
    // Before the probe: it ends when no lane can hand anything to it.
    lanes: Lanes,
    _probe: Option<RecallProbe>,
    // After the lanes, so that it takes what they gave last.
    _feature_log: Option<FeatureLog>,
    // Before the last snapshot is written.
    _stream: Option<stream::Stream>,
    _exports: Option<Exports>,
    ingest: Arc<Ingest>,
    _snapshots: Option<Snapshots>,
    knobs: ArcSwap<Knobs>,
    arms: Arms,
    metrics: Arc<Metrics>,
    traces: TraceStore,
    searchers: (Sender<Searcher>, Receiver<Searcher>),
}

impl Engine {
    /// Loads the bundle, opens the models of every lane (each runs once, so that the first request finds them warm), reads
    /// the event log back into the live state and starts the lanes.
    ///
    /// # Errors
    /// ONNX Runtime, the bundle, a model or the event log; the message says what to do.
    pub fn start(config: Config, bundle: &Path) -> Result<Self, AppError> {
        let runtime = Runtime::open(&config.inference)?;
        let bundle = Arc::new(Bundle::load(bundle, &config, &runtime)?);
        let state = Arc::new(StateStore::new(&config.state, &config.signals));
        let metrics = Arc::new(Metrics::new()?);
        let traces = TraceStore::new(&config.trace);
        let mut wiring = Wiring::new(&config, Arc::clone(&bundle), Arc::clone(&state));
        let changes = (config.events.store == EventStore::Disk).then(|| config.events.data_dir.join(CHANGES_FILE));
        report_rules(&config.rules, &bundle);
        if wiring.drift().is_none() && config.drift.candidates > 0 {
            tracing::info!(bundle = %bundle.version, "the bundle holds no reference.json: drift is not told");
        }
        let live_tracks = LiveTracks::open(runtime, &wiring, changes.as_deref(), config.catalogue.max_added)?;
        let feature_log = log_features(&config, &mut wiring, live_tracks.log_id(), &metrics)?;
        let count = match config.lanes.count {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            given => given,
        };
        let (every, k) = (config.index.probe_every, config.retrieval.two_tower);
        let probe = RecallProbe::start(&bundle.index, every, k, &metrics)?;
        let pipelines = (0..count)
            .map(|_| {
                let builder = wiring.serving(&metrics, &traces)?;
                let observer = probe.as_ref().and_then(|probe| probe.observer(&metrics));
                Ok(observer.into_iter().fold(builder, PipelineBuilder::observer).build())
            })
            .collect::<Result<_, AppError>>()?;
        let wait = Duration::from_millis(config.lanes.wait_target_ms);
        let lanes = Lanes::start(pipelines, config.lanes.queue_capacity, wait).map_err(AppError::Lanes)?;
        let notes = Arc::new(Notes::open(&config.events, metrics.events.clone())?);
        let recovered = recovery::recover(&config, &bundle, &live_tracks.log_id(), &state, &notes)?;
        let ingest = Ingest::new(
            state,
            recovered.log,
            Arc::clone(&bundle.catalogue),
            Arc::clone(&bundle.vectors),
            config.events.clone(),
            notes,
        );
        let ingest = Arc::new(ingest);
        let on_disk = recovered.disk.is_some();
        let exports = Exports::start(&config.events.export, recovered.disk.clone(), metrics.archive.clone())?;
        let stream = stream::start(&config.events, recovered.disk, &ingest, &metrics)?;
        let every = Duration::from_secs(config.events.snapshot_s);
        let snapshots = on_disk.then(|| Snapshots::start(Arc::clone(&ingest), every)).transpose()?;
        metrics.node.lanes.set(count as i64);
        metrics.node.loaded(&bundle.version, bundle.index.engine().name(), bundle.catalogue.len());
        let (knobs, searchers) = (ArcSwap::from_pointee(config.knobs), bounded(count));
        let arms = Arms::new(&config);
        Ok(Self {
            knobs,
            arms,
            config,
            wiring,
            live_tracks,
            _probe: probe,
            _feature_log: feature_log,
            lanes,
            _stream: stream,
            _exports: exports,
            ingest,
            _snapshots: snapshots,
            metrics,
            traces,
            searchers,
        })
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The bundle that answers.
    pub fn bundle(&self) -> &Bundle {
        self.wiring.bundle()
    }

    /// Live sessions and profiles.
    pub fn state(&self) -> &StateStore {
        self.wiring.state()
    }

    /// What the stages share.
    pub fn wiring(&self) -> &Wiring {
        &self.wiring
    }

    /// The answers that are kept.
    pub fn traces(&self) -> &TraceStore {
        &self.traces
    }

    /// The server's metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The weights in force.
    pub fn knobs(&self) -> Knobs {
        **self.knobs.load()
    }

    /// Changes the weights from the next request on. The caller has checked the ranges.
    pub fn set_knobs(&self, knobs: Knobs) {
        self.knobs.store(Arc::new(knobs));
    }

    /// Changes the business rules from the next request on, and logs what is contradictory in them. The caller has checked
    /// them.
    pub fn set_rules(&self, rules: &[RuleConfig]) {
        report_rules(rules, self.bundle());
        self.wiring.rules().set(rules);
    }

    /// A request and its weights, with what the arms of its listener set.
    pub(super) fn in_arms(&self, request: Arc<Request>) -> (Arc<Request>, Knobs) {
        self.arms.apply(request, self.knobs())
    }

    /// Answers a request on a lane. What it needs from disk is read before it is queued, by a thread that may wait: lanes
    /// are as many as cores, and one that waited for the disk would keep a core from everybody.
    ///
    /// # Errors
    /// When it is refused because of load.
    pub async fn next_tracks(&self, request: Arc<Request>, terms: impl Into<Terms>) -> Result<Answer, Refused> {
        let permit = self.admit(terms.into())?;
        self.fetch(&request).await;
        let until = permit.terms().deadline.clone();
        let ((request, knobs), width) = (self.in_arms(request), self.lanes.width(&until));
        let (state, bundle) = (Arc::clone(self.wiring.state()), Arc::clone(self.wiring.bundle()));
        let answered = self.on_lane(permit, move |pipeline| {
            let mut answer = pipeline.execute(Arc::clone(&request), knobs, &until, width);
            if request.explain != ExplainLevel::None {
                explain(&request, &mut answer, &state, &bundle);
            }
            answer
        });
        let answer = answered.await?;
        if answer.rung != Rung::Full {
            let (id, rung) = (&answer.recommendation_id, answer.rung.as_str());
            tracing::info!(%id, rung, degraded = ?answer.degraded, seed = answer.seed, "answered below the full funnel");
        }
        Ok(answer)
    }

    /// Fills in why each track of an answer is in the list, from what its request read.
    pub fn give_reasons(&self, request: &Request, recorded: &Recorded, answer: &mut Answer) {
        give_reasons(request, &recorded.session, &recorded.profile, answer, self.bundle());
    }

    /// The bundle, to be held.
    pub(super) fn bundle_handle(&self) -> &Arc<Bundle> {
        self.wiring.bundle()
    }

    /// Lets a request in, before anything is done for it.
    pub(super) fn admit(&self, terms: Terms) -> Result<Permit, Refused> {
        let criticality = terms.criticality;
        self.counted(criticality, self.lanes.admit(terms))
    }

    /// Runs the work of a request that was let in.
    pub(super) async fn on_lane<T: Send + 'static>(
        &self,
        permit: Permit,
        work: impl FnOnce(&mut Pipeline) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let criticality = permit.terms().criticality;
        self.counted(criticality, self.lanes.run(permit, work).await)
    }

    pub(super) async fn fetch(&self, request: &Arc<Request>) {
        if !self.state().is_at_hand(&request.user_id, request.session_id.as_ref()) {
            let (state, request) = (Arc::clone(self.wiring.state()), Arc::clone(request));
            let read = move || state.fetch(&request.user_id, request.session_id.as_ref());
            // If it was not read, the lane reads it.
            let _ = tokio::task::spawn_blocking(read).await;
        }
    }

    /// Counts what load refused.
    fn counted<T>(&self, criticality: Criticality, answered: Result<T, Refused>) -> Result<T, Refused> {
        if matches!(answered, Err(Refused::Overloaded { .. })) {
            self.metrics.http.refused.with_label_values(&[criticality.name()]).inc();
        }
        answered
    }

    /// The `k` tracks nearest to a track, best first, without itself and what is taken down.
    ///
    /// # Errors
    /// When it is refused because of load.
    pub async fn similar(&self, track: TrackIx, k: usize, terms: impl Into<Terms>) -> Result<Vec<Retrieved>, Refused> {
        let permit = self.admit(terms.into())?;
        let bundle = Arc::clone(self.wiring.bundle());
        let takedowns = Arc::clone(self.wiring.takedowns());
        let (put, take) = self.searchers.clone();
        let until = permit.terms().deadline.clone();
        let search = move |_: &mut _| {
            let mut hits = Vec::new();
            let Ok(query) = UnitVector::new(bundle.vectors.row(track.at()).to_vec(), bundle.vectors.dim()) else {
                return hits;
            };
            let mut index = take.try_recv().unwrap_or_else(|_| bundle.index.searcher());
            // Wider until enough is left besides the track itself and what is taken down.
            let mut wide = k + 1;
            loop {
                hits.clear();
                if let Err(error) = index.search(&query, wide, &until, &mut hits) {
                    tracing::error!(%error, "similar tracks");
                }
                let all = hits.len() < wide || until.passed();
                hits.retain(|hit| hit.track != track && !takedowns.contains(hit.track));
                if all || hits.len() >= k {
                    break;
                }
                wide *= 4;
            }
            hits.truncate(k);
            // The pool has a place for every lane's.
            let _ = put.try_send(index);
            hits
        };
        self.on_lane(permit, search).await
    }

    /// Adds a track, or replaces what is known of its id. On return it is stored, and every request that comes can find it.
    /// Runs the item tower and waits for the disk.
    ///
    /// # Errors
    /// [`ChangeError`]: nothing changed.
    pub fn put_track(&self, track: Track) -> Result<Put, ChangeError> {
        self.live_tracks.put(&self.wiring, track)
    }

    /// Serves a track no more. On return that is stored and holds for every request that comes. Waits for the disk.
    ///
    /// # Errors
    /// [`ChangeError`]: nothing changed.
    pub fn take_down(&self, track: &TrackId) -> Result<(), ChangeError> {
        self.live_tracks.take_down(&self.wiring, track)?;
        self.metrics.events.takedowns.inc();
        Ok(())
    }

    /// Undoes [`Engine::take_down`].
    ///
    /// # Errors
    /// [`ChangeError`]: nothing changed.
    pub fn restore(&self, track: &TrackId) -> Result<(), ChangeError> {
        self.live_tracks.restore(&self.wiring, track)
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
            self.metrics.events.received.with_label_values(&[status]).inc();
        }
        Ok(outcomes)
    }

    /// Forgets a listener: traces, logged events, profile and sessions. Whether anything was kept. Waits for the event log
    /// and for the state to be written.
    ///
    /// # Errors
    /// The disk's: something may still be held, and it may be tried again.
    pub fn erase(&self, user: &UserId) -> Result<bool, EventLogError> {
        let traced = self.traces.forget(user);
        let known = self.state().profile(user).last_ms != 0;
        Ok(self.ingest.forget(user)? > 0 || known || traced)
    }

    /// All metrics in Prometheus' text format, gauges brought up to date.
    ///
    /// # Errors
    /// If a metric cannot be encoded.
    pub fn metrics_text(&self) -> Result<String, prometheus::Error> {
        let node = &self.metrics.node;
        node.lanes(&self.lanes.figures());
        node.sessions.set(self.state().session_count() as i64);
        node.profiles.set(self.state().profile_count() as i64);
        let state = self.state().figures();
        node.state_changed.set(state.changed_bytes as i64);
        node.state_disk_reads.set(state.disk_reads as i64);
        node.state_damaged.set(state.damaged as i64);
        node.state_lost.set(state.lost as i64);
        node.added.set(self.bundle().catalogue.added().len() as i64);
        let (exposure, catalogue) = (self.wiring.exposure(), &self.bundle().catalogue);
        let exploration = &self.metrics.exploration;
        exploration.new_share.set(f64::from(exposure.new_share().unwrap_or(0.0)));
        exploration.promoted.set(self.state().completions().promoted() as i64);
        exploration.coverage.set(exposure.distinct() as f64 / catalogue.len().max(1) as f64);
        exploration.top_artists.set(exposure.top_artists_share(catalogue.artist_count()));
        if let Some(drift) = self.wiring.drift() {
            let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
            drift.tell(now_ms, &self.metrics.drift);
        }
        self.metrics.render()
    }
}

/// Logs where business rules contradict each other or name what is not there.
fn report_rules(rules: &[RuleConfig], bundle: &Bundle) {
    let named = RuleBook::new(Rules::new(rules), Arc::clone(&bundle.catalogue)).findings();
    let found = rule_conflicts(rules).into_iter().chain(named);
    found.for_each(|finding| tracing::warn!("business rules: {finding}"));
}

/// Starts the feature log, where there is to be one, and has the wiring write to it. `changes`: the id of the file of
/// changes to the catalogue.
fn log_features(
    config: &Config,
    wiring: &mut Wiring,
    changes: String,
    metrics: &Metrics,
) -> Result<Option<FeatureLog>, AppError> {
    let bundle = wiring.bundle();
    let served = Served { bundle: bundle.version.to_string(), changes, catalogue: Arc::clone(&bundle.catalogue) };
    let log = FeatureLog::start(&config.feature_log, served, &metrics.feature_log).map_err(AppError::FeatureLog)?;
    if let Some(to) = log.as_ref().map(FeatureLog::sender) {
        let (unserved_share, shed) = (config.feature_log.unserved_share, metrics.feature_log.shed_queue.clone());
        wiring.log_features(FeatureSink { to, unserved_share, shed });
    }
    Ok(log)
}

/// Fills in why each track is in the list.
fn explain(request: &Request, answer: &mut Answer, state: &StateStore, bundle: &Bundle) {
    let session = request.session_id.as_ref().and_then(|id| state.session_of(id, &request.user_id, request.now_ms));
    give_reasons(request, &session.unwrap_or_default(), &state.profile(&request.user_id), answer, bundle);
}

fn give_reasons(
    request: &Request,
    session: &SessionState,
    profile: &UserProfile,
    answer: &mut Answer,
    bundle: &Bundle,
) {
    let Bundle { catalogue, vectors, popularity, .. } = bundle;
    Explainer { request, session, profile, catalogue, vectors, popularity }.fill(&mut answer.tracks);
}
