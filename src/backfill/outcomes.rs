//! What became of the tracks that answers proposed, out of the events, by the code that grades plays when serving.

use std::collections::HashMap;

use super::open::Open;
use super::settling::{Likeable, Settling};
use crate::config::Config;
use crate::domain::{Catalogue, Event, EventType, ItemVectors, RecommendationId, TrackId};
use crate::features::{Applied, EndedPlay, StateStore};

/// An answer and a track of it.
pub(super) type Proposal = (String, String);

/// What became of a proposed track that began to play.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// When it began, or ended where only that was reported, Unix ms.
    pub began_ms: i64,
    /// When it ended; `None` while nobody knows.
    pub ended_ms: Option<i64>,
    /// Of each task, in schema order; `None` where nothing is known.
    pub labels: [Option<bool>; 3],
    /// How long it sounded, where known.
    pub played_ms: Option<u32>,
    /// The end was not the listener's verdict.
    pub censored: bool,
}

impl Outcome {
    fn begun(began_ms: i64) -> Self {
        Self { began_ms, ended_ms: None, labels: [None; 3], played_ms: None, censored: true }
    }

    fn ended(event: &Event, ended: &EndedPlay) -> Self {
        Self {
            began_ms: ended.began_ms.unwrap_or(event.ts_ms),
            ended_ms: Some(event.ts_ms),
            labels: ended.labels(),
            played_ms: ended.verdict.played_ms,
            censored: ended.verdict.censored,
        }
    }
}

/// An outcome that a like can still change.
#[derive(Debug)]
struct Settled {
    of: Proposal,
    outcome: Outcome,
}

impl Likeable for Settled {
    fn set_liked(&mut self, liked: bool) {
        self.outcome.labels[2] = Some(liked);
    }
}

/// Outcomes out of events in time order. Memory: live state, and the outcomes of plays since [`Outcomes::forget`].
pub(super) struct Outcomes<'a> {
    catalogue: &'a Catalogue,
    vectors: ItemVectors,
    state: StateStore,
    open: Open<Option<RecommendationId>>,
    settling: Settling<Settled>,
    known: HashMap<Proposal, Outcome>,
}

impl<'a> Outcomes<'a> {
    pub(super) fn new(config: &Config, catalogue: &'a Catalogue) -> Self {
        Self {
            catalogue,
            vectors: ItemVectors::none(),
            state: StateStore::new(&config.state, &config.signals),
            open: Open::new(),
            settling: Settling::new(),
            known: HashMap::new(),
        }
    }

    /// Takes an event in; whether it counted.
    pub(super) fn event(&mut self, event: &Event) -> bool {
        self.settle(event.ts_ms);
        let Ok(applied) = self.state.apply(event, self.catalogue, &self.vectors) else {
            self.open.drop_row(&event.session_id);
            return false;
        };
        let (Some(id), Some(track)) =
            (&event.track_id, event.track_id.as_ref().and_then(|id| self.catalogue.find(id.as_str())))
        else {
            return true;
        };
        self.settling.hear(event, track);
        self.ended(event, applied);
        if event.kind == EventType::PlayStart {
            if let Some(of) = &event.recommendation_id {
                self.known.entry(proposal(of, id)).or_insert(Outcome::begun(event.ts_ms));
            }
            self.open.begin(event, track, event.recommendation_id.clone());
        }
        true
    }

    /// Holds the outcome of the play that an event ended, or pushed aside.
    fn ended(&mut self, event: &Event, applied: Applied) {
        let Some(ended) = applied.ended.or(applied.displaced) else { return };
        let opened = self.open.end(event, &ended).flatten();
        // An end may name the answer too; the end of a play that was pushed aside is another track's beginning.
        let named = applied.ended.and_then(|_| event.recommendation_id.clone());
        let Some(of) = opened.or(named) else { return };
        let id = &self.catalogue.track(ended.play.track).track_id;
        let settled = Settled { of: proposal(&of, id), outcome: Outcome::ended(event, &ended) };
        self.settling.hold(event, ended.play.track, settled);
    }

    /// Files what nothing up to this moment can change any more.
    pub(super) fn settle(&mut self, now_ms: i64) {
        while let Some(settled) = self.settling.settled(now_ms) {
            self.file(settled);
        }
    }

    /// Files everything.
    pub(super) fn settle_all(&mut self) {
        while let Some(settled) = self.settling.next() {
            self.file(settled);
        }
    }

    /// The first end of a proposed track is what became of it.
    fn file(&mut self, settled: Settled) {
        let known = self.known.entry(settled.of).or_insert(settled.outcome);
        if known.ended_ms.is_none() {
            *known = settled.outcome;
        }
    }

    /// What became of a track, which is asked once.
    pub(super) fn take(&mut self, answer: &str, track: &str) -> Option<Outcome> {
        self.known.remove(&(answer.to_owned(), track.to_owned()))
    }

    /// Forgets plays that began before a moment; returns how many nobody had asked for.
    pub(super) fn forget(&mut self, before_ms: i64) -> u64 {
        let held = self.known.len();
        self.known.retain(|_, outcome| outcome.began_ms >= before_ms);
        (held - self.known.len()) as u64
    }
}

fn proposal(of: &RecommendationId, track: &TrackId) -> Proposal {
    (of.to_string(), track.to_string())
}
