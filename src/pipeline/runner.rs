//! The runner: context, retrieve, filter, rank, re-rank, observe; and down the ladder when that gives nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::detail::Recorder;
use super::run::Run;
use super::{
    ContextPatch, Deadline, OnFailure, Outcome, PipelineBuilder, Rehearsal, StageError, StageKind, StageReport,
    TrackSet, Way, Width, contract,
};
use crate::domain::{
    Answer, ArmName, CandidateSet, Degradation, ExplainLevel, Knobs, RecommendationId, Request, RequestContext,
    Retrieved, Rung, ServedTrack, Source, TaskScores,
};

/// Which filters run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strictness {
    /// Every filter.
    All,
    /// Those that are not soft.
    Hard,
}

/// Buffers reused from request to request.
#[derive(Default)]
struct Scratch {
    candidates: CandidateSet,
    hits: Vec<Retrieved>,
    seen: TrackSet,
    removed: Vec<bool>,
    scores: TaskScores,
    list_scores: Vec<f32>,
    propensity: Vec<Option<f32>>,
    order: Vec<u32>,
    kept: Vec<u32>,
    marks: Vec<bool>,
    touched: Vec<(u32, Arc<str>)>,
    recorder: Recorder,
}

/// All stages of one lane and their buffers.
pub struct Pipeline {
    stages: PipelineBuilder,
    scratch: Scratch,
}

impl Pipeline {
    /// A pipeline of these stages, with buffers of its own.
    pub(super) fn new(stages: PipelineBuilder) -> Self {
        Self { stages, scratch: Scratch::default() }
    }

    /// Answers one request. Never fails and never panics: the worst answer is the last rung, or an empty list when hard
    /// filters leave nothing of it.
    pub fn execute(&mut self, request: Arc<Request>, knobs: Knobs, deadline: &Deadline, width: Width) -> Answer {
        let detailed = self.stages.detailed || request.explain == ExplainLevel::Trace;
        self.scratch.recorder.begin(detailed, Vec::new());
        let context = RequestContext::new(request, knobs);
        let (context, answer) = self.run(context, deadline, width);
        for observer in &mut self.stages.observers {
            // An observer cannot change an answer, not even by panicking.
            let _ = catch_unwind(AssertUnwindSafe(|| observer.observe(&context, &answer)));
        }
        answer
    }

    /// Answers as [`Pipeline::execute`] does, but nobody observes it, and the answer always has its detail. Gives what the
    /// answer came from, too.
    pub fn rehearse(
        &mut self,
        request: Arc<Request>,
        knobs: Knobs,
        deadline: &Deadline,
        width: Width,
        rehearsal: Rehearsal,
    ) -> (RequestContext, Answer) {
        self.scratch.recorder.begin(true, rehearsal.watch);
        let context = RequestContext { recorded: rehearsal.recorded, ..RequestContext::new(request, knobs) };
        self.run(context, deadline, width)
    }

    fn run(&mut self, mut context: RequestContext, deadline: &Deadline, width: Width) -> (RequestContext, Answer) {
        let mut run = Run::new(deadline);
        if width != Width::Full {
            run.degraded.push(Degradation { stage: "lanes", reason: "overload" });
        }
        let rung = match self.funnel(&mut context, &mut run, width) {
            Ok(rung) => rung,
            // A ranking holds nothing but the caller's own tracks, however few may be served.
            Err(_) if context.request.candidates.is_some() => self.nothing(),
            Err(from) => self.descend(&context, &mut run, from),
        };
        let answer = self.finish(&context, run, rung, width);
        (context, answer)
    }

    /// Runs the funnel up to the filters: the context and what the ranker would get. For evaluation and training rows.
    pub fn candidates(
        &mut self,
        request: Arc<Request>,
        knobs: Knobs,
        deadline: &Deadline,
    ) -> (RequestContext, &CandidateSet) {
        let mut run = Run::new(deadline);
        let mut context = RequestContext::new(request, knobs);
        self.scratch.recorder.begin(false, Vec::new());
        let filled = self.fill_context(&mut context, &mut run);
        if filled.and_then(|()| self.retrieve(&context, &mut run, Width::Full)).is_ok() {
            self.filter(&context, &mut run, Strictness::All);
        } else {
            self.scratch.candidates.clear();
        }
        (context, &self.scratch.candidates)
    }

