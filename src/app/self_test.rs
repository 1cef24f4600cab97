//! What a bundle must do before it is served: answer golden requests from the whole funnel, and find by its index what an
//! exact search finds. That no vector is NaN, zero or of another length than 1 is checked where it is loaded.

use std::sync::Arc;

use super::recall_probe::found_of;
use super::rehearse::Question;
use super::serving::Loaded;
use crate::config::{Config, Engine, StateConfig};
use crate::domain::{
    Answer, EndReason, Event, EventId, EventType, Knobs, Posteriors, Recorded, Request, Rung, SessionId, UnitVector,
    UserId,
};
use crate::features::StateStore;
use crate::pipeline::{Deadline, Pipeline, Rehearsal, Width};

/// Golden listeners with a past, and how much of one.
const LISTENERS: usize = 16;
const PLAYS: usize = 12;
/// Markets that are asked for.
const MARKETS: usize = 4;
/// Tracks that a golden request asks for.
const LIMIT: usize = 20;
const MINUTE_MS: i64 = 60_000;

/// What came of a self-test.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct SelfTest {
    /// Golden requests that were asked: listeners with and without a past, of several markets.
    pub requests: usize,
    /// Share of the exact hits that the index finds for their listeners; absent where it is exact itself.
    pub recall: Option<f64>,
    /// What was wrong; empty: nothing.
    pub faults: Vec<String>,
}

/// The golden requests of a bundle. The same bundle has the same.
pub(super) struct Golden {
    questions: Vec<Question>,
    has_ranker: bool,
}

impl Golden {
    /// Makes them from the bundle's own charts.
    pub(super) fn of(loaded: &Loaded, config: &Config) -> Self {
        let bundle = loaded.wiring.bundle();
        let now_ms = bundle.manifest.as_of_ms;
        let markets = bundle.popularity.markets.iter().map(|market| Some(market.market.clone())).take(MARKETS);
        let new = std::iter::once(None).chain(markets).enumerate();
        let new = new.map(|(number, market)| (number, market, Recorded::default()));
        let known =
            (0..LISTENERS).map(|number| (number, None, past(loaded, config, number, now_ms).unwrap_or_default()));
        let all = new.chain(known).filter_map(|(number, market, past)| question(loaded, number, market, past, now_ms));
        Self { questions: all.collect(), has_ranker: bundle.ranker.is_some() }
    }

    /// Asks a pipeline all of them, with nobody noticing, so that its first request finds it warm.
    pub(super) fn warm(&self, pipeline: &mut Pipeline) {
        self.questions.iter().for_each(|question| _ = ask(pipeline, question));
    }

    /// Asks all of them and searches for their listeners' vectors; says what is wrong.
    pub(super) fn test(&self, pipeline: &mut Pipeline, loaded: &Loaded, config: &Config) -> SelfTest {
        let expected = if self.has_ranker { Rung::Full } else { Rung::RetrievalOrder };
        let (mut faults, mut vectors) = (Vec::new(), Vec::new());
        for (number, question) in self.questions.iter().enumerate() {
            let (vector, answer) = ask(pipeline, question);
            faults.extend(fault_of(&answer, expected).map(|fault| format!("golden request {number}: {fault}")));
            vectors.extend(vector);
        }
        let recall = recall(loaded, &vectors, config.retrieval.two_tower);
        let least = f64::from(config.bundles.least_recall);
        if let Some(recall) = recall.filter(|recall| *recall < least) {
            faults.push(format!("the index finds {recall:.4} of what there is, bundles.least_recall is {least}"));
        }
        SelfTest { requests: self.questions.len(), recall, faults }
    }
}

fn ask(pipeline: &mut Pipeline, question: &Question) -> (Option<UnitVector>, Answer) {
    let Question { request, knobs, width, recorded } = question.clone();
    let rehearsal = Rehearsal { recorded, watch: Vec::new() };
    let (context, answer) = pipeline.rehearse(request, knobs, &Deadline::never(), width, rehearsal);
    (context.user_vector, answer)
}

/// What is wrong with an answer.
fn fault_of(answer: &Answer, expected: Rung) -> Option<String> {
    // What filters leave is of the catalogue, not of the models.
    let degraded = answer.degraded.iter().filter(|what| ["failed", "contract", "late"].contains(&what.reason));
    let degraded: Vec<_> = degraded.map(|what| format!("{} {}", what.stage, what.reason)).collect();
    let probability = |value: f32| (0.0..=1.0).contains(&value);
    if answer.rung != expected || !degraded.is_empty() {
        let (rung, expected) = (answer.rung.as_str(), expected.as_str());
        return Some(format!("answered from rung {rung}, expected {expected}: {}", degraded.join(", ")));
    }
    if answer.tracks.is_empty() {
        return Some("an empty list".into());
    }
    let is_sound = |score: f32, tasks: Option<(f32, f32, f32)>| {
        score.is_finite() && tasks.is_none_or(|(a, b, c)| [a, b, c].into_iter().all(probability))
    };
    let wrong = answer.tracks.iter().find(|served| !is_sound(served.score, served.tasks))?;
    Some(format!("a track with score {} and probabilities {:?}", wrong.score, wrong.tasks))
}

