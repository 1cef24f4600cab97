//! Orders the chosen tracks so that each flows from the one before.

use std::sync::Arc;

use super::beam::{Beam, Cost, Course, MOST};
use super::flow::Flow;
use super::windows::{Groups, Rule, Windows, sounding};
use crate::domain::{CandidateSet, Catalogue, RequestContext};
use crate::pipeline::{Note, Reranker, StageError};

/// Tracks among which the next one is looked for. Where the search leaves for the end what cannot stand there, it looks
/// again among fewer, nearer to the given order.
const REACHES: [usize; 2] = [10, 4];

/// Mean cost of a transition before and after, 0..1.
const BEFORE: &str = "cost_before";
const AFTER: &str = "cost_after";

/// How a list is brought into order.
#[derive(Debug, Clone, PartialEq)]
pub struct TransitionRules {
    /// The windows that hold after re-ranking; the artist's is `knobs.artist_window` of each request.
    pub windows: Windows,
    /// Beginnings of the list that the search keeps.
    pub beam_width: usize,
    /// What moving a track by one place costs, in transitions that break.
    pub hold: f32,
    /// Surfaces whose lists stay in rank order.
    pub rank_order_surfaces: Vec<String>,
}

/// Reorders the first `limit` tracks, at most 128, by beam search; the rest of the order goes. An order costs what its
/// transitions cost (tempo, half and double time allowed; key and mode on the circle of fifths; energy; loudness: each
/// neutral where unknown), the first from what sounds now where something does, and `hold` for every place that a track is
/// moved. Before any of that come the windows of separation and that no artist follows itself: an order breaks them in no
/// more places than the given one. The order is never dearer than the given one.
///
/// Lists of one track, the caller's own and those for surfaces of rank order stay. `O(limit * beam_width * 14)`; no
/// allocation once grown. Notes give the mean cost of a transition before and after.
#[derive(Debug)]
pub struct Transitions {
    catalogue: Arc<Catalogue>,
    rules: TransitionRules,
    beam: Beam,
    flows: Vec<Flow>,
    /// What it costs that one track follows another, `[n, n]`.
    costs: Vec<f32>,
    groups: Vec<Groups>,
    before: Vec<Groups>,
    recent: Vec<Groups>,
    given: Vec<u32>,
    list: Vec<u8>,
    notes: Vec<Note>,
}

impl Transitions {
    /// Takes the catalogue of the loaded bundle.
    pub fn new(catalogue: Arc<Catalogue>, rules: TransitionRules) -> Self {
        let (flows, costs, groups, before, recent, given, list, notes) = Default::default();
        Self { catalogue, rules, beam: Beam::default(), flows, costs, groups, before, recent, given, list, notes }
    }

    /// Reads what the tracks of `given` sound like and belong to.
    fn load(&mut self, candidates: &CandidateSet) {
        self.flows.clear();
        self.groups.clear();
        for row in &self.given {
            let track = candidates.tracks[*row as usize];
            self.flows.push(Flow::of(self.catalogue.track(track)));
            self.groups.push(Groups::of(&self.catalogue, track));
        }
        let n = self.flows.len();
        self.costs.clear();
        self.costs.resize(n * n, 0.0);
        for (to, from) in (0..n).flat_map(|to| (0..to).map(move |from| (to, from))) {
            let cost = self.flows[from].cost(&self.flows[to]);
            (self.costs[from * n + to], self.costs[to * n + from]) = (cost, cost);
        }
    }

    /// The windows without those that no order of these tracks could break.
    fn that_matter(&self, windows: Windows) -> Windows {
        let rule = |rule: Rule, group: fn(&Groups) -> u32| {
            let all = || self.before.iter().chain(&self.groups).map(group);
            let crowded = |one: u32| all().filter(|other| *other == one).count() > rule.most;
            if self.groups.iter().map(group).any(crowded) { rule } else { Rule::OFF }
        };
        Windows {
            artist: rule(windows.artist, |g| g.artist),
            album: rule(windows.album, |g| g.album),
            recording: rule(windows.recording, |g| g.recording),
        }
    }
}

/// Mean cost of the transitions of a list of `0..n`, from what sounds to the first too. `costs`: `[n, n]`.
fn mean(costs: &[f32], flows: &[Flow], list: impl Iterator<Item = usize>, sounding: Option<&Flow>) -> f32 {
    let (mut sum, mut count, mut last) = (0.0, 0u16, None);
    for at in list {
        let cost = match last {
            Some(last) => Some(costs[last * flows.len() + at]),
            None => sounding.map(|flow| flow.cost(&flows[at])),
        };
        sum += cost.unwrap_or(0.0);
        count += u16::from(cost.is_some());
        last = Some(at);
    }
    sum / f32::from(count.max(1))
}

