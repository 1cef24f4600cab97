//! Places for tracks of which little is known.

use std::sync::{Arc, PoisonError};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::thompson::Contest;
use crate::domain::{CandidateSet, Catalogue, Posterior, Posteriors, Recorded, RequestContext, Source};
use crate::features::{Estimate, RankedTap, StateStore};
use crate::pipeline::{Note, Reranker, StageError};
use crate::stages::exposure::Exposure;

/// Which of the request seed's random streams is this stage's.
const STREAM: u64 = 2;

/// Places that were filled by exploration.
const EXPLORED: &str = "explored";
/// Places that stayed with the ranking because nothing cold was left.
const EMPTY: &str = "nothing_cold";
/// Places that were closed because new tracks had their share.
const CLOSED: &str = "closed";
/// Places that were opened because new tracks had less than theirs.
const OPENED: &str = "opened";

/// Where and when lists explore.
#[derive(Debug, Clone, PartialEq)]
pub struct ExploreRules {
    /// Places, from 1.
    pub positions: Vec<usize>,
    /// Places more, from 1, while new tracks have less than `floor`.
    pub more_positions: Vec<usize>,
    /// Share of new tracks of what was served.
    pub floor: f32,
    /// Share from which on no place explores.
    pub ceiling: f32,
    /// Surfaces that want rank order.
    pub rank_order_surfaces: Vec<String>,
}

/// Gives some places to cold tracks: of those candidates of the exploration source that the ranking left below the list and
/// of which little is known, each place takes the one with the highest draw of its posterior of completed plays. The rest
/// moves down a place. `propensity` of a track chosen so is the probability of that choice among all that were eligible
/// for the place, given what earlier places of the list took and whom the seed put first among equals; it is exact. The
/// request's seed feeds the draws.
///
/// While new tracks have less than the floor of what this server serves, more places explore; from the ceiling on none
/// does. Nothing explores where the request's `discovery` is 0 or `knobs.explore` is off. Which tracks stand where is for later re-rankers to say.
/// Scores stay. `O(candidates + cold * 256)` a place, no allocation once grown.
pub struct Explore {
    catalogue: Arc<Catalogue>,
    state: Arc<StateStore>,
    exposure: Arc<Exposure>,
    rules: ExploreRules,
    /// Of `positions` alone and of both, ascending, from 0.
    places: [Vec<usize>; 2],
    contest: Contest,
    estimates: Vec<Estimate>,
    rows: Vec<u32>,
    notes: Vec<Note>,
    /// What the last call went by.
    read: Posteriors,
    tap: Option<RankedTap>,
}

impl Explore {
    /// Takes the catalogue of the loaded bundle, the posteriors of the live state, and what was served.
    pub fn new(
        catalogue: Arc<Catalogue>,
        state: Arc<StateStore>,
        exposure: Arc<Exposure>,
        rules: ExploreRules,
    ) -> Self {
        let sorted = |positions: &mut dyn Iterator<Item = &usize>| {
            let mut places: Vec<usize> = positions.filter_map(|position| position.checked_sub(1)).collect();
            places.sort_unstable();
            places.dedup();
            places
        };
        let all = &mut rules.positions.iter().chain(&rules.more_positions);
        let places = [sorted(&mut rules.positions.iter()), sorted(all)];
        let (contest, estimates, rows, notes, read) = Default::default();
        Self { catalogue, state, exposure, rules, places, contest, estimates, rows, notes, read, tap: None }
    }

    /// Leaves who competed and who won in `tap`, for the feature log.
    pub fn tapped(mut self, tap: Option<RankedTap>) -> Self {
        self.tap = tap;
        self
    }

    /// Which of `places` explore now, and how many of them.
    fn open(&mut self, limit: usize, new_share: Option<f32>) -> (usize, usize) {
        let [base, all] = self.places.each_ref().map(|places| places.partition_point(|place| *place < limit));
        let mut note = |note, places: usize| {
            if places > 0 {
                self.notes.push(Note { note, value: places as f32 });
            }
        };
        match new_share {
            Some(share) if share >= self.rules.ceiling => {
                note(CLOSED, base);
                (0, 0)
            }
            Some(share) if share < self.rules.floor => {
                note(OPENED, all - base);
                (1, all)
            }
            Some(_) | None => (0, base),
        }
    }

