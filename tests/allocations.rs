//! Retrieval, ranking and re-ranking do not allocate in the steady state: counted by an allocator of this process's own.

#![expect(clippy::unwrap_used, reason = "what a test is built on must be there")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use segue::app::Wiring;
use segue::bundle::Bundle;
use segue::config::{Config, Engine};
use segue::domain::{CandidateSet, Knobs, Request, RequestContext, Retrieved, Source, TaskScores};
use segue::features::{RankedTap, StateStore};
use segue::inference::{InferenceError, OrtRanker, RankerModel, Runtime};
use segue::pipeline::{Deadline, Ranker, Reranker};
use segue::stages::rank::MmoeRanker;
use segue::stages::rerank::{Diversity, Rule, Separation, TransitionRules, Transitions, Windows};
use segue::stages::rules::{ApplyRules, RuleBook, Rules};
use segue::tables::read_events;

/// The system's allocator, counting the calls of each thread.
struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    CALLS.with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every call goes unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations that `work` makes on this thread.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = CALLS.get();
    work();
    CALLS.get() - before
}

/// The model, with what the inference library's wrapper allocates for its handles taken off the count.
struct Uncounted {
    model: OrtRanker,
}

impl RankerModel for Uncounted {
    fn score(
        &mut self,
        user: &[f32],
        items: &[f32],
        cross: &[f32],
        rows: usize,
        out: &mut Vec<f32>,
    ) -> Result<(), InferenceError> {
        let before = CALLS.get();
        let scored = self.model.score(user, items, cross, rows, out);
        CALLS.set(before);
        scored
    }
}

/// A served bundle with listeners who have a past.
struct Served {
    bundle: Arc<Bundle>,
    wiring: Wiring,
    contexts: Vec<RequestContext>,
}

fn served(engine: Engine) -> Served {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = Config::default();
    config.index.engine = engine;
    let runtime = Runtime::open(&config.inference).unwrap();
    let bundle = Arc::new(Bundle::load(&root.join("models/demo"), &config, &runtime).unwrap());
    let state = Arc::new(StateStore::new(&config.state, &config.signals));
    let mut requests = Vec::new();
    for event in read_events(&root.join("models/demo-listeners.parquet")).unwrap().take(20_000) {
        let event = event.unwrap();
        state.apply(&event, &bundle.catalogue, &bundle.vectors).unwrap();
        if requests.len() < 12 && event.reason_end.is_some() {
            requests.push(Request::before(&event, &bundle.catalogue));
        }
    }
    let wiring = Wiring::new(&config, Arc::clone(&bundle), Arc::clone(&state));
    let mut pipeline = wiring.offline(segue::app::Repeats::Allowed).unwrap().build();
    let context = |mut request: Request| {
        request.seed_tracks = bundle.popularity.top[..2].to_vec();
        pipeline.candidates(Arc::new(request), Knobs::default(), &Deadline::never()).0
    };
    let contexts: Vec<_> = requests.into_iter().map(context).collect();
    assert!(contexts.len() == 12 && contexts.iter().all(|c| c.user_vector.is_some() && !c.session.window.is_empty()));
    Served { bundle, wiring, contexts }
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(7)))), 1);
    assert_eq!(allocations(|| ()), 0);
}

#[test]
fn retrieval_allocates_nothing_in_the_steady_state() {
    for engine in [Engine::Exact, Engine::Lists, Engine::Hnsw] {
        let served = served(engine);
        let mut hits: Vec<Retrieved> = Vec::new();
        for (mut retriever, quota) in served.wiring.retrievers() {
            let mut retrieve = |context: &RequestContext| {
                hits.clear();
                retriever.retrieve(context, quota, &Deadline::never(), &mut hits).unwrap();
                hits.len()
            };
            let warm: usize = served.contexts.iter().map(&mut retrieve).sum();
            assert!(warm > 0);
            let made = allocations(|| _ = served.contexts.iter().map(&mut retrieve).sum::<usize>());
            assert_eq!(made, 0, "{} over {engine:?}", retriever.name());
        }
    }
}

#[test]
fn ranking_allocates_nothing_of_its_own_in_the_steady_state() {
    let served = served(Engine::Exact);
    ranks_without_allocating(&served, None);
    ranks_without_allocating(&served, Some(RankedTap::default()));
}