    /// The candidates of the last execution, after filters; what the last rung left when it fell below the funnel.
    pub fn last_candidates(&self) -> &CandidateSet {
        &self.scratch.candidates
    }

    /// The task scores of [`Pipeline::last_candidates`], row by row; empty columns when nothing was ranked.
    pub fn last_scores(&self) -> &TaskScores {
        &self.scratch.scores
    }

    /// The funnel. `Err(rung)`: it gave nothing, go down from that rung.
    fn funnel(&mut self, context: &mut RequestContext, run: &mut Run<'_>, width: Width) -> Result<Rung, Rung> {
        self.fill_context(context, run)?;
        self.retrieve(context, run, width)?;
        self.scratch.recorder.pooled(&self.scratch.candidates.tracks);
        run.pool.retrieved = self.scratch.candidates.len();
        self.filter(context, run, Strictness::All);
        run.pool.after_filters = self.scratch.candidates.len();
        if self.scratch.candidates.is_empty() {
            run.degraded.push(Degradation { stage: "filter", reason: "empty" });
            return Err(Rung::UserTop);
        }
        let ranked = self.rank(context, run);
        self.rerank(context, run, ranked);
        Ok(match (ranked, width) {
            (false, _) => Rung::RetrievalOrder,
            (true, Width::Full) => Rung::Full,
            (true, Width::Half | Width::Quarter) => Rung::Reduced,
        })
    }

    fn fill_context(&mut self, context: &mut RequestContext, run: &mut Run<'_>) -> Result<(), Rung> {
        for (stage, on_failure) in &mut self.stages.contexts {
            let (name, late) = (stage.name(), !stage.is_vital() && run.deadline.passed());
            let load = |deadline: &Deadline| stage.load(context, deadline).map(|patch| (patch, 0));
            let patch = run.attempt(name, StageKind::Context, 0, late, load);
            match (patch, *on_failure) {
                (Ok(ContextPatch::Session(session)), _) => context.session = session,
                (Ok(ContextPatch::Profile(profile)), _) => context.profile = profile,
                (Ok(ContextPatch::User { vector, features }), _) => {
                    context.user_vector = Some(vector);
                    context.user_features = features;
                }
                (Ok(ContextPatch::Rules(digest)), _) => context.rules = Some(digest),
                (Ok(ContextPatch::Intent { intent, dials }), _) => (context.intent, context.dials) = (intent, dials),
                (Err(_), OnFailure::Skip) => {}
                (Err(_), OnFailure::Rung(rung)) => return Err(rung),
            }
        }
        Ok(())
    }

    fn retrieve(&mut self, context: &RequestContext, run: &mut Run<'_>, width: Width) -> Result<(), Rung> {
        let Scratch { candidates, hits, seen, touched, recorder, .. } = &mut self.scratch;
        candidates.clear();
        seen.clear();
        touched.clear();
        if let Some(own) = &context.request.candidates {
            for track in own.iter().filter(|t| seen.insert(**t)) {
                candidates.push(Retrieved { track: *track, score: 0.0 }, Source::Caller);
            }
            return Ok(());
        }
        for slot in &mut self.stages.retrievers {
            let (stage, quota) = (&mut slot.stage, width.of(slot.quota));
            let before = candidates.len();
            let done = run.stage(stage.name(), StageKind::Retrieve, before, |deadline| {
                hits.clear();
                stage.retrieve(context, quota, deadline, hits)?;
                contract::check_hits(hits, quota)?;
                for hit in hits.iter().filter(|hit| seen.insert(hit.track)) {
                    candidates.push(*hit, stage.source());
                }
                Ok(((), candidates.len()))
            });
            match (done, slot.on_failure) {
                (Ok(()), _) => {
                    recorder.proposed(stage.name(), hits);
                    if let Some(report) = run.reports.last_mut() {
                        report.notes.extend_from_slice(stage.notes());
                    }
                }
                (Err(_), OnFailure::Skip) => {}
                (Err(_), OnFailure::Rung(rung)) => return Err(rung),
            }
        }
        Ok(())
    }

