//! The runner's policies with scripted stages: every rung, every failure, every contract.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::domain::{
    Answer, CandidateSet, Knobs, RemovalReason, Request, RequestContext, Retrieved, Rung, Source, TaskScores, TrackIx,
    UserId,
};

fn request(limit: usize) -> Arc<Request> {
    Arc::new(Request { limit, seed: 1, ..Request::new(UserId::new("u").unwrap(), 0) })
}

/// A retriever that returns these rows, or misbehaves.
#[derive(Clone)]
enum Script {
    Rows(Vec<u32>),
    Fails,
    Panics,
    TooMany,
    NotFinite,
}

struct Scripted(&'static str, Script);

impl Retriever for Scripted {
    fn name(&self) -> &'static str {
        self.0
    }
    fn source(&self) -> Source {
        Source::Popular
    }
    fn retrieve(
        &mut self,
        _: &RequestContext,
        quota: usize,
        _: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), StageError> {
        let hit = |row: u32| Retrieved { track: TrackIx(row), score: 1.0 / (1.0 + row as f32) };
        match &self.1 {
            Script::Rows(rows) => out.extend(rows.iter().take(quota).map(|r| hit(*r))),
            Script::Fails => return Err(StageError::Failed("broken".into())),
            Script::Panics => panic!("library fault"),
            Script::TooMany => out.extend((0..quota as u32 + 1).map(hit)),
            Script::NotFinite => out.push(Retrieved { track: TrackIx(0), score: f32::NAN }),
        }
        Ok(())
    }
}

struct DropRows(Vec<u32>);

impl CandidateFilter for DropRows {
    fn reason(&self) -> RemovalReason {
        RemovalReason::Excluded
    }
    fn mark(&mut self, _: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]) {
        tracks.iter().zip(removed).for_each(|(t, r)| *r |= self.0.contains(&t.0));
    }
}

struct PanickingFilter;

impl CandidateFilter for PanickingFilter {
    fn reason(&self) -> RemovalReason {
        RemovalReason::Market
    }
    fn mark(&mut self, _: &RequestContext, _: &[TrackIx], _: &mut [bool]) {
        panic!("filter fault")
    }
}

/// Scores a track by its row number, or gives a wrong answer.
struct ByRow {
    nan: bool,
    short: bool,
}

impl Ranker for ByRow {
    fn name(&self) -> &'static str {
        "by_row"
    }
    fn rank(
        &mut self,
        _: &RequestContext,
        candidates: &CandidateSet,
        _: &Deadline,
        out: &mut TaskScores,
    ) -> Result<(), StageError> {
        for track in candidates.tracks.iter().skip(usize::from(self.short)) {
            out.complete.push(0.5);
            out.skip.push(0.1);
            out.like.push(0.1);
            out.blended.push(if self.nan { f32::NAN } else { track.0 as f32 });
        }
        Ok(())
    }
}

/// Replaces the order.
struct Orders(fn(&mut Vec<u32>));

impl Reranker for Orders {
    fn name(&self) -> &'static str {
        "orders"
    }
    fn rerank(
        &mut self,
        _: &RequestContext,
        _: &CandidateSet,
        _: &mut [f32],
        _: &mut [Option<f32>],
        order: &mut Vec<u32>,
        _: usize,
    ) -> Result<(), StageError> {
        (self.0)(order);
        Ok(())
    }
}

fn good(name: &'static str, rows: std::ops::Range<u32>) -> Scripted {
    Scripted(name, Script::Rows(rows.collect()))
}

fn base() -> PipelineBuilder {
    PipelineBuilder::default()
        .rung(Rung::UserTop, Scripted("user_top", Script::Fails))
        .rung(Rung::MarketTop, good("market_top", 50..60))
        .rung(Rung::GlobalTop, good("global_top", 70..80))
}

fn ranked() -> PipelineBuilder {
    base().retriever(good("a", 0..10), 10, OnFailure::Skip).ranker(ByRow { nan: false, short: false })
}

fn execute(builder: PipelineBuilder, deadline: &Deadline, width: Width) -> Answer {
    builder.build().execute(request(3), Knobs::default(), deadline, width)
}

fn rows(answer: &Answer) -> Vec<u32> {
    answer.tracks.iter().map(|t| t.track.0).collect()
}

