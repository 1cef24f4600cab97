//! Which stages a pipeline has, in which order, and what happens when one fails.

use std::sync::Arc;

use super::{AppError, Drift};
use crate::bundle::Bundle;
use crate::config::{Config, DiversityMethod};
use crate::domain::Rung;
use crate::features::{Assembler, RankedTap, StateStore, day_of};
use crate::inference::{OrtRanker, OrtUserTower};
use crate::metrics::Metrics;
use crate::pipeline::{CandidateFilter, OnFailure, PipelineBuilder, Retriever};
use crate::stages::context::{IntentSource, ProfileSource, SessionSource, UserVectorSource};
use crate::stages::exposure::Exposure;
use crate::stages::filter::{
    BlockedArtist, Disliked, Excluded, Explicit, Licence, Market, PlayedInSession, SameRecording, ServedBefore,
    Takedowns, TakenDown,
};
use crate::stages::observe::{
    CatalogueMoment, ExposureObserver, FeatureObserver, FeatureSink, MetricsObserver, ServedObserver, TraceObserver,
    TraceStore,
};
use crate::stages::rank::MmoeRanker;
use crate::stages::rerank::{
    Diversity, Explore, ExploreRules, PopularityPenalty, Rule, Satiation, Separation, SkipPenalty, TransitionRules,
    Transitions, Windows,
};
use crate::stages::retrieve::{
    ArtistCharts, Exploration, Fresh, GlobalTop, MarketTop, OwnTracks, Popular, SessionArtists, Successors, TwoTower,
    UserTop,
};
use crate::stages::rules::{ApplyRules, RuleBlock, RuleBook, RulePins, RuleSource, Rules};

/// Most tracks that pins propose for one request.
const MOST_PINNED: usize = 1_000;

/// Whether an offline pipeline may propose what was played in the session: real histories repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// As histories are.
    Allowed,
    /// As `filters.played_in_session` says.
    AsConfigured,
}

/// What all lanes of one bundle share. Clones share it too.
#[derive(Clone)]
pub struct Wiring {
    config: Config,
    bundle: Arc<Bundle>,
    state: Arc<StateStore>,
    assembler: Arc<Assembler>,
    takedowns: Arc<Takedowns>,
    charts: Arc<ArtistCharts>,
    fresh: Fresh,
    exploration: Exploration,
    exposure: Arc<Exposure>,
    explicit: Explicit,
    licence: Licence,
    rules: Rules,
    drift: Option<Arc<Drift>>,
    features: Option<FeatureSink>,
}

impl Wiring {
    /// Precomputes what stages share. `O(tracks)`.
    pub fn new(config: &Config, bundle: Arc<Bundle>, state: Arc<StateStore>) -> Self {
        let day = day_of(bundle.manifest.as_of_ms);
        let (catalogue, vectors) = (&bundle.catalogue, &bundle.vectors);
        state.completions().know(Arc::clone(&bundle.popularity));
        if config.ranking.first_phase > 0 && bundle.first_phase.is_none() {
            tracing::warn!(bundle = %bundle.version, "ranking.first_phase: the bundle has none, every candidate is ranked");
        }
        let assembler = Assembler::new(
            Arc::clone(catalogue),
            Arc::clone(vectors),
            Arc::clone(&bundle.popularity),
            Arc::clone(&bundle.rules),
            day,
            config.signals.affinity_half_life_days,
        );
        Self {
            config: config.clone(),
            state,
            assembler: Arc::new(assembler),
            takedowns: Arc::new(Takedowns::new(catalogue.len() + config.catalogue.max_added)),
            charts: Arc::new(ArtistCharts::new(catalogue, &bundle.popularity)),
            fresh: Fresh::new(Arc::clone(catalogue), Arc::clone(vectors), day, config.retrieval.fresh_days),
            exploration: Exploration::new(Arc::clone(catalogue), Arc::clone(vectors), &bundle.popularity),
            exposure: Arc::new(Exposure::new(config.exploration.window)),
            explicit: Explicit::new(Arc::clone(catalogue)),
            licence: Licence::new(Arc::clone(catalogue)),
            rules: Rules::new(&config.rules),
            drift: Drift::new(&config.drift, bundle.reference.as_ref()).map(Arc::new),
            features: None,
            bundle,
        }
    }

