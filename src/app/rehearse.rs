//! Requests asked again without anybody noticing: explanations and replays.

use std::sync::Arc;

use super::Serving;
use crate::domain::{Answer, Knobs, RecommendationId, Recorded, Request, RequestContext, TrackIx};
use crate::pipeline::{Deadline, Pipeline, Refused, Rehearsal, Terms, Watched, Width};
use crate::replay::{Capture, CapturedAnswer, Diff, MadeWith};
use crate::stages::observe::{CatalogueMoment, Trace};
use crate::stages::why::{Similarity, Why};

/// What is to be asked again.
#[derive(Debug, Clone)]
pub enum Asked {
    /// This request, as things are.
    Now(Arc<Request>),
    /// The request of an answer that is kept, with the weights and the state of then.
    Recorded(RecommendationId),
}

/// Why something could not be asked again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RehearsalError {
    /// Load, or shutting down.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No such answer is kept.
    #[error("no such answer is kept")]
    Unknown,
    /// The answer is kept without what it read.
    #[error("what the request read was not kept: set `trace.state = true`")]
    NoState,
}

/// Why one track is, or is not, in an answer.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The answer that was given to the rehearsal.
    pub answer: Answer,
    /// Places of the list that were asked for.
    pub limit: usize,
    /// Why.
    pub why: Why,
    /// What became of the track on its way.
    pub watched: Watched,
    /// How near it is to the listener, where no retriever proposed it and there is a user vector.
    pub similarity: Option<Similarity>,
}

/// A request with everything that it is asked with.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) request: Arc<Request>,
    pub(super) knobs: Knobs,
    pub(super) width: Width,
    pub(super) recorded: Option<Arc<Recorded>>,
}

/// What is to be otherwise in a replay; nothing: it must come out as it was.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReplayChanges {
    /// Other weights.
    pub knobs: Option<Knobs>,
    /// Another length, 1..=100.
    pub limit: Option<usize>,
    /// Another dial, 0..=1.
    pub discovery: Option<f32>,
    /// Another dial, 0..=1.
    pub diversity: Option<f32>,
    /// Another seed.
    pub seed: Option<u64>,
}

impl ReplayChanges {
    /// The question with the changes in it.
    fn apply(&self, question: &Question) -> Question {
        let mut request = Request::clone(&question.request);
        request.limit = self.limit.unwrap_or(request.limit);
        request.discovery = self.discovery.unwrap_or(request.discovery);
        request.diversity = self.diversity.unwrap_or(request.diversity);
        // What is asked for now is not for the session's intent to turn.
        request.given.discovery |= self.discovery.is_some();
        request.given.diversity |= self.diversity.is_some();
        request.seed = self.seed.unwrap_or(request.seed);
        let knobs = self.knobs.unwrap_or(question.knobs);
        Question { request: Arc::new(request), knobs, ..question.clone() }
    }
}

/// A request asked again.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// Whether the request as it was gave the answer as it was, bit for bit.
    pub reproduced: bool,
    /// What decides otherwise than then, in words.
    pub changed: Vec<String>,
    /// The answer now.
    pub answer: Answer,
    /// How its list differs from that of then or, where that did not come out again, of the request as it was now.
    pub diff: Diff,
    /// The list that it differs from.
    pub before: Vec<TrackIx>,
    /// The list now.
    pub after: Vec<TrackIx>,
}

/// Why there is no replay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It could not be asked again.
    #[error(transparent)]
    Rehearsal(#[from] RehearsalError),
    /// It was, with nothing changed, and another answer came out.
    #[error("the answer does not come out again: {}", .0.join("; "))]
    Differs(Vec<String>),
}