#[test]
fn full_rung_ranks_filters_and_reports() {
    let answer = execute(
        ranked().retriever(good("b", 5..15), 10, OnFailure::Skip).filter(DropRows(vec![14])),
        &Deadline::never(),
        Width::Full,
    );
    assert_eq!((answer.rung, rows(&answer)), (Rung::Full, vec![13, 12, 11]));
    assert_eq!((answer.pool.retrieved, answer.pool.after_filters, answer.pool.ranked), (15, 14, 14));
    let stages: Vec<_> = answer.reports.iter().map(|r| (r.stage, r.candidates_out)).collect();
    assert_eq!(stages, [("a", 10), ("b", 15), ("excluded", 14), ("by_row", 14)]);
    assert!(answer.degraded.is_empty());
}

#[test]
fn load_narrows_to_the_reduced_rung() {
    let answer = execute(ranked(), &Deadline::never(), Width::Quarter);
    assert_eq!((answer.rung, answer.pool.retrieved), (Rung::Reduced, 3));
}

#[test]
fn ranker_faults_leave_retrieval_order() {
    for (nan, short) in [(true, false), (false, true)] {
        let builder = base().retriever(good("a", 0..10), 10, OnFailure::Skip).ranker(ByRow { nan, short });
        let answer = execute(builder, &Deadline::never(), Width::Full);
        assert_eq!((answer.rung, rows(&answer)), (Rung::RetrievalOrder, vec![0, 1, 2]));
        assert_eq!((answer.degraded[0].stage, answer.degraded[0].reason), ("by_row", "contract"));
        assert_eq!(answer.tracks[0].tasks, None);
    }
    let absent = execute(base().retriever(good("a", 0..10), 10, OnFailure::Skip), &Deadline::never(), Width::Full);
    assert_eq!((absent.rung, absent.degraded[0].reason), (Rung::RetrievalOrder, "absent"));
    // The deadline passes after retrieval: one check for each of retriever and ranker.
    let late = execute(ranked(), &Deadline::after_checks(1), Width::Full);
    assert_eq!((late.rung, late.degraded[0].reason), (Rung::RetrievalOrder, "late"));
}

#[test]
fn retriever_faults_are_skipped_or_descend_by_policy() {
    for script in [Script::Fails, Script::Panics, Script::TooMany, Script::NotFinite] {
        let skipped = execute(
            ranked().retriever(Scripted("bad", script.clone()), 5, OnFailure::Skip),
            &Deadline::never(),
            Width::Full,
        );
        assert_eq!((skipped.rung, rows(&skipped)), (Rung::Full, vec![9, 8, 7]));
        assert_eq!(skipped.degraded[0].stage, "bad");
        let fallen = execute(
            ranked().retriever(Scripted("bad", script), 5, OnFailure::Rung(Rung::UserTop)),
            &Deadline::never(),
            Width::Full,
        );
        assert_eq!((fallen.rung, rows(&fallen)), (Rung::MarketTop, vec![50, 51, 52]));
    }
}

#[test]
fn the_ladder_goes_down_to_what_filters_leave() {
    let late = Deadline::after_checks(0);
    let user = PipelineBuilder::default().rung(Rung::UserTop, good("user_top", 30..40));
    assert_eq!(execute(user, &late, Width::Full).rung, Rung::UserTop);
    assert_eq!(execute(base(), &late, Width::Full).rung, Rung::MarketTop);
    let answer = execute(base().filter(DropRows((50..72).collect())), &late, Width::Full);
    assert_eq!((answer.rung, rows(&answer)), (Rung::GlobalTop, vec![72, 73, 74]));
    let nothing = execute(base().filter(DropRows((0..100).collect())), &late, Width::Full);
    assert_eq!((nothing.rung, nothing.tracks.len()), (Rung::GlobalTop, 0));
}

#[test]
fn a_broken_filter_lets_nothing_through() {
    let answer = execute(ranked().filter(PanickingFilter), &Deadline::never(), Width::Full);
    assert!(answer.tracks.is_empty());
    assert!(answer.degraded.iter().any(|d| d.stage == "market" && d.reason == "failed"));
}

#[test]
fn rerankers_cannot_invent_or_copy() {
    for wrong in [(|o| o.push(99)) as fn(&mut Vec<u32>), |o| o[1] = o[0]] {
        let answer = execute(ranked().reranker(Orders(wrong)), &Deadline::never(), Width::Full);
        assert_eq!(rows(&answer), [9, 8, 7]);
        assert_eq!((answer.degraded[0].stage, answer.degraded[0].reason), ("orders", "contract"));
    }
    let reversed = execute(ranked().reranker(Orders(|o| o.reverse())), &Deadline::never(), Width::Full);
    assert_eq!(rows(&reversed), [0, 1, 2]);
}