    /// From now on every pipeline that serves logs what its ranker saw.
    pub fn log_features(&mut self, sink: FeatureSink) {
        self.features = Some(sink);
    }

    /// The feature code of the bundle.
    pub fn assembler(&self) -> &Arc<Assembler> {
        &self.assembler
    }

    /// What is taken down.
    pub fn takedowns(&self) -> &Arc<Takedowns> {
        &self.takedowns
    }

    /// What the pipelines that serve have served.
    pub fn exposure(&self) -> &Exposure {
        &self.exposure
    }

    /// What is told of drift, where it is.
    pub fn drift(&self) -> Option<&Drift> {
        self.drift.as_deref()
    }

    /// The business rules in force. Others hold from the next request on.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The live state that the stages read.
    pub fn state(&self) -> &Arc<StateStore> {
        &self.state
    }

    /// The bundle that the stages read.
    pub fn bundle(&self) -> &Arc<Bundle> {
        &self.bundle
    }

    /// The pipeline that serves: opens a session of each model for its lane.
    ///
    /// # Errors
    /// If a model does not open.
    pub fn serving(&self, metrics: &Arc<Metrics>, traces: &TraceStore) -> Result<PipelineBuilder, AppError> {
        let tap = (self.features.is_some() || self.drift.is_some()).then(RankedTap::default);
        let builder = self
            .stages(tap.clone())?
            .observer(ServedObserver::new(Arc::clone(&self.state)))
            .observer(self.observe_exposure(metrics))
            .detailed(traces.is_on());
        let builder = match traces.is_on() {
            true => {
                let version = Arc::clone(&self.bundle.version);
                builder.observer(TraceObserver::new(traces.clone(), version, self.catalogue_moment()))
            }
            false => builder,
        };
        let builder = builder.observer(MetricsObserver::new(Arc::clone(metrics)));
        let Some(tap) = tap else { return Ok(builder) };
        let builder = match &self.drift {
            Some(drift) => builder.observer(drift.observer(RankedTap::clone(&tap))),
            None => builder,
        };
        // Last: it empties the tap.
        Ok(match &self.features {
            Some(sink) => builder.observer(FeatureObserver::new(tap, sink.clone())),
            None => builder,
        })
    }

    /// The stages that serve, with nobody observing: for requests asked again elsewhere.
    ///
    /// # Errors
    /// If a model does not open.
    pub fn rehearsing(&self) -> Result<PipelineBuilder, AppError> {
        self.stages(None)
    }

    /// The stages that serve.
    fn stages(&self, tap: Option<RankedTap>) -> Result<PipelineBuilder, AppError> {
        let catalogue = &self.bundle.catalogue;
        let of_lane = Rules::new(&[]);
        let book = RuleBook::new(of_lane.clone(), Arc::clone(catalogue));
        // Pinned tracks are proposed first, so that they stand for their recordings.
        let begin = PipelineBuilder::default()
            .context(RuleSource::new(self.rules.clone(), of_lane), OnFailure::Skip)
            .retriever(RulePins::new(book.clone()), MOST_PINNED, OnFailure::Skip);
        let mut builder = self.funnel(begin, tap.clone())?.filter(RuleBlock::new(book.clone()));
        if self.config.filters.played_in_session {
            builder = builder.filter(PlayedInSession::new(Arc::clone(catalogue)));
        }
        if self.config.filters.served_before {
            builder = builder.filter(ServedBefore::new(Arc::clone(catalogue)));
        }
        let builder = self.explore(self.diversify(self.hard_filters(builder)), tap);
        let builder = self.order(self.separate(builder)).reranker(ApplyRules::new(book));
        Ok(self.ladder(builder))
    }

    /// The same funnel for evaluation and training rows: it notes nothing and forgets what it served.
    ///
    /// # Errors
    /// If a model does not open.
    pub fn offline(&self, repeats: Repeats) -> Result<PipelineBuilder, AppError> {
        let mut builder = self.funnel(PipelineBuilder::default(), None)?;
        if repeats == Repeats::AsConfigured && self.config.filters.played_in_session {
            builder = builder.filter(PlayedInSession::new(Arc::clone(&self.bundle.catalogue)));
        }
        Ok(self.ladder(self.separate(self.diversify(self.hard_filters(builder)))))
    }