impl Serving {
    /// Asks the request of an answer that is kept again, with the weights and the state of then and, where there are,
    /// with changes. Nobody observes it.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub async fn replay(
        &self,
        id: &RecommendationId,
        changes: ReplayChanges,
        terms: impl Into<Terms>,
    ) -> Result<Replayed, ReplayError> {
        let trace = self.traces().get(id).ok_or(RehearsalError::Unknown)?;
        let question = recorded_question(&trace).ok_or(RehearsalError::NoState)?;
        let changed = self.changed_since(&trace);
        let permit = self.admit(terms.into()).map_err(RehearsalError::from)?;
        let replayed = self.on_lane(permit, move |pipeline| again(pipeline, &trace, &question, &changes, changed));
        replayed.await.map_err(RehearsalError::from)?
    }

    /// The requests of answers of this bundle that are kept, with what they read, at most `most`, for replays elsewhere.
    pub fn captures(&self, most: usize) -> Vec<Capture> {
        let bundle = self.bundle();
        let made_with = MadeWith::of(bundle, self.config(), CatalogueMoment::default());
        let traces = self.traces().all();
        let traces = traces.iter().filter(|trace| trace.bundle == bundle.version);
        traces.filter_map(|trace| Capture::of(trace, &bundle.version, &made_with)).take(most).collect()
    }

    /// What decides answers otherwise than when a trace was made.
    fn changed_since(&self, trace: &Trace) -> Vec<String> {
        let moment = |catalogue| MadeWith { catalogue, ..MadeWith::default() };
        let other = (trace.bundle != self.bundle().version).then(|| format!("bundle: {} answered", trace.bundle));
        let moments = moment(trace.catalogue).changes(&moment((self.wiring().catalogue_moment())()));
        other.into_iter().chain(moments).collect()
    }

    /// Says why a track is, or is not, in an answer: runs the request through the pipeline that serves, with nobody
    /// observing, and looks what becomes of the track. Where no retriever proposed it, it is compared with all tracks.
    ///
    /// # Errors
    /// [`RehearsalError`].
    pub async fn explain(
        &self,
        asked: Asked,
        track: TrackIx,
        terms: impl Into<Terms>,
    ) -> Result<Explained, RehearsalError> {
        let question = self.question(asked)?;
        let permit = self.admit(terms.into())?;
        self.fetch(&question.request).await;
        let bundle = Arc::clone(self.bundle());
        let until = permit.terms().deadline.clone();
        let explained = self.on_lane(permit, move |pipeline| {
            let Question { request, knobs, width, recorded } = question;
            let limit = request.limit;
            let rehearsal = Rehearsal { recorded, watch: vec![track] };
            let (context, answer): (RequestContext, Answer) =
                pipeline.rehearse(request, knobs, &until, width, rehearsal);
            let detail = answer.detail.as_ref()?;
            let watched = detail.watched.first()?.clone();
            let why = Why::of(&watched, detail, answer.rung, limit);
            let user = context.user_vector.as_ref().filter(|_| watched.proposed.is_empty());
            let similarity = user.and_then(|user| Similarity::of(user.as_slice(), &bundle.vectors, track, &until));
            Some(Explained { limit, why, watched, similarity, answer })
        });
        // A rehearsal always has its detail.
        explained.await?.ok_or(RehearsalError::Refused(Refused::Lost))
    }

    fn question(&self, asked: Asked) -> Result<Question, RehearsalError> {
        match asked {
            Asked::Now(request) => {
                let (request, knobs) = self.in_arms(request);
                Ok(Question { request, knobs, width: Width::Full, recorded: None })
            }
            Asked::Recorded(id) => {
                let trace = self.traces().get(&id).ok_or(RehearsalError::Unknown)?;
                recorded_question(&trace).ok_or(RehearsalError::NoState)
            }
        }
    }
}

/// The question of a trace as it was asked; `None` where what it read was not kept.
pub(super) fn recorded_question(trace: &Trace) -> Option<Question> {
    let width = trace.answer.detail.as_ref()?.width;
    let recorded = Some(Arc::new(trace.recorded()?));
    Some(Question { request: Arc::clone(&trace.request), knobs: trace.knobs, width, recorded })
}

/// Runs a question as it was and with changes. Without changes another answer than that of then is an error.
fn again(
    pipeline: &mut Pipeline,
    trace: &Trace,
    question: &Question,
    changes: &ReplayChanges,
    mut changed: Vec<String>,
) -> Result<Replayed, ReplayError> {
    let logged = CapturedAnswer::of(&trace.answer);
    let mut ask = |question: &Question, watch: &[TrackIx]| {
        let Question { request, knobs, width, recorded } = question.clone();
        let rehearsal = Rehearsal { recorded, watch: watch.to_vec() };
        pipeline.rehearse(request, knobs, &Deadline::never(), width, rehearsal)
    };
    let (context, before) = ask(question, &[]);
    if context.rules != trace.rules {
        changed.push("configuration: [rules]".into());
    }
    let reproduced = CapturedAnswer::of(&before).equals(&logged);
    if !reproduced {
        // An answer that ran out of time comes out whole when it has time.
        changed.extend(logged.degraded.iter().map(|what| format!("then, but not now: {what}")));
        if changed.is_empty() {
            changed.push("nothing that is known of".into());
        }
    }
    let list = |answer: &Answer| answer.tracks.iter().map(|served| served.track).collect::<Vec<_>>();
    if *changes == ReplayChanges::default() {
        if !reproduced {
            return Err(ReplayError::Differs(changed));
        }
        let (before, after) = (logged.list(), list(&before));
        let diff = Diff::of(&before, &after);
        return Ok(Replayed { reproduced, changed, answer: trace.answer.clone(), diff, before, after });
    }
    let changes = changes.apply(question);
    let answer = ask(&changes, &[]).1;
    let (was, is) = (list(&before), list(&answer));
    let mut diff = Diff::of(&was, &is);
    let all: Vec<TrackIx> = diff.0.iter().map(|place| place.track).collect();
    if let (Some(then), Some(now)) = (ask(question, &all).1.detail, ask(&changes, &all).1.detail) {
        diff.explain(&then, &now);
    }
    Ok(Replayed { reproduced, changed, answer, diff, before: was, after: is })
}