#[test]
fn the_callers_own_list_replaces_retrieval() {
    let own = Request { candidates: Some(vec![TrackIx(4), TrackIx(2), TrackIx(4)]), ..(*request(10)).clone() };
    let answer = ranked().build().execute(Arc::new(own), Knobs::default(), &Deadline::never(), Width::Full);
    assert_eq!(rows(&answer), [4, 2]);
    assert!(answer.tracks.iter().all(|t| t.source == Source::Caller));
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

#[test]
fn lanes_answer_refuse_when_full_and_survive_panics() {
    let lanes = Lanes::start(vec![ranked().build()], 1, Duration::from_millis(25)).unwrap();
    let admit = |criticality| lanes.admit(Terms { deadline: Deadline::never(), criticality });
    let answer = block_on(lanes.run(admit(Criticality::Default).unwrap(), |p| p.last_candidates().len()));
    assert_eq!(answer, Ok(0));
    let lost = lanes.run(admit(Criticality::Default).unwrap(), |_| -> () { panic!("glue") });
    assert_eq!(block_on(lost), Err(Refused::Lost));
    // One lane and one place: two may be in flight, one of them if nobody would miss it.
    while lanes.figures().in_flight != 0 {
        std::thread::yield_now();
    }
    let sheddable = admit(Criticality::Sheddable).unwrap();
    assert!(matches!(admit(Criticality::Sheddable), Err(Refused::Overloaded { .. })));
    let default = admit(Criticality::Default).unwrap();
    for refused in [Criticality::Default, Criticality::Critical] {
        assert!(matches!(admit(refused), Err(Refused::Overloaded { .. })));
    }
    // Whoever goes away makes room.
    drop(sheddable);
    let critical = admit(Criticality::Critical).unwrap();
    let (hold, held) = crossbeam_channel::bounded::<()>(0);
    let order = block_on(async {
        let (entered, inside) = tokio::sync::oneshot::channel();
        let first = lanes.run(default, move |_| {
            entered.send(()).unwrap();
            held.recv().unwrap_err();
        });
        let rest = async {
            inside.await.unwrap();
            let second = lanes.run(critical, |_| ());
            let figures = async {
                // `second` was polled first and waits.
                let figures = lanes.figures();
                drop(hold);
                figures
            };
            tokio::join!(second, figures).1
        };
        tokio::join!(first, rest).1
    });
    assert_eq!((order.queued, order.busy, order.in_flight, order.limit), (1, 1, 2, 2.0));
}

/// Requests that wait for a lane that is held: in which order does it take them, and which are given up?
#[test]
fn a_standing_queue_turns_round_and_gives_up_the_old() {
    let lanes = Lanes::start(vec![ranked().build()], 64, Duration::from_millis(20)).unwrap();
    let admit = || lanes.admit(Deadline::never().into()).unwrap();
    // So that a job counts as 60 ms and three of them as longer than twice 20.
    let busy = |_: &mut Pipeline| {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(60) {
            std::hint::spin_loop();
        }
    };
    block_on(lanes.run(admit(), busy)).unwrap();
    let (order, taken) = crossbeam_channel::unbounded();
    let (entered, inside) = tokio::sync::oneshot::channel();
    let (hold, held) = crossbeam_channel::bounded::<()>(0);
    let waits = |name: char| {
        let order = order.clone();
        lanes.run(admit(), move |_| order.send(name).unwrap())
    };
    let answers = block_on(async {
        let first = lanes.run(admit(), move |_| {
            entered.send(()).unwrap();
            held.recv().unwrap_err();
        });
        let rest = async {
            inside.await.unwrap();
            let old = async { tokio::join!(waits('a'), waits('b')) };
            let new = async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                let (third, fourth) = (waits('c'), waits('d'));
                let release = async {
                    let newest_first = lanes.figures().newest_first;
                    drop(hold);
                    newest_first
                };
                tokio::join!(third, fourth, release)
            };
            tokio::join!(old, new)
        };
        tokio::join!(first, rest).1
    });
    let ((a, b), (c, d, newest_first)) = answers;
    assert!(newest_first);
    for given_up in [a, b] {
        assert!(matches!(given_up, Err(Refused::Overloaded { .. })));
    }
    assert_eq!((c, d), (Ok(()), Ok(())));
    assert_eq!(taken.try_iter().collect::<String>(), "dc");
    assert_eq!(lanes.figures().given_up, 2);
}