    fn filter(&mut self, context: &RequestContext, run: &mut Run<'_>, strictness: Strictness) {
        let Scratch { candidates, removed, recorder, .. } = &mut self.scratch;
        for stage in self.stages.filters.iter_mut().filter(|stage| strictness == Strictness::All || !stage.is_soft()) {
            let start = Instant::now();
            let before = candidates.len();
            removed.clear();
            removed.resize(before, false);
            let marked = catch_unwind(AssertUnwindSafe(|| stage.mark(context, &candidates.tracks, removed)));
            // A hard filter that breaks must not let forbidden tracks through: nothing stays, the ladder decides.
            if marked.is_err() {
                removed.fill(true);
                run.degraded.push(Degradation { stage: stage.reason().as_str(), reason: "failed" });
            }
            recorder.removed(stage.reason(), &candidates.tracks, removed);
            candidates.remove_marked(removed);
            run.reports.push(StageReport {
                stage: stage.reason().as_str(),
                kind: StageKind::Filter,
                micros: start.elapsed().as_micros() as u64,
                candidates_in: before,
                candidates_out: candidates.len(),
                outcome: if marked.is_ok() { Outcome::Ok } else { Outcome::Failed },
                detail: None,
                notes: Vec::new(),
                rules: stage.rules().to_vec(),
            });
            recorder.ask(stage.reason(), |track| {
                let mut gone = [false];
                stage.mark(context, &[track], &mut gone);
                gone[0]
            });
        }
    }

    /// Scores the candidates; `false`: retrieval order stands.
    fn rank(&mut self, context: &RequestContext, run: &mut Run<'_>) -> bool {
        let Scratch { candidates, scores, list_scores, .. } = &mut self.scratch;
        let rows = candidates.len();
        scores.clear();
        let done = match &mut self.stages.ranker {
            None => run.stage("ranker", StageKind::Rank, rows, |_| Err(StageError::Absent("the bundle has no ranker"))),
            Some(stage) => run.stage(stage.name(), StageKind::Rank, rows, |deadline| {
                stage.rank(context, candidates, deadline, scores)?;
                if scores.is_complete(rows) {
                    Ok(((), rows))
                } else {
                    Err(StageError::Contract(format!("expected {rows} finite rows, got {}", scores.blended.len())))
                }
            }),
        };
        list_scores.clear();
        match done {
            Ok(()) => {
                list_scores.extend_from_slice(&scores.blended);
                run.pool.ranked = rows;
                true
            }
            Err(_) => {
                scores.clear();
                list_scores.extend((0..rows).map(|row| 1.0 - row as f32 / rows as f32));
                false
            }
        }
    }

    fn rerank(&mut self, context: &RequestContext, run: &mut Run<'_>, ranked: bool) {
        let Scratch { candidates, list_scores, propensity, order, kept, marks, touched, recorder, .. } =
            &mut self.scratch;
        let limit = context.request.limit;
        propensity.clear();
        propensity.resize(candidates.len(), None);
        order.clear();
        order.extend(0..candidates.len() as u32);
        candidates.sort_rows(order, list_scores);
        let ranker = self.stages.ranker.as_ref().filter(|_| ranked).map_or("retrieval_order", |stage| stage.name());
        recorder.step(ranker, order, list_scores);
        for stage in &mut self.stages.rerankers {
            kept.clone_from(order);
            let before = order.len();
            let done = run.stage(stage.name(), StageKind::Rerank, before, |_| {
                stage.rerank(context, candidates, list_scores, propensity, order, limit)?;
                let before = if stage.may_recall() { None } else { Some(&kept[..]) };
                contract::check_order(order, before, candidates.len(), marks)?;
                contract::check_scores(list_scores)?;
                Ok(((), order.len()))
            });
            if done.is_ok()
                && let Some(report) = run.reports.last_mut()
            {
                report.notes.extend_from_slice(stage.notes());
                report.rules.extend_from_slice(stage.rules());
                touched.extend_from_slice(stage.touched());
            } else if done.is_err() {
                order.clone_from(kept);
                list_scores.iter_mut().filter(|s| !s.is_finite()).for_each(|s| *s = f32::MIN);
            }
            recorder.read(stage.posteriors());
            recorder.step(stage.name(), order, list_scores);
        }
        order.truncate(limit);
    }

    /// Serves the first rung at or below `from` that leaves something after the filters; where none does, what the
    /// session has had already comes again rather than nothing.
    fn descend(&mut self, context: &RequestContext, run: &mut Run<'_>, from: Rung) -> Rung {
        self.scratch.recorder.below_the_funnel();
        let served = self.first_rung(context, run, from, Strictness::All).or_else(|| {
            run.degraded.push(Degradation { stage: "filter", reason: "relaxed" });
            self.first_rung(context, run, from, Strictness::Hard)
        });
        let Scratch { candidates, order, propensity, .. } = &mut self.scratch;
        order.clear();
        order.extend(0..candidates.len().min(context.request.limit) as u32);
        propensity.clear();
        propensity.resize(candidates.len(), None);
        served.unwrap_or(Rung::GlobalTop)
    }