    /// A baseline in the same framework: one retriever, the hard filters, retrieval order.
    pub fn baseline(&self, retriever: impl Retriever + 'static, quota: usize) -> PipelineBuilder {
        let builder = self.state_sources(PipelineBuilder::default()).retriever(retriever, quota, OnFailure::Skip);
        self.ladder(self.hard_filters(builder))
    }

    fn state_sources(&self, builder: PipelineBuilder) -> PipelineBuilder {
        builder
            .context(SessionSource::new(Arc::clone(&self.state)), OnFailure::Skip)
            .context(ProfileSource::new(Arc::clone(&self.state)), OnFailure::Skip)
    }

    /// Context, retrievers and the ranker, which leaves what it saw in `tap`.
    fn funnel(&self, builder: PipelineBuilder, tap: Option<RankedTap>) -> Result<PipelineBuilder, AppError> {
        let bundle = &self.bundle;
        let tower = Box::new(OrtUserTower::new(&bundle.user_tower)?);
        let mut builder = self
            .state_sources(builder)
            .context(UserVectorSource::new(Arc::clone(&self.assembler), tower), OnFailure::Skip)
            .context(self.intent(), OnFailure::Skip);
        for (retriever, quota) in self.retrievers() {
            builder = builder.retriever(retriever, quota, OnFailure::Skip);
        }
        if let Some(model) = &bundle.ranker {
            let most = self.retrievers().iter().map(|(_, quota)| quota).sum();
            let mut ranker = Box::new(OrtRanker::new(model)?);
            ranker.warm(most)?;
            let catalogue = Arc::clone(&bundle.catalogue);
            let ranker = MmoeRanker::new(Arc::clone(&self.assembler), catalogue, ranker).tapped(tap);
            builder = builder.ranker(match (&bundle.first_phase, self.config.ranking.first_phase) {
                (Some(model), keep @ 1..) => {
                    let mut first = Box::new(OrtRanker::new(model)?);
                    first.warm(most)?;
                    ranker.behind(first, keep)
                }
                _ => ranker,
            });
        }
        Ok(builder)
    }

    /// What names the session's intent, and turns the dials by it.
    fn intent(&self) -> IntentSource {
        let Bundle { intents, prototypes, vectors, .. } = &*self.bundle;
        IntentSource::new(Arc::clone(intents), prototypes.clone(), Arc::clone(vectors), self.config.intents.clone())
    }

    /// The retrievers of one lane with their quotas, in the order in which they propose.
    pub fn retrievers(&self) -> Vec<(Box<dyn Retriever>, usize)> {
        let (bundle, quota) = (&self.bundle, &self.config.retrieval);
        let (vectors, filters) = (Arc::clone(&bundle.vectors), self.selective_filters());
        let two_tower = TwoTower::new(bundle.index.searcher(), vectors, quota.queries, filters);
        let artists = SessionArtists::new(Arc::clone(&bundle.catalogue), Arc::clone(&self.charts));
        vec![
            (Box::new(two_tower), quota.two_tower),
            (Box::new(artists), quota.session_artists),
            (Box::new(Successors::new(Arc::clone(&bundle.rules))), quota.sequential_rules),
            (Box::new(OwnTracks::default()), quota.own_tracks),
            (Box::new(Popular::new(Arc::clone(&bundle.popularity))), quota.popular),
            (Box::new(self.fresh.clone()), quota.fresh),
            (Box::new(self.exploration.clone()), quota.exploration),
        ]
    }

    /// What no answer may hold.
    fn hard_filters(&self, builder: PipelineBuilder) -> PipelineBuilder {
        let catalogue = &self.bundle.catalogue;
        let builder = builder.filter(Excluded::new(Arc::clone(catalogue))).filter(Disliked::new(Arc::clone(catalogue)));
        let builder = self.selective_filters().into_iter().fold(builder, PipelineBuilder::filter);
        builder.filter(SameRecording::new(Arc::clone(catalogue)))
    }

    /// Those of the hard filters that may remove most of a catalogue and judge a track by itself.
    fn selective_filters(&self) -> Vec<Box<dyn CandidateFilter>> {
        let catalogue = &self.bundle.catalogue;
        vec![
            Box::new(BlockedArtist::new(Arc::clone(catalogue))),
            Box::new(Market::new(Arc::clone(catalogue))),
            Box::new(self.explicit.clone()),
            Box::new(self.licence.clone()),
            Box::new(TakenDown::new(Arc::clone(&self.takedowns))),
        ]
    }