impl Reranker for Transitions {
    fn name(&self) -> &'static str {
        "transitions"
    }

    fn rerank(
        &mut self,
        context: &RequestContext,
        candidates: &CandidateSet,
        _list_scores: &mut [f32],
        _propensity: &mut [Option<f32>],
        order: &mut Vec<u32>,
        limit: usize,
    ) -> Result<(), StageError> {
        self.notes.clear();
        let request = &context.request;
        let in_rank_order = |surface: &String| self.rules.rank_order_surfaces.contains(surface);
        let n = order.len().min(limit).min(MOST);
        if n < 2 || request.candidates.is_some() || request.surface.as_ref().is_some_and(in_rank_order) {
            return Ok(());
        }
        order.truncate(limit);
        self.given.clear();
        self.given.extend_from_slice(&order[..n]);
        self.load(candidates);
        Groups::heard(context, &self.catalogue, &mut self.before);
        let artist = Rule { window: context.knobs.artist_window, ..self.rules.windows.artist };
        let windows = self.that_matter(Windows { artist, ..self.rules.windows });
        let sounding = sounding(context, &self.catalogue).map(|track| Flow::of(self.catalogue.track(track)));
        let mut course = Listening {
            flows: &self.flows,
            costs: &self.costs,
            groups: &self.groups,
            before: &self.before,
            windows,
            sounding,
            hold: self.rules.hold,
            recent: &mut self.recent,
            last: None,
            place: 0,
        };
        self.list.clear();
        self.list.extend(0..n as u8);
        for reach in REACHES {
            if let Some(list) = self.beam.search(n, self.rules.beam_width, reach, &mut course) {
                self.list.copy_from_slice(list);
                break;
            }
        }
        let list = &self.list;
        order[..n].iter_mut().zip(list).for_each(|(place, at)| *place = self.given[usize::from(*at)]);
        let means = [
            (BEFORE, mean(&self.costs, &self.flows, 0..n, sounding.as_ref())),
            (AFTER, mean(&self.costs, &self.flows, list.iter().map(|at| usize::from(*at)), sounding.as_ref())),
        ];
        self.notes.extend(means.map(|(note, value)| Note { note, value }));
        Ok(())
    }

    fn notes(&self) -> &[Note] {
        &self.notes
    }
}

/// A list as it is heard.
struct Listening<'a> {
    flows: &'a [Flow],
    costs: &'a [f32],
    groups: &'a [Groups],
    /// What was heard before the list, oldest first.
    before: &'a [Groups],
    windows: Windows,
    sounding: Option<Flow>,
    hold: f32,
    /// What comes right before the next place, newest first.
    recent: &'a mut Vec<Groups>,
    last: Option<usize>,
    place: usize,
}

impl Course for Listening<'_> {
    fn follow(&mut self, path: &[u8]) {
        let placed = path.iter().rev().map(|at| self.groups[usize::from(*at)]);
        let newest_first = placed.chain(self.before.iter().rev().copied());
        self.recent.clear();
        self.recent.extend(newest_first.take(self.windows.reach().max(1)));
        self.last = path.last().map(|at| usize::from(*at));
        self.place = path.len();
    }

    fn cost(&self, next: u8) -> Cost {
        let at = usize::from(next);
        let flow = match (self.last, &self.sounding) {
            (Some(last), _) => self.costs[last * self.flows.len() + at],
            (None, Some(sounding)) => sounding.cost(&self.flows[at]),
            (None, None) => 0.0,
        };
        let group = self.groups[at];
        let repeats = self.recent.first().is_some_and(|last| last.artist == group.artist);
        // Whatever comes early makes others come late by as many places; charged at once, so that beginnings compare.
        let moved = 2 * at.saturating_sub(self.place);
        let broken = match self.windows.broken(self.recent.iter().copied(), group) {
            Some(broken) => u32::from(broken.artist > 0) + u32::from(broken.album > 0),
            None => FORBIDDEN,
        };
        Cost { broken: broken + u32::from(repeats), rest: flow + self.hold * moved as f32 }
    }
}

/// What a recording in a place where it must not stand counts: more than all other rules together could.
const FORBIDDEN: u32 = 1_000;

#[cfg(test)]
#[path = "transitions_tests.rs"]
mod tests;
