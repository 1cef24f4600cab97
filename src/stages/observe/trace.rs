//! The last answers by their id, for `GET /v1/recommendations/{id}/trace`.

use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::domain::{Answer, Knobs, RecommendationId, Request, RequestContext, ServedTrack, UserId};
use crate::pipeline::{Observer, StageReport};

/// Default size of a [`TraceStore`]: about 10,000 answers of 20 tracks.
pub const DEFAULT_TRACE_BYTES: u64 = 64 << 20;

/// One answer and what it answered.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The question, with the seed and the clock that were used: enough to ask it again.
    pub request: Arc<Request>,
    /// The weights in force.
    pub knobs: Knobs,
    /// The answer, with the report of every stage.
    pub answer: Answer,
}

impl Trace {
    /// Estimated memory, bytes.
    fn weight(&self) -> u32 {
        let lists = self.answer.tracks.len() * size_of::<ServedTrack>()
            + self.answer.reports.len() * size_of::<StageReport>()
            + (self.request.exclude.len() + self.request.seed_tracks.len() + self.request.seed_artists.len()) * 4
            + self.request.candidates.as_ref().map_or(0, |own| own.len() * 4);
        u32::try_from(size_of::<Self>() + size_of::<Request>() + lists).unwrap_or(u32::MAX)
    }
}

/// The newest answers, bounded by memory; the least recently used go first. Cheap to clone and shared by all lanes.
#[derive(Debug, Clone)]
pub struct TraceStore {
    traces: Cache<RecommendationId, Arc<Trace>>,
}

impl TraceStore {
    /// A store of at most about `max_bytes`.
    pub fn new(max_bytes: u64) -> Self {
        let traces = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|_, trace: &Arc<Trace>| trace.weight())
            .eviction_policy(EvictionPolicy::lru())
            .support_invalidation_closures()
            .build();
        Self { traces }
    }

    /// Keeps a trace.
    pub fn insert(&self, trace: Trace) {
        self.traces.insert(trace.answer.recommendation_id.clone(), Arc::new(trace));
    }

    /// The trace of an answer, if it is still held.
    pub fn get(&self, id: &RecommendationId) -> Option<Arc<Trace>> {
        self.traces.get(id)
    }

    /// Drops every trace of a listener (erasure) and tells whether there was one; later ones are kept again. Goes over all
    /// traces. The predicate is held until the next maintenance of the cache.
    pub fn forget(&self, listener: &UserId) -> bool {
        let held = self.traces.iter().any(|(_, trace)| trace.request.user_id == *listener);
        let listener = listener.clone();
        // Fails only where closures are not supported; the builder supports them.
        let _ = self.traces.invalidate_entries_if(move |_, trace| trace.request.user_id == listener);
        self.traces.run_pending_tasks();
        held
    }

    /// Answers held, approximately.
    pub fn len(&self) -> u64 {
        self.traces.entry_count()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Puts every answer into a [`TraceStore`].
pub struct TraceObserver {
    store: TraceStore,
}

impl TraceObserver {
    /// Takes the store that the trace route reads.
    pub fn new(store: TraceStore) -> Self {
        Self { store }
    }
}

impl Observer for TraceObserver {
    fn name(&self) -> &'static str {
        "trace"
    }

    /// One copy of the answer, a few kilobytes.
    fn observe(&mut self, context: &RequestContext, answer: &Answer) {
        self.store.insert(Trace {
            request: Arc::clone(&context.request),
            knobs: context.knobs,
            answer: answer.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::testing::{answer, context};

    fn named(id: usize, tracks: u32) -> Answer {
        Answer { recommendation_id: RecommendationId::new(format!("r-{id}")).unwrap(), ..answer(tracks) }
    }

    #[test]
    fn keeps_the_newest_within_its_bound() {
        let store = TraceStore::new(64 << 10);
        let mut observer = TraceObserver::new(store.clone());
        for id in 0..500 {
            observer.observe(&context(0.0, 0.0), &named(id, 20));
        }
        store.traces.run_pending_tasks();
        assert!(store.traces.weighted_size() <= 64 << 10);
        assert!((10..500).contains(&store.len()));
        assert!(store.get(&RecommendationId::new("r-499").unwrap()).is_some());
        assert!(store.get(&RecommendationId::new("r-0").unwrap()).is_none());
    }

    #[test]
    fn forgets_a_listener() {
        let store = TraceStore::new(DEFAULT_TRACE_BYTES);
        TraceObserver::new(store.clone()).observe(&context(0.0, 0.0), &named(1, 2));
        let id = RecommendationId::new("r-1").unwrap();
        assert!(!store.forget(&UserId::new("other").unwrap()));
        assert_eq!(store.get(&id).unwrap().answer.tracks.len(), 2);
        assert!(store.forget(&UserId::new("u").unwrap()));
        assert!(store.get(&id).is_none());
    }
}