    /// What chooses the tracks of a list.
    fn diversify(&self, builder: PipelineBuilder) -> PipelineBuilder {
        let (bundle, rules) = (&self.bundle, &self.config.rerank);
        let (catalogue, vectors) = (|| Arc::clone(&bundle.catalogue), || Arc::clone(&bundle.vectors));
        let builder = builder.reranker(SkipPenalty::new(catalogue(), vectors(), self.config.signals.clone()));
        let builder = match rules.satiation.strength > 0.0 {
            true => builder.reranker(Satiation::new(rules.satiation)),
            false => builder,
        };
        let builder = builder.reranker(PopularityPenalty::new(Arc::clone(&bundle.popularity)));
        match rules.diversity {
            DiversityMethod::Dpp => builder.reranker(Diversity::dpp(catalogue(), vectors(), rules.audio_share)),
            DiversityMethod::Mmr => builder.reranker(Diversity::mmr(catalogue(), vectors(), rules.audio_share)),
        }
    }

    /// What gives places to tracks of which little is known. Not for offline pipelines: their figures are of the ranking.
    fn explore(&self, builder: PipelineBuilder, tap: Option<RankedTap>) -> PipelineBuilder {
        let rules = &self.config.exploration;
        if rules.positions.is_empty() && rules.more_positions.is_empty() {
            return builder;
        }
        let rules = ExploreRules {
            positions: rules.positions.clone(),
            more_positions: rules.more_positions.clone(),
            floor: rules.floor,
            ceiling: rules.ceiling,
            rank_order_surfaces: self.config.rerank.rank_order_surfaces.clone(),
        };
        let (catalogue, state) = (Arc::clone(&self.bundle.catalogue), Arc::clone(&self.state));
        builder.reranker(Explore::new(catalogue, state, Arc::clone(&self.exposure), rules).tapped(tap))
    }

    fn observe_exposure(&self, metrics: &Metrics) -> ExposureObserver {
        let (catalogue, state) = (Arc::clone(&self.bundle.catalogue), Arc::clone(&self.state));
        let new_plays = self.config.exploration.new_plays;
        ExposureObserver::new(catalogue, state, Arc::clone(&self.exposure), new_plays, metrics)
    }

    /// What tells two moments of the catalogue apart.
    pub fn catalogue_moment(&self) -> impl Fn() -> CatalogueMoment + Send + use<> {
        let (catalogue, takedowns) = (Arc::clone(&self.bundle.catalogue), Arc::clone(&self.takedowns));
        move || CatalogueMoment { additions: catalogue.additions(), takedowns: takedowns.changes() }
    }

    /// What keeps them apart.
    fn separate(&self, builder: PipelineBuilder) -> PipelineBuilder {
        builder.reranker(Separation::new(Arc::clone(&self.bundle.catalogue), self.windows()))
    }

    /// What orders them for playing. Not for offline pipelines: their figures are of the ranking.
    fn order(&self, builder: PipelineBuilder) -> PipelineBuilder {
        let rules = &self.config.rerank;
        if !rules.transitions {
            return builder;
        }
        let rules = TransitionRules {
            windows: self.windows(),
            beam_width: rules.beam_width,
            hold: rules.transition_hold,
            rank_order_surfaces: rules.rank_order_surfaces.clone(),
        };
        builder.reranker(Transitions::new(Arc::clone(&self.bundle.catalogue), rules))
    }

    /// The rules that keep tracks apart.
    fn windows(&self) -> Windows {
        let rules = &self.config.rerank;
        Windows {
            artist: Rule { most: rules.artist_most, window: self.config.knobs.artist_window },
            album: Rule { most: rules.album_most, window: rules.album_window },
            recording: Rule { most: 1, window: rules.recording_window },
        }
    }

    fn ladder(&self, builder: PipelineBuilder) -> PipelineBuilder {
        let popularity = &self.bundle.popularity;
        builder
            .rung(Rung::UserTop, UserTop::new(Arc::clone(&self.charts)))
            .rung(Rung::MarketTop, MarketTop::new(Arc::clone(popularity)))
            .rung(Rung::GlobalTop, GlobalTop::new(Arc::clone(popularity)))
    }
}
