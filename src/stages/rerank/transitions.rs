//! Orders the chosen tracks so that each flows from the one before.

use std::sync::Arc;

use super::beam::{Beam, Cost, MOST};
use super::flow::Flow;
use super::windows::{Groups, Rule, Windows};
use crate::domain::{CandidateSet, Catalogue, RequestContext};
use crate::pipeline::{Note, Reranker, StageError};

/// Tracks among which the next one is looked for.
const REACH: usize = 16;

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
/// Lists of one track, the caller's own and those for surfaces of rank order stay. `O(limit * beam_width * 16)`; no
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
    given: Vec<u32>,
    notes: Vec<Note>,
}

impl Transitions {
    /// Takes the catalogue of the loaded bundle.
    pub fn new(catalogue: Arc<Catalogue>, rules: TransitionRules) -> Self {
        let (flows, costs, groups, before, given, notes) = Default::default();
        Self { catalogue, rules, beam: Beam::default(), flows, costs, groups, before, given, notes }
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
        let sounding = request.current_track.or(context.session.current.map(|play| play.track));
        let sounding = sounding.filter(|track| track.at() < self.catalogue.len());
        let sounding = sounding.map(|track| Flow::of(self.catalogue.track(track)));
        let hold = self.rules.hold;
        let step = |path: &[u8], next: u8| {
            let at = usize::from(next);
            let flow = match path.last() {
                Some(last) => self.costs[usize::from(*last) * n + at],
                None => sounding.map_or(0.0, |flow| flow.cost(&self.flows[at])),
            };
            let placed = path.iter().rev().map(|at| self.groups[usize::from(*at)]);
            let newest_first = placed.chain(self.before.iter().rev().copied());
            let repeats = newest_first.clone().next().is_some_and(|last| last.artist == self.groups[at].artist);
            let broken = windows.broken(newest_first, self.groups[at]);
            let windows = broken.map_or(FORBIDDEN, |broken| u32::from(broken.artist > 0) + u32::from(broken.album > 0));
            Cost { broken: windows + u32::from(repeats), rest: flow + hold * at.abs_diff(path.len()) as f32 }
        };
        let (list, ..) = self.beam.search(n, self.rules.beam_width, REACH, &step);
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

/// What a recording in a place where it must not stand counts: more than all other rules together could.
const FORBIDDEN: u32 = 1_000;

#[cfg(test)]
#[path = "transitions_tests.rs"]
mod tests;
