//! The loop: replay, stop at each sampled moment, ask every system, go on.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

use super::heads::{Heads, LabelledPlay};
use super::heard::Heard;
use super::lists::ListMeasures;
use super::moments::{Chooser, Moments, begun};
use super::pairs::pairs;
use super::report::{Dials, EvalReport};
use super::slices::Slices;
use super::tally::{LIST_LEN, METRICS, Tally, values};
use crate::backfill::{MomentSampler, stable_hash};
use crate::domain::{Answer, Catalogue, Event, Knobs, Request, SessionId, TrackIx, UserId};
use crate::pipeline::{Deadline, Pipeline, Width};

/// Figures that slices are told by: recall@1000, hr@20, ndcg@20.
const SLICED: [usize; 3] = [2, 4, 6];

/// What is evaluated, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct EvalConfig {
    /// Begin of the test period, Unix ms; everything before only builds state.
    pub test_from_ms: i64,
    /// Which plays of it are moments. Default: every one.
    pub moments: Moments,
    /// Most moments evaluated, drawn by seeded hash. Default 5,000.
    pub max_moments: usize,
    /// Candidates drawn a moment from the pool, for the AUC of `complete` against what was not played. Default 8.
    pub negatives: usize,
    /// Resamples of the bootstrap. Default 1,000.
    pub resamples: usize,
    /// Seed of all randomness.
    pub seed: u64,
    /// Weights in force.
    pub knobs: Knobs,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            test_from_ms: 0,
            moments: Moments::Every,
            max_moments: 5_000,
            negatives: 8,
            resamples: 1_000,
            seed: 1,
            knobs: Knobs::default(),
        }
    }
}

/// One pipeline under evaluation. It must read the state that `apply` writes, and must not observe what it serves: no
/// served-before filter, and no played-in-session filter where repeats are legitimate.
pub struct System<'a> {
    /// Name in the report.
    pub name: String,
    /// The pipeline; retriever `two_tower` first, so that its own recall can be told.
    pub pipeline: &'a mut Pipeline,
    /// Whether the heads of its ranker are evaluated too; at most one system should.
    pub heads: bool,
    /// Its requests' dials. 0 for the figures of the ranking: against what was really played, novelty for its own sake loses.
    pub dials: Dials,
}

/// How far an evaluation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Events replayed.
    pub events: u64,
    /// Moments evaluated.
    pub moments: u64,
    /// Moments in all.
    pub of: u64,
}

/// Replays `events` in time order and asks every system at the same sampled moments: `play_start`s of the test period, each
/// just before it is applied. The target is the track that was really played.
///
/// `lists` measures what a list is like. `events` is called twice, once to draw the moments and once to replay. `apply` applies an event to the state that the
/// pipelines read and appends the plays it ended. Tracks outside `catalogue` are no targets.
///
/// # Errors
/// The first error that `events` yields.
pub fn run<I, E>(
    config: &EvalConfig,
    catalogue: &Catalogue,
    lists: ListMeasures,
    mut events: impl FnMut() -> Result<I, E>,
    mut apply: impl FnMut(&Event, &mut Vec<LabelledPlay>),
    systems: &mut [System<'_>],
    mut progress: impl FnMut(Progress),
) -> Result<EvalReport, E>
where
    I: Iterator<Item = Result<Event, E>>,
{
    let mut chooser = Chooser::new(config.moments, config.test_from_ms, catalogue);
    let mut sampler = MomentSampler::new(config.seed, config.max_moments);
    for (ordinal, event) in events()?.enumerate() {
        let event = event?;
        if chooser.is_moment(&event) {
            sampler.offer(event.event_id.as_str(), ordinal as u64);
        }
    }
    let moments_in_test = sampler.offered();
    let moments = sampler.finish();
    let mut evaluation = Evaluation::new(config, catalogue, lists, systems, &moments);
    let mut ended = Vec::new();
    for (ordinal, event) in events()?.enumerate() {
        let event = event?;
        if moments.contains(&(ordinal as u64))
            && let Some(target) = begun(catalogue, &event)
        {
            evaluation.moment(&event, target, systems);
            progress(Progress { events: ordinal as u64, moments: evaluation.moments, of: moments.len() as u64 });
        }
        evaluation.heard.note(&event);
        ended.clear();
        apply(&event, &mut ended);
        ended.iter().for_each(|play| evaluation.heads.ended(&event.session_id, play));
    }
    Ok(evaluation.report(moments_in_test))
}

struct Evaluation<'a> {
    config: &'a EvalConfig,
    catalogue: &'a Catalogue,
    lists: ListMeasures,
    heard: Heard<'a>,
    slices: Slices<{ SLICED.len() }>,
    users: HashMap<UserId, u32>,
    tallies: Vec<Tally>,
    heads: Heads,
    moments: u64,
}