    /// The first rung at or below `from` that leaves something; its tracks are the candidates.
    fn first_rung(
        &mut self,
        context: &RequestContext,
        run: &mut Run<'_>,
        from: Rung,
        strictness: Strictness,
    ) -> Option<Rung> {
        let mut ladder = std::mem::take(&mut self.stages.ladder);
        // What the session has had may stand first in every list.
        let quota = context.request.limit * 5 + context.session.served.len() + context.session.played.len();
        let mut served = None;
        for (rung, list) in ladder.from(from) {
            let Scratch { candidates, hits, seen, scores, touched, .. } = &mut self.scratch;
            candidates.clear();
            touched.clear();
            seen.clear();
            scores.clear();
            let done = run.stage(list.name(), StageKind::Fallback, 0, |deadline| {
                hits.clear();
                list.retrieve(context, quota, deadline, hits)?;
                contract::check_hits(hits, quota)?;
                for hit in hits.iter().filter(|hit| seen.insert(hit.track)) {
                    candidates.push(*hit, Source::Fallback);
                }
                Ok(((), candidates.len()))
            });
            if done.is_err() {
                continue;
            }
            run.pool.retrieved = candidates.len();
            self.filter(context, run, strictness);
            let rows = self.scratch.candidates.len();
            run.pool.after_filters = rows;
            list_scores_by_row(&mut self.scratch.list_scores, rows);
            if rows > 0 {
                served = Some(rung);
                break;
            }
        }
        self.stages.ladder = ladder;
        served
    }

    /// An empty list.
    fn nothing(&mut self) -> Rung {
        let Scratch { candidates, scores, list_scores, propensity, order, .. } = &mut self.scratch;
        candidates.clear();
        scores.clear();
        list_scores.clear();
        propensity.clear();
        order.clear();
        Rung::RetrievalOrder
    }

    fn finish(&mut self, context: &RequestContext, run: Run<'_>, rung: Rung, width: Width) -> Answer {
        let Scratch { candidates, scores, list_scores, propensity, order, touched, recorder, .. } = &mut self.scratch;
        let tasks = |row: usize| {
            (!scores.complete.is_empty()).then(|| (scores.complete[row], scores.skip[row], scores.like[row]))
        };
        let way = |row: usize| Way {
            retrieved: candidates.scores[row],
            blended: scores.blended.get(row).copied(),
            tasks: tasks(row),
            steps: Vec::new(),
        };
        let detail = recorder.finish(width, order, &candidates.tracks, way);
        let tracks = order.iter().map(|row| {
            let rules = touched.iter().filter(|(other, _)| other == row).map(|(_, rule)| Arc::clone(rule)).collect();
            let row = *row as usize;
            ServedTrack {
                track: candidates.tracks[row],
                score: list_scores[row],
                source: candidates.sources[row],
                tasks: tasks(row),
                propensity: propensity[row],
                rules,
                reasons: Vec::new(),
            }
        });
        let mut answer = Answer {
            recommendation_id: RecommendationId::generate(context.request.candidates.is_some()),
            rung,
            degraded: run.degraded,
            intent: context.intent.clone(),
            tracks: tracks.collect(),
            pool: run.pool,
            reports: run.reports,
            seed: context.request.seed,
            experiments: exposed(&context.request, rung),
            detail: detail.map(Arc::new),
        };
        if answer.tracks.len() < context.request.limit && context.request.candidates.is_none() {
            answer.degraded.push(Degradation { stage: "pool", reason: "short" });
        }
        answer
    }
}

/// The arms that could have made an answer of this rung otherwise.
fn exposed(request: &Request, rung: Rung) -> Vec<ArmName> {
    request.arms.iter().filter(|arm| arm.diverges(rung)).map(|arm| arm.of.clone()).collect()
}

fn list_scores_by_row(list_scores: &mut Vec<f32>, rows: usize) {
    list_scores.clear();
    list_scores.extend((0..rows).map(|row| 1.0 - row as f32 / rows.max(1) as f32));
}
