//! Answers by their id with how they came about: for traces, explanations and replays.

use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::config::TraceConfig;
use crate::domain::{Answer, Knobs, RecommendationId, Recorded, Request, RequestContext, ServedTrack, UserId};
use crate::pipeline::{Detail, Observer, StageReport, Step};

/// One answer and what it answered.
#[derive(Debug, Clone)]
pub struct Trace {
    /// Version of the bundle that answered. Others whose rows are the same may have answered others of a store.
    pub bundle: Arc<str>,
    /// The question, with the seed and the clock that were used.
    pub request: Arc<Request>,
    /// The weights in force.
    pub knobs: Knobs,
    /// The answer, with the report of every stage and its detail.
    pub answer: Answer,
    /// What the request read of the live state, as the state itself is written; absent where that is not kept.
    read: Option<Box<[u8]>>,
    /// How many tracks had been added to the catalogue, and how many were taken down.
    pub catalogue: CatalogueMoment,
    /// What tells the business rules that it went by from others.
    pub rules: Option<Arc<str>>,
}

/// What tells two moments of a catalogue apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct CatalogueMoment {
    /// Tracks added since the bundle was loaded.
    pub additions: u64,
    /// Takedowns and their undoing since then.
    pub takedowns: u64,
}

impl Trace {
    /// What the request read of the live state, where that was kept.
    pub fn recorded(&self) -> Option<Recorded> {
        postcard::from_bytes(self.read.as_deref()?).ok()
    }

    /// The same as it is kept: postcard.
    pub fn read(&self) -> Option<&[u8]> {
        self.read.as_deref()
    }

    /// Estimated memory, bytes.
    fn weight(&self) -> u32 {
        let detail = self.answer.detail.as_ref().map_or(0, |detail| {
            let ways = detail.ways.len() * (size_of_val(&detail.ways[..]) / detail.ways.len().max(1));
            let steps = detail.ways.len() * detail.stages.len() * size_of::<Step>();
            size_of::<Detail>() + ways + steps + detail.removed.len() * 8 + detail.posteriors.tracks.len() * 32
        });
        let lists = self.answer.tracks.len() * size_of::<ServedTrack>()
            + self.answer.reports.len() * size_of::<StageReport>()
            + (self.request.exclude.len() + self.request.seed_tracks.len() + self.request.seed_artists.len()) * 4
            + self.request.candidates.as_ref().map_or(0, |own| own.len() * 4)
            + self.read.as_ref().map_or(0, |read| read.len());
        u32::try_from(size_of::<Self>() + size_of::<Request>() + lists + detail).unwrap_or(u32::MAX)
    }
}

/// The newest answers for a time, and a sample of them for longer; both bounded by memory, of which the least recently used
/// leave first. Cheap to clone and shared by all lanes.
#[derive(Debug, Clone)]
pub struct TraceStore {
    recent: Traces,
    sampled: Traces,
    sample_every: u64,
    state: bool,
    is_on: bool,
}

type Traces = Cache<RecommendationId, Arc<Trace>>;

impl TraceStore {
    /// An empty store.
    pub fn new(config: &TraceConfig) -> Self {
        let hours = |hours: u64| Duration::from_secs(hours.saturating_mul(3_600));
        Self {
            recent: traces(config.recent_mib << 20, Duration::from_secs(config.recent_s)),
            sampled: traces(config.sampled_mib << 20, hours(config.sampled_h)),
            sample_every: config.sample_every,
            state: config.state,
            is_on: config.is_on(),
        }
    }

    /// Whether anything is kept.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Keeps a trace.
    pub fn insert(&self, trace: Trace) {
        let id = trace.answer.recommendation_id.clone();
        let trace = Arc::new(trace);
        // Which ones are sampled follows from the id, a fresh random number.
        if self.sample_every > 0 && u64::from(crc32fast::hash(id.as_str().as_bytes())) % self.sample_every == 0 {
            self.sampled.insert(id.clone(), Arc::clone(&trace));
        }
        self.recent.insert(id, trace);
    }

    /// The trace of an answer, if it is still held.
    pub fn get(&self, id: &RecommendationId) -> Option<Arc<Trace>> {
        self.recent.get(id).or_else(|| self.sampled.get(id))
    }

    /// Every trace that is held, in no order. For exports, not for requests.
    pub fn all(&self) -> Vec<Arc<Trace>> {
        let recent = self.recent.iter().map(|(_, trace)| trace);
        let only_sampled = self.sampled.iter().filter(|(id, _)| !self.recent.contains_key(&**id));
        recent.chain(only_sampled.map(|(_, trace)| trace)).collect()
    }

    /// Drops every trace of a listener (erasure) and tells whether there was one; later ones are kept again. Goes over all
    /// traces. The predicate is held until the next maintenance of the cache.
    pub fn forget(&self, listener: &UserId) -> bool {
        let forget = |traces: &Traces| {
            let held = traces.iter().any(|(_, trace)| trace.request.user_id == *listener);
            let listener = listener.clone();
            // Fails only where closures are not supported; the builder supports them.
            let _ = traces.invalidate_entries_if(move |_, trace| trace.request.user_id == listener);
            traces.run_pending_tasks();
            held
        };
        forget(&self.recent) | forget(&self.sampled)
    }