impl<'a> Evaluation<'a> {
    fn new(
        config: &'a EvalConfig,
        catalogue: &'a Catalogue,
        lists: ListMeasures,
        systems: &[System<'_>],
        moments: &HashSet<u64>,
    ) -> Self {
        let tallies = systems.iter().map(|system| Tally::new(&system.name, system.dials, catalogue.len()));
        let tallies = tallies.collect();
        let users = HashMap::with_capacity(moments.len());
        let (heard, slices) = (Heard::new(catalogue, config.test_from_ms), Slices::new(SLICED.map(|at| METRICS[at])));
        Self { config, catalogue, lists, heard, slices, users, tallies, heads: Heads::default(), moments: 0 }
    }

    /// Asks every system what it would serve now.
    fn moment(&mut self, event: &Event, target: TrackIx, systems: &mut [System<'_>]) {
        self.moments += 1;
        let next = self.users.len() as u32;
        let user = *self.users.entry(event.user_id.clone()).or_insert(next);
        for (at, system) in systems.iter_mut().enumerate() {
            let Dials { diversity, discovery } = system.dials;
            let request = Arc::new(Request { diversity, discovery, ..self.request(event) });
            let answer = self.ask(Arc::clone(&request), system.pipeline);
            let facts = self.lists.facts(self.catalogue, &self.heard, &event.user_id, &answer);
            let candidates = system.pipeline.last_candidates();
            let values = values(target, &answer, facts, candidates);
            self.tallies[at].add(user, &answer, values, candidates);
            if at == 0 {
                self.slices.add(user, &self.heard.slices(event, target), SLICED.map(|at| values[at]));
            }
            if system.heads && !system.pipeline.last_scores().complete.is_empty() {
                self.score(user, target, &event.session_id, &request, system.pipeline);
            }
        }
    }

    fn ask(&self, request: Arc<Request>, pipeline: &mut Pipeline) -> Answer {
        pipeline.execute(request, self.config.knobs, &Deadline::never(), Width::Full)
    }

    /// Has the target and drawn candidates of the last answer scored as a caller's own list.
    fn score(&mut self, user: u32, target: TrackIx, session: &SessionId, request: &Request, pipeline: &mut Pipeline) {
        let rows = self.rows(request, target, &pipeline.last_candidates().tracks);
        self.ask(Arc::new(Request { candidates: Some(rows), ..request.clone() }), pipeline);
        self.heads.scored(user, session, target, &pipeline.last_candidates().tracks, pipeline.last_scores());
    }

    /// The request that a client would have sent, just before the listener chose.
    fn request(&self, event: &Event) -> Request {
        Request {
            limit: LIST_LEN,
            seed: stable_hash(self.config.seed, event.event_id.as_str()),
            ..Request::before(event, self.catalogue)
        }
    }

    /// The target and candidates drawn evenly from the pool, without the target.
    fn rows(&self, request: &Request, target: TrackIx, pool: &[TrackIx]) -> Vec<TrackIx> {
        let mut rng = ChaCha8Rng::seed_from_u64(request.seed);
        let drawn = sample(&mut rng, pool.len(), self.config.negatives.min(pool.len()));
        [target].into_iter().chain(drawn.iter().map(|at| pool[at]).filter(|track| *track != target)).collect()
    }

    fn report(self, moments_in_test: u64) -> EvalReport {
        let (resamples, seed) = (self.config.resamples, self.config.seed);
        let systems: Vec<_> = self.tallies.into_iter().map(|tally| tally.report(resamples, seed)).collect();
        EvalReport {
            pairs: pairs(&systems, resamples, seed),
            slices: self.slices.reports(resamples, seed),
            moments_in_test,
            moments: self.moments,
            users: self.users.len(),
            test_from_ms: self.config.test_from_ms,
            seed,
            systems,
            heads: self.heads.reports(self.users.len(), resamples, seed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Popularity;
    use crate::domain::{
        CandidateSet, EventId, EventType, ItemVectors, RequestContext, Retrieved, Source, TaskScores, TrackId,
    };
    use crate::pipeline::{OnFailure, PipelineBuilder, Ranker, Retriever, StageError};
    use crate::stages::rerank::Likeness;
    use crate::stages::testing::track;
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU32, Ordering};

    const TRACKS: u32 = 10;

    /// Proposes the track after the one applied last, then the others.
    struct Successor(Arc<AtomicU32>);

    impl Retriever for Successor {
        fn name(&self) -> &'static str {
            "successor"
        }
        fn source(&self) -> Source {
            Source::TwoTower
        }
        fn retrieve(
            &mut self,
            _: &RequestContext,
            quota: usize,
            _: &Deadline,
            out: &mut Vec<Retrieved>,
        ) -> Result<(), StageError> {
            let first = self.0.load(Ordering::Relaxed) + 1;
            let tracks = (0..TRACKS).map(|step| TrackIx((first + step) % TRACKS)).take(quota);
            out.extend(tracks.map(|track| Retrieved { track, score: 0.5 }));
            Ok(())
        }
    }

    /// Says that even tracks are played to the end; keeps the order of retrieval.
    struct Even;

    impl Ranker for Even {
        fn name(&self) -> &'static str {
            "even"
        }
        fn rank(
            &mut self,
            _: &RequestContext,
            candidates: &CandidateSet,
            _: &Deadline,
            out: &mut TaskScores,
        ) -> Result<(), StageError> {
            for (row, track) in candidates.tracks.iter().enumerate() {
                out.complete.push(if track.0 % 2 == 0 { 0.9 } else { 0.1 });
                out.skip.push(0.5);
                out.like.push(0.5);
                out.blended.push(-(row as f32));
            }
            Ok(())
        }
    }

    /// Three listeners play `t0`, `t1`, ... in turn; every play ends before the next begins.
    fn events() -> Vec<Event> {
        let event = |at: u32| Event {
            event_id: EventId::new(format!("e{at}")).unwrap(),
            user_id: UserId::new(format!("u{}", at / 2 % 3)).unwrap(),
            session_id: SessionId::new(format!("s{}", at / 2 % 3)).unwrap(),
            kind: if at.is_multiple_of(2) { EventType::PlayStart } else { EventType::PlayEnd },
            ts_ms: i64::from(at),
            track_id: Some(TrackId::new(format!("t{}", at / 2 % TRACKS)).unwrap()),
            position_ms: None,
            duration_ms: None,
            played_ms: None,
            reason_start: None,
            reason_end: None,
            recommendation_id: None,
            market: None,
            device: None,
            local_hour: None,
        };
        (0..200).map(event).collect()
    }

    fn evaluate(config: &EvalConfig) -> EvalReport {
        let catalogue = Arc::new(Catalogue::new((0..TRACKS as usize).map(|row| track(row, "a")).collect()).unwrap());
        let last = Arc::new(AtomicU32::new(TRACKS - 1));
        let retriever = || Successor(Arc::clone(&last));
        let mut full = PipelineBuilder::default().retriever(retriever(), 1_000, OnFailure::Skip).ranker(Even).build();
        let mut bare = PipelineBuilder::default().retriever(retriever(), 3, OnFailure::Skip).build();
        let mut systems = [
            System { name: "full".into(), pipeline: &mut full, heads: true, dials: Dials::default() },
            System { name: "bare".into(), pipeline: &mut bare, heads: false, dials: Dials::default() },
        ];
        let apply = |event: &Event, ended: &mut Vec<LabelledPlay>| {
            let track = catalogue.find(event.track_id.as_ref().unwrap().as_str()).unwrap();
            last.store(track.0, Ordering::Relaxed);
            if event.kind == EventType::PlayEnd {
                ended.push(LabelledPlay { track, labels: [Some(track.0.is_multiple_of(2)), None, Some(false)] });
            }
        };
        let events = || Ok::<_, Infallible>(events().into_iter().map(Ok));
        let vectors = Arc::new(ItemVectors::none());
        let likeness = Likeness::new(Arc::clone(&catalogue), vectors, 0.0);
        let lists = ListMeasures::new(likeness, &Popularity::new(&catalogue, &[1.0; TRACKS as usize], Vec::new()));
        run(config, &catalogue, lists, events, apply, &mut systems, |_| {}).unwrap()
    }

    #[test]
    fn asks_at_each_moment_before_it_is_applied() {
        let config = EvalConfig { test_from_ms: 100, resamples: 50, ..EvalConfig::default() };
        let report = evaluate(&config);
        assert_eq!((report.moments, report.moments_in_test, report.users), (50, 50, 3));
        for system in &report.systems {
            let value = |name| system.metric(name).unwrap().value;
            let hits = ["recall@20", "recall@1000", "recall_two_tower@100", "hr@20", "mrr@20", "ndcg@20"].map(value);
            assert_eq!(hits, [1.0; 6], "{}: the track to come stands first", system.name);
            assert_eq!((value("distance@20"), value("coverage@20")), (1.0, 1.0), "nothing is known to be alike");
            assert!((value("novelty@20") - 10f64.log2()).abs() < 1e-6, "all are played alike");
        }
        assert_eq!(report.systems[0].rungs.get("full"), Some(&50));
        assert_eq!(report.systems[1].rungs.get("retrieval_order"), Some(&50));
        let n = |dimension| report.slices.iter().filter(|s| s.dimension == dimension).map(|s| s.n).sum::<usize>();
        assert_eq!(["track_plays", "listener_plays", "hour", "device"].map(n), [50; 4]);
        assert_eq!(report.pairs[1].metric, "hr@20");
        assert_eq!((report.pairs[1].difference.value, report.pairs[1].p), (0.0, 1.0));
    }

    #[test]
    fn heads_are_scored_against_what_happened() {
        let config = EvalConfig { resamples: 50, negatives: 4, ..EvalConfig::default() };
        let heads = evaluate(&config).heads;
        assert_eq!((heads[0].auc.unwrap().value, heads[0].positives, heads[0].negatives), (1.0, 50, 50));
        assert_eq!((heads[1].positives + heads[1].negatives, heads[1].note), (0, Some("one class only")));
        assert_eq!((heads[2].negatives, heads[2].note), (100, Some("one class only")));
        let sampled = &heads[3];
        assert!(sampled.against == "sampled" && sampled.negatives > 300 && sampled.auc.unwrap().value < 1.0);
    }

    #[test]
    fn samples_moments_and_repeats_itself() {
        let config = EvalConfig { max_moments: 7, resamples: 20, ..EvalConfig::default() };
        let report = evaluate(&config);
        assert_eq!((report.moments, report.moments_in_test), (7, 100));
        assert_eq!(evaluate(&config), report);
        let nothing = evaluate(&EvalConfig { test_from_ms: i64::MAX, ..config });
        assert!(nothing.moments == 0 && nothing.heads.is_empty() && nothing.systems[0].metrics.is_empty());
    }
}
