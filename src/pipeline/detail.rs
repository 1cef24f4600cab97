//! What is recorded of a run beside the reports of its stages: the way of single tracks through it.

use std::sync::Arc;

use super::Width;
use crate::domain::{Posteriors, Recorded, RemovalReason, Retrieved, TrackIx};

/// Tracks that are kept of what each filter removed, the first in the order of the candidates.
const REMOVED_KEPT: usize = 10;

/// What is recorded of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Detail {
    /// How wide the funnel was.
    pub width: Width,
    /// Some of what filters removed, in order of the filters: the first ten candidates of each.
    pub removed: Vec<(RemovalReason, TrackIx)>,
    /// The stages that ordered the list: the ranker (`retrieval_order` where it did not run), then re-rankers. Empty below
    /// the funnel.
    pub stages: Vec<&'static str>,
    /// The way of each served track, in order of the list.
    pub ways: Vec<Way>,
    /// What became of the tracks that were watched, in the order in which they were named.
    pub watched: Vec<Watched>,
    /// What exploration went by.
    pub posteriors: Posteriors,
}

/// How one candidate came through ranking and re-ranking.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Way {
    /// The score of the retriever that proposed it first; comparable within that source only.
    pub retrieved: f32,
    /// The blend of the ranker's heads; absent where it did not run.
    pub blended: Option<f32>,
    /// `P(play > 30 s)`, `P(early skip)`, `P(like)`; absent where the ranker did not run.
    pub tasks: Option<(f32, f32, f32)>,
    /// After each of [`Detail::stages`].
    pub steps: Vec<Step>,
}

/// Where a candidate stood after a stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Its place, from 1; `None`: the stage, or one before, left it out.
    pub place: Option<u32>,
    /// What ordered it.
    pub score: f32,
}

/// What became of one track.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Watched {
    /// The track.
    pub track: TrackIx,
    /// The retrievers that proposed it, with its place among their hits, from 1, and their score.
    pub proposed: Vec<(&'static str, u32, f32)>,
    /// Whether it was a candidate.
    pub retrieved: bool,
    /// The first filter that removed it, or would have removed it had it been a candidate.
    pub removed: Option<RemovalReason>,
    /// Its way, where it was ranked.
    pub way: Option<Way>,
    /// Its place in the answer, from 1.
    pub place: Option<u32>,
}

/// What a run is to do beside answering.
#[derive(Debug, Clone, Default)]
pub struct Rehearsal {
    /// Read this instead of the live state.
    pub recorded: Option<Arc<Recorded>>,
    /// Record what becomes of these tracks.
    pub watch: Vec<TrackIx>,
}

/// Gathers a [`Detail`]; off, it does nothing. Buffers are reused from run to run.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    on: bool,
    removed: Vec<(RemovalReason, TrackIx)>,
    stages: Vec<&'static str>,
    /// `[stages, rows]`: place from 1, 0 = left out.
    places: Vec<u32>,
    /// `[stages, rows]`.
    scores: Vec<f32>,
    rows: usize,
    watched: Vec<Watched>,
    posteriors: Posteriors,
}

impl Recorder {
    /// Begins a run.
    pub(super) fn begin(&mut self, on: bool, watch: Vec<TrackIx>) {
        self.on = on;
        self.removed.clear();
        self.below_the_funnel();
        self.posteriors = Posteriors::default();
        self.watched = watch.into_iter().map(|track| Watched { track, ..Watched::default() }).collect();
    }

    /// A retriever's hits.
    pub(super) fn proposed(&mut self, retriever: &'static str, hits: &[Retrieved]) {
        for watched in &mut self.watched {
            if let Some(at) = hits.iter().position(|hit| hit.track == watched.track) {
                watched.proposed.push((retriever, at as u32 + 1, hits[at].score));
            }
        }
    }

    /// The candidates before any filter.
    pub(super) fn pooled(&mut self, tracks: &[TrackIx]) {
        self.watched.iter_mut().for_each(|watched| watched.retrieved = tracks.contains(&watched.track));
    }

    /// What a filter is about to remove.
    pub(super) fn removed(&mut self, filter: RemovalReason, tracks: &[TrackIx], marks: &[bool]) {
        if !self.on {
            return;
        }
        let gone = || tracks.iter().zip(marks).filter(|(_, removed)| **removed).map(|(track, _)| *track);
        self.removed.extend(gone().take(REMOVED_KEPT).map(|track| (filter, track)));
        for watched in self.watched.iter_mut().filter(|watched| watched.removed.is_none()) {
            if gone().any(|track| track == watched.track) {
                watched.removed = Some(filter);
            }
        }
    }

    /// Asks a filter about the watched tracks that are no candidates.
    pub(super) fn ask(&mut self, filter: RemovalReason, mut removes: impl FnMut(TrackIx) -> bool) {
        for watched in self.watched.iter_mut().filter(|watched| !watched.retrieved && watched.removed.is_none()) {
            if removes(watched.track) {
                watched.removed = Some(filter);
            }
        }
    }

    /// The order after a stage. `O(rows)`.
    pub(super) fn step(&mut self, stage: &'static str, order: &[u32], scores: &[f32]) {
        if !self.on {
            return;
        }
        self.rows = scores.len();
        let from = self.places.len();
        self.stages.push(stage);
        self.places.resize(from + self.rows, 0);
        order.iter().zip(1..).for_each(|(row, place)| self.places[from + *row as usize] = place);
        self.scores.extend_from_slice(scores);
    }

    /// What exploration went by.
    pub(super) fn read(&mut self, posteriors: Option<&Posteriors>) {
        if let (true, Some(read)) = (self.on, posteriors) {
            self.posteriors.clone_from(read);
        }
    }

    /// The answer comes from below the funnel.
    pub(super) fn below_the_funnel(&mut self) {
        self.stages.clear();
        self.places.clear();
        self.scores.clear();
    }

    /// What was recorded. `way`: the figures of a candidate row without its steps; `served`: the rows of the list in order;
    /// `tracks`: all candidates that were ranked.
    pub(super) fn finish(
        &mut self,
        width: Width,
        served: &[u32],
        tracks: &[TrackIx],
        way: impl Fn(usize) -> Way,
    ) -> Option<Detail> {
        if !self.on {
            return None;
        }
        let steps = |row: usize| {
            let step = |at: usize| {
                let at = at * self.rows + row;
                Step { place: Some(self.places[at]).filter(|place| *place > 0), score: self.scores[at] }
            };
            (0..self.stages.len()).map(step).collect()
        };
        let whole = |row: usize| Way { steps: steps(row), ..way(row) };
        let ways = served.iter().map(|row| whole(*row as usize)).collect();
        let mut watched = std::mem::take(&mut self.watched);
        for watched in &mut watched {
            let row = tracks.iter().position(|track| *track == watched.track);
            watched.way = row.filter(|_| !self.stages.is_empty()).map(whole);
            watched.place = served.iter().position(|at| Some(*at as usize) == row).map(|at| at as u32 + 1);
        }
        Some(Detail {
            width,
            removed: self.removed.clone(),
            stages: self.stages.clone(),
            ways,
            watched,
            posteriors: std::mem::take(&mut self.posteriors),
        })
    }
}
