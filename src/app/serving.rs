//! One bundle being served: its lanes, and what they share.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::live_tracks::LiveTracks;
use super::recall_probe::RecallProbe;
use super::{AppError, Wiring};
use crate::arms::Arms;
use crate::bundle::Bundle;
use crate::config::Config;
use crate::domain::{
    Answer, ExplainLevel, Knobs, Recorded, Request, Retrieved, Rung, SessionState, TrackIx, UnitVector, UserProfile,
};
use crate::events::LiveState;
use crate::feature_log::{FeatureLog, Served};
use crate::features::StateStore;
use crate::index::VectorIndex;
use crate::inference::Runtime;
use crate::metrics::Metrics;
use crate::pipeline::{Criticality, LaneFigures, Lanes, Permit, Pipeline, PipelineBuilder, Refused, Terms};
use crate::stages::explain::Explainer;
use crate::stages::observe::{FeatureSink, TraceStore};

/// An index with its scratch memory, for searches outside the funnel.
type Searcher = Box<dyn VectorIndex>;

/// What outlives a bundle and every request needs.
pub(super) struct Common {
    pub(super) config: Config,
    pub(super) runtime: Runtime,
    pub(super) knobs: ArcSwap<Knobs>,
    pub(super) arms: Arms,
    pub(super) metrics: Arc<Metrics>,
}

/// A bundle in memory, with what was added to it and what its pipelines share.
pub(super) struct Loaded {
    pub(super) wiring: Wiring,
    pub(super) live_tracks: LiveTracks,
    /// Names the tracks and vectors whose rows a live state holds.
    pub(super) ground: String,
}

impl Loaded {
    /// The state that its pipelines read, and what that is resolved against.
    pub(super) fn live_state(&self) -> LiveState {
        let bundle = self.wiring.bundle();
        let (catalogue, vectors) = (Arc::clone(&bundle.catalogue), Arc::clone(&bundle.vectors));
        LiveState { state: Arc::clone(self.wiring.state()), catalogue, vectors }
    }
}

/// One bundle being served. A request takes it once and is answered by it, whatever is served meanwhile.
pub struct Serving {
    common: Arc<Common>,
    loaded: Loaded,
    traces: TraceStore,
    // Before the probe: it ends when no lane can hand anything to it.
    lanes: Lanes,
    _probe: Option<RecallProbe>,
    // After the lanes, so that it takes what they gave last.
    _feature_log: Option<FeatureLog>,
    searchers: (Sender<Searcher>, Receiver<Searcher>),
}

impl Serving {
    /// Opens the models of every lane, runs each once so that the first request finds them warm (`warm` does more), and
    /// starts the lanes. `changes`: the id of the file of changes to the catalogue.
    ///
    /// # Errors
    /// A model, the feature log's store, or threads.
    pub(super) fn start(
        common: &Arc<Common>,
        loaded: Loaded,
        traces: TraceStore,
        changes: &str,
        mut warm: impl FnMut(&mut Pipeline),
    ) -> Result<Self, AppError> {
        let Common { config, metrics, .. } = &**common;
        let mut wiring = loaded.wiring.clone();
        let feature_log = log_features(config, &mut wiring, changes.to_owned(), metrics)?;
        let count = match config.lanes.count {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            given => given,
        };
        let (every, k) = (config.index.probe_every, config.retrieval.two_tower);
        let probe = RecallProbe::start(&wiring.bundle().index, every, k, metrics)?;
        let pipelines = (0..count)
            .map(|_| {
                let builder = wiring.serving(metrics, &traces)?;
                let observer = probe.as_ref().and_then(|probe| probe.observer(metrics));
                let mut pipeline = observer.into_iter().fold(builder, PipelineBuilder::observer).build();
                warm(&mut pipeline);
                Ok(pipeline)
            })
            .collect::<Result<_, AppError>>()?;
        let wait = Duration::from_millis(config.lanes.wait_target_ms);
        let lanes = Lanes::start(pipelines, config.lanes.queue_capacity, wait).map_err(AppError::Lanes)?;
        let (common, searchers) = (Arc::clone(common), bounded(count));
        Ok(Self { common, loaded, traces, lanes, _probe: probe, _feature_log: feature_log, searchers })
    }

    /// Ends the lanes and what hangs on them; waits for what is queued. What is left can be served again.
    pub(super) fn retire(self) -> Loaded {
        self.loaded
    }

    /// The bundle.
    pub fn bundle(&self) -> &Arc<Bundle> {
        self.wiring().bundle()
    }

    /// Live sessions and profiles.
    pub fn state(&self) -> &Arc<StateStore> {
        self.wiring().state()
    }

    /// What the stages share.
    pub fn wiring(&self) -> &Wiring {
        &self.loaded.wiring
    }

    /// The bundle with what hangs on it.
    pub(super) fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// The answers that are kept.
    pub fn traces(&self) -> &TraceStore {
        &self.traces
    }

    /// The configuration in force.
    pub(super) fn config(&self) -> &Config {
        &self.common.config
    }

    /// What the lanes are doing.
    pub(super) fn lane_figures(&self) -> LaneFigures {
        self.lanes.figures()
    }

    /// A request and its weights, with what the arms of its listener set.
    pub(super) fn in_arms(&self, request: Arc<Request>) -> (Arc<Request>, Knobs) {
        self.common.arms.apply(request, **self.common.knobs.load())
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
        let (state, bundle) = (Arc::clone(self.state()), Arc::clone(self.bundle()));
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
            let (state, request) = (Arc::clone(self.state()), Arc::clone(request));
            let read = move || state.fetch(&request.user_id, request.session_id.as_ref());
            // If it was not read, the lane reads it.
            let _ = tokio::task::spawn_blocking(read).await;
        }
    }

    /// Counts what load refused.
    fn counted<T>(&self, criticality: Criticality, answered: Result<T, Refused>) -> Result<T, Refused> {
        if matches!(answered, Err(Refused::Overloaded { .. })) {
            self.common.metrics.http.refused.with_label_values(&[criticality.name()]).inc();
        }
        answered
    }

    /// The `k` tracks nearest to a track, best first, without itself and what is taken down.
    ///
    /// # Errors
    /// When it is refused because of load.
    pub async fn similar(&self, track: TrackIx, k: usize, terms: impl Into<Terms>) -> Result<Vec<Retrieved>, Refused> {
        let permit = self.admit(terms.into())?;
        let bundle = Arc::clone(self.bundle());
        let takedowns = Arc::clone(self.wiring().takedowns());
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