    /// Finds the cold candidates below the list and begins the contest between them, in an order drawn by `rng`: of equal
    /// draws the first one counts. Of what was recorded the posteriors are those of then.
    fn gather(
        &mut self,
        candidates: &CandidateSet,
        below: &[u32],
        now_ms: i64,
        recorded: Option<&Recorded>,
        rng: &mut ChaCha8Rng,
    ) {
        self.rows.clear();
        let explored = |row: &&u32| candidates.sources[**row as usize] == Source::Exploration;
        self.rows.extend(below.iter().filter(explored));
        self.rows.shuffle(rng);
        self.estimates.clear();
        let tracks = self.rows.iter().map(|row| candidates.tracks[*row as usize]);
        self.state.completions().estimates(&self.catalogue, tracks, now_ms, &mut self.estimates);
        for (row, known) in self.rows.iter().zip(&mut self.estimates) {
            let track = candidates.tracks[*row as usize];
            if let Some(then) = recorded.and_then(|recorded| recorded.posteriors.get(track)) {
                (known.alpha, known.beta, known.is_cold) = (then.alpha, then.beta, then.is_cold);
            }
            let Estimate { alpha, beta, is_cold, .. } = *known;
            self.read.tracks.push((track, Posterior { alpha, beta, is_cold }));
        }
        self.read.tracks.sort_unstable_by_key(|(track, _)| *track);
        let mut cold = self.estimates.iter().map(|known| known.is_cold);
        self.rows.retain(|_| cold.next().unwrap_or(false));
        self.estimates.retain(|known| known.is_cold);
        self.contest.begin(self.estimates.iter().map(|known| (known.alpha, known.beta)));
    }
}

impl Reranker for Explore {
    fn name(&self) -> &'static str {
        "explore"
    }

    fn rerank(
        &mut self,
        context: &RequestContext,
        candidates: &CandidateSet,
        _list_scores: &mut [f32],
        propensity: &mut [Option<f32>],
        order: &mut Vec<u32>,
        limit: usize,
    ) -> Result<(), StageError> {
        self.notes.clear();
        self.read.tracks.clear();
        let recorded = context.recorded.as_deref();
        self.read.new_share = recorded.map_or_else(|| self.exposure.new_share(), |then| then.posteriors.new_share);
        let request = &context.request;
        let in_rank_order = |surface: &String| self.rules.rank_order_surfaces.contains(surface);
        if context.dials.discovery == 0.0
            || !context.knobs.explore
            || order.len() <= limit
            || request.candidates.is_some()
            || request.surface.as_ref().is_some_and(in_rank_order)
        {
            return Ok(());
        }
        let (which, open) = self.open(limit, self.read.new_share);
        if open == 0 {
            return Ok(());
        }
        let mut rng = ChaCha8Rng::seed_from_u64(request.seed);
        rng.set_stream(STREAM);
        self.gather(candidates, &order[limit..], request.now_ms, recorded, &mut rng);
        let mut tapped = self.tap.as_ref().map(|tap| tap.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(tap) = &mut tapped {
            tap.contest.competed.extend(self.rows.iter().map(|row| candidates.tracks[*row as usize]));
        }
        let mut explored = 0;
        for place in &self.places[which][..open] {
            let Some((at, chance)) = self.contest.choose(&mut rng) else { break };
            let row = self.rows[at];
            // It stands below the list, and below the places that were filled before.
            if let Some(from) = order[limit..].iter().position(|other| *other == row) {
                order[*place..=limit + from].rotate_right(1);
                propensity[row as usize] = Some(chance);
                explored += 1;
                if let Some(tap) = &mut tapped {
                    tap.contest.chosen.push((candidates.tracks[row as usize], chance));
                }
            }
        }
        let told = [(EXPLORED, explored), (EMPTY, open - explored)].into_iter().filter(|(_, places)| *places > 0);
        self.notes.extend(told.map(|(note, places)| Note { note, value: places as f32 }));
        Ok(())
    }

    fn notes(&self) -> &[Note] {
        &self.notes
    }

    fn posteriors(&self) -> Option<&Posteriors> {
        Some(&self.read)
    }
}

#[cfg(test)]
#[path = "explore_tests.rs"]
mod tests;