/// With or without a tap for the feature log.
fn ranks_without_allocating(served: &Served, tap: Option<RankedTap>) {
    let bundle = &served.bundle;
    let model = Uncounted { model: OrtRanker::new(bundle.ranker.as_ref().unwrap()).unwrap() };
    let catalogue = Arc::clone(&bundle.catalogue);
    let mut ranker = MmoeRanker::new(Arc::clone(served.wiring.assembler()), catalogue, Box::new(model)).tapped(tap);
    let (mut candidates, mut scores) = (CandidateSet::default(), TaskScores::default());
    bundle.popularity.top.iter().for_each(|t| candidates.push(Retrieved { track: *t, score: 0.0 }, Source::Popular));
    assert_eq!(candidates.len(), 1_000);
    let mut rank = |context: &RequestContext| {
        scores.clear();
        ranker.rank(context, &candidates, &Deadline::never(), &mut scores).unwrap();
        assert!(scores.is_complete(1_000));
    };
    // Twice: with a tap two sets of buffers take turns.
    (0..2).for_each(|_| served.contexts.iter().for_each(&mut rank));
    assert_eq!(allocations(|| served.contexts.iter().for_each(&mut rank)), 0);
}

#[test]
fn reranking_allocates_nothing_in_the_steady_state() {
    let served = served(Engine::Exact);
    let bundle = &served.bundle;
    let (catalogue, vectors) = (|| Arc::clone(&bundle.catalogue), || Arc::clone(&bundle.vectors));
    let rule = |window| Rule { most: 1, window };
    let windows = Windows { artist: rule(4), album: rule(8), recording: rule(100) };
    let rules = TransitionRules { windows, beam_width: 8, hold: 0.02, rank_order_surfaces: Vec::new() };
    let elsewhere = "name = 'x'\naction = 'boost'\nplaces = 3\nfresh_days = 30\nmarkets = ['ZZ']";
    let book = RuleBook::new(Rules::new(&[toml::from_str(elsewhere).unwrap()]), catalogue());
    let mut stages: [Box<dyn Reranker>; 5] = [
        // No rule holds for these requests.
        Box::new(ApplyRules::new(book)),
        Box::new(Diversity::dpp(catalogue(), vectors(), 0.3)),
        Box::new(Diversity::mmr(catalogue(), vectors(), 0.3)),
        Box::new(Separation::new(catalogue(), windows)),
        Box::new(Transitions::new(catalogue(), rules)),
    ];
    let mut candidates = CandidateSet::default();
    bundle.popularity.top.iter().for_each(|t| candidates.push(Retrieved { track: *t, score: 0.0 }, Source::Popular));
    let mut scores: Vec<f32> = (0..1_000).map(|row| 1.0 - row as f32 / 1_000.0).collect();
    let (mut propensity, mut order) = (vec![None; 1_000], Vec::with_capacity(1_000));
    for stage in &mut stages {
        let mut rerank = |context: &RequestContext| {
            // The second pool is shorter than the list.
            for rows in [0..1_000, 0..8] {
                order.clear();
                order.extend(rows);
                stage.rerank(context, &candidates, &mut scores, &mut propensity, &mut order, 50).unwrap();
            }
            assert!(!order.is_empty());
        };
        let contexts = served.contexts.iter().cloned().map(|mut context| {
            Arc::make_mut(&mut context.request).diversity = 0.7;
            context
        });
        let contexts: Vec<_> = contexts.collect();
        contexts.iter().for_each(&mut rerank);
        assert_eq!(allocations(|| contexts.iter().for_each(&mut rerank)), 0, "{}", stage.name());
    }
}

#[test]
fn the_wrappers_allocations_do_not_grow_with_the_candidates() {
    let served = served(Engine::Exact);
    let mut model = OrtRanker::new(served.bundle.ranker.as_ref().unwrap()).unwrap();
    let context = &served.contexts[0];
    let vector = context.user_vector.as_ref().unwrap().as_slice();
    let user: Vec<f32> = context.user_features.iter().chain(vector).copied().collect();
    let (mut items, mut cross, mut out) = (Vec::new(), Vec::new(), Vec::new());
    let mut made = |rows: usize| {
        let tracks = &served.bundle.popularity.top[..rows];
        served.wiring.assembler().candidates(context, tracks, vector, &mut items, &mut cross);
        model.score(&user, &items, &cross, rows, &mut out).unwrap();
        allocations(|| model.score(&user, &items, &cross, rows, &mut out).unwrap())
    };
    assert_eq!(made(1_000), made(10));
}