    /// Answers held, approximately; sampled ones that are new count twice.
    pub fn len(&self) -> u64 {
        self.recent.entry_count() + self.sampled.entry_count()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn traces(max_bytes: u64, keep: Duration) -> Traces {
    Cache::builder()
        .max_capacity(max_bytes)
        .weigher(|_, trace: &Arc<Trace>| trace.weight())
        .eviction_policy(EvictionPolicy::lru())
        .time_to_live(keep)
        .support_invalidation_closures()
        .build()
}

/// Puts every answer into a [`TraceStore`].
pub struct TraceObserver {
    store: TraceStore,
    bundle: Arc<str>,
    catalogue: Box<dyn Fn() -> CatalogueMoment + Send>,
}

impl TraceObserver {
    /// Takes the store that the trace route reads, the version of the bundle that answers, and what tells the moment of the
    /// catalogue.
    pub fn new(store: TraceStore, bundle: Arc<str>, catalogue: impl Fn() -> CatalogueMoment + Send + 'static) -> Self {
        Self { store, bundle, catalogue: Box::new(catalogue) }
    }

    /// What the request read, as bytes: some kilobytes, tens at most.
    fn read(&self, context: &RequestContext, answer: &Answer) -> Option<Box<[u8]>> {
        let detail = answer.detail.as_ref().filter(|_| self.store.state)?;
        let recorded = Recorded {
            session: Arc::clone(&context.session),
            profile: Arc::clone(&context.profile),
            posteriors: detail.posteriors.clone(),
        };
        postcard::to_stdvec(&recorded).ok().map(Vec::into_boxed_slice)
    }
}

impl Observer for TraceObserver {
    fn name(&self) -> &'static str {
        "trace"
    }

    /// One copy of the answer and of what it read, some kilobytes.
    fn observe(&mut self, context: &RequestContext, answer: &Answer) {
        self.store.insert(Trace {
            bundle: Arc::clone(&self.bundle),
            request: Arc::clone(&context.request),
            knobs: context.knobs,
            read: self.read(context, answer),
            answer: answer.clone(),
            catalogue: (self.catalogue)(),
            rules: context.rules.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{SessionState, TrackIx};
    use crate::pipeline::{Way, Width};
    use crate::stages::testing::{answer, context};

    fn named(id: usize, tracks: u32) -> Answer {
        Answer { recommendation_id: RecommendationId::new(format!("r-{id}")).unwrap(), ..answer(tracks) }
    }

    fn store(recent: u64, sampled: u64, every: u64, keep: Duration) -> TraceStore {
        let mut store = TraceStore::new(&TraceConfig { sample_every: every, ..TraceConfig::default() });
        (store.recent, store.sampled) = (traces(recent, keep), traces(sampled, Duration::from_secs(3_600)));
        store
    }

    fn observer(store: &TraceStore) -> TraceObserver {
        TraceObserver::new(store.clone(), "b".into(), CatalogueMoment::default)
    }

    fn fill(store: &TraceStore, answers: usize) {
        let mut observer = observer(store);
        (0..answers).for_each(|id| observer.observe(&context(0.0, 0.0), &named(id, 20)));
        store.recent.run_pending_tasks();
        store.sampled.run_pending_tasks();
    }

    fn held(store: &TraceStore, answers: usize) -> usize {
        (0..answers).filter(|id| store.get(&RecommendationId::new(format!("r-{id}")).unwrap()).is_some()).count()
    }

    #[test]
    fn keeps_the_newest_within_its_bound() {
        let store = store(64 << 10, 0, 0, Duration::from_secs(60));
        fill(&store, 500);
        assert!(store.recent.weighted_size() <= 64 << 10);
        assert!((10..500).contains(&store.len()));
        assert!(store.get(&RecommendationId::new("r-499").unwrap()).is_some());
        assert!(store.get(&RecommendationId::new("r-0").unwrap()).is_none());
    }

    #[test]
    fn what_is_past_its_time_is_held_only_where_it_was_sampled() {
        let store = store(64 << 20, 64 << 20, 10, Duration::from_nanos(1));
        fill(&store, 1_000);
        let kept = held(&store, 1_000);
        assert!((60..140).contains(&kept), "about one in ten: {kept}");
        assert_eq!(store.all().len(), kept);
        let off = TraceConfig { recent_mib: 0, sample_every: 0, ..TraceConfig::default() };
        assert!(!off.is_on() && TraceConfig::default().is_on() && !TraceStore::new(&off).is_on());
    }

    #[test]
    fn what_was_read_comes_back() {
        let store = store(1 << 20, 0, 0, Duration::from_secs(60));
        let mut context = context(0.0, 0.0);
        context.session = Arc::new(SessionState { played: vec![TrackIx(4)], ..SessionState::default() });
        let mut answer = named(1, 1);
        let get = || store.get(&answer.recommendation_id).unwrap().recorded();
        observer(&store).observe(&context, &answer);
        assert_eq!(get(), None, "nothing was recorded of it");
        let detail = Detail {
            width: Width::Full,
            removed: vec![],
            stages: vec!["mmoe"],
            ways: vec![Way::default()],
            watched: vec![],
            posteriors: Default::default(),
        };
        answer.detail = Some(Arc::new(detail));
        observer(&store).observe(&context, &answer);
        let read = store.get(&answer.recommendation_id).unwrap().recorded().unwrap();
        assert_eq!((read.session, read.profile), (context.session, context.profile));
    }

    #[test]
    fn forgets_a_listener() {
        let store = store(1 << 20, 1 << 20, 1, Duration::from_secs(60));
        observer(&store).observe(&context(0.0, 0.0), &named(1, 2));
        let id = RecommendationId::new("r-1").unwrap();
        assert!(!store.forget(&UserId::new("other").unwrap()));
        assert_eq!(store.get(&id).unwrap().answer.tracks.len(), 2);
        assert!(store.forget(&UserId::new("u").unwrap()));
        assert!(store.get(&id).is_none());
    }
}