/// Share of the hits of exact searches that the index finds.
fn recall(loaded: &Loaded, vectors: &[UnitVector], k: usize) -> Option<f64> {
    let index = &loaded.wiring.bundle().index;
    if index.engine() == Engine::Exact || k == 0 || vectors.is_empty() {
        return None;
    }
    let (mut fast, mut exact, never) = (index.searcher(), index.exact(), Deadline::never());
    let (mut found, mut wanted) = (Vec::new(), Vec::new());
    let (mut hits, mut all) = (0, 0);
    for vector in vectors {
        found.clear();
        wanted.clear();
        // A search that fails finds nothing, which counts.
        let _ = fast.search(vector, k, &never, &mut found);
        let _ = exact.search(vector, k, &never, &mut wanted);
        hits += found_of(&found, &wanted);
        all += wanted.len();
    }
    Some(if all == 0 { 0.0 } else { hits as f64 / all as f64 })
}

fn question(
    loaded: &Loaded,
    number: usize,
    market: Option<String>,
    recorded: Recorded,
    now_ms: i64,
) -> Option<Question> {
    let (user, session) = ids(number)?;
    let catalogue = &loaded.wiring.bundle().catalogue;
    let market_ix = market.as_deref().and_then(|code| catalogue.find_market(code));
    let request = Request {
        session_id: Some(session),
        limit: LIMIT,
        market,
        market_ix,
        discovery: Request::DISCOVERY,
        diversity: Request::DIVERSITY,
        seed: number as u64,
        ..Request::new(user, now_ms)
    };
    let (request, recorded) = (Arc::new(request), Some(Arc::new(recorded)));
    Some(Question { request, knobs: Knobs::default(), width: Width::Full, recorded })
}

/// The ids of a golden listener and of their session.
fn ids(number: usize) -> Option<(UserId, SessionId)> {
    let name = format!("golden-{number}");
    UserId::new(name.as_str()).ok().zip(SessionId::new(name).ok())
}

/// What a golden listener has heard: tracks of the charts, each third one skipped.
fn past(loaded: &Loaded, config: &Config, number: usize, now_ms: i64) -> Option<Recorded> {
    let bundle = loaded.wiring.bundle();
    let small = StateConfig { sessions_mib: 1, profiles_mib: 1, ..config.state.clone() };
    let (state, top) = (StateStore::new(&small, &config.signals), &bundle.popularity.top);
    let (user, session) = ids(number)?;
    let heard = (0..PLAYS.min(top.len())).map(|at| top[(number * PLAYS + at) % top.len()]);
    for (at, track) in heard.enumerate() {
        let skipped = at % 3 == 2;
        let event = Event {
            event_id: EventId::new(format!("golden-{number}-{at}")).ok()?,
            user_id: user.clone(),
            session_id: session.clone(),
            kind: if skipped { EventType::Skip } else { EventType::PlayEnd },
            ts_ms: now_ms - (PLAYS - at) as i64 * MINUTE_MS,
            track_id: Some(bundle.catalogue.track(track).track_id.clone()),
            position_ms: None,
            duration_ms: None,
            played_ms: Some(if skipped { 3_000 } else { 60_000 }),
            reason_start: None,
            reason_end: Some(if skipped { EndReason::Skip } else { EndReason::Done }),
            recommendation_id: None,
            market: None,
            device: None,
            local_hour: None,
        };
        state.apply(&event, &bundle.catalogue, &bundle.vectors).ok()?;
    }
    let (session, profile) = (state.session(&session, now_ms), state.profile(&user));
    Some(Recorded { session, profile, posteriors: Posteriors::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Degradation, ServedTrack};
    use crate::stages::testing::answer;

    #[test]
    fn an_answer_must_come_whole_from_the_funnel() {
        let full = || Answer { rung: Rung::Full, degraded: Vec::new(), ..answer(3) };
        assert_eq!(fault_of(&full(), Rung::Full), None);
        let below = Answer { rung: Rung::MarketTop, ..full() };
        let late = Answer { degraded: vec![Degradation { stage: "mmoe", reason: "failed" }], ..full() };
        let empty = Answer { tracks: Vec::new(), ..full() };
        let with = |change: fn(&mut ServedTrack)| {
            let mut answer = full();
            change(&mut answer.tracks[1]);
            answer
        };
        let nan = with(|track| track.score = f32::NAN);
        let no_probability = with(|track| track.tasks = Some((0.5, f32::NAN, 0.5)));
        for wrong in [below, late, empty, nan, no_probability] {
            assert!(fault_of(&wrong, Rung::Full).is_some(), "{wrong:?}");
        }
        let plain = Answer { rung: Rung::RetrievalOrder, ..full() };
        assert_eq!(fault_of(&plain, Rung::RetrievalOrder), None);
    }
}
