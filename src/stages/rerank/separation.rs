//! Keeps tracks of one artist, one album and one recording apart.

use std::sync::Arc;

use super::search::{Keep, Search};
use super::windows::{Broken, Groups, Rule, Windows};
use crate::domain::{CandidateSet, Catalogue, RequestContext};
use crate::pipeline::{Note, Reranker, StageError};

/// At most `a` tracks of an artist in any `b` consecutive places, and the same of albums and recordings. What sounds now is
/// the place before the first; for recordings the list alone counts.
///
/// 1. Each place gets the best candidate left that breaks no window. That is the whole work where the pool is rich.
/// 2. Where that runs into a corner, a search looks for a list that keeps every window, better candidates first.
/// 3. Where there is none, albums give way: a list that keeps the windows of artists, with as few places fewer between
///    tracks of an album as each place permits.
/// 4. Where there is none, artists give way too: each place gets the candidate that shrinks its artist's window least,
///    then its album's, then the best.
///
/// The recording never gives way: the list is shorter where nothing else is left. Else exactly `min(limit, pool)` rows
/// stay. Notes say in how many places which window gave way.
///
/// `O(limit * rows passed over)`, in practice about `limit * window`; a search adds up to a few milliseconds where the pool
/// is poor. No allocation once grown.
#[derive(Debug)]
pub struct Separation {
    catalogue: Arc<Catalogue>,
    album: Rule,
    recording: Rule,
    artist_most: usize,
    pool: Vec<u32>,
    groups: Vec<Groups>,
    before: Vec<Groups>,
    placed: Vec<Groups>,
    taken: Vec<bool>,
    list: Vec<u32>,
    search: Search,
    notes: Vec<Note>,
}

/// Places in which a window of artists gave way.
const ARTIST: &str = "artist_relaxed";
/// The same of albums.
const ALBUM: &str = "album_relaxed";
/// Places that stay empty because only recordings are left that must not come again.
const SHORT: &str = "recording_short";

impl Separation {
    /// Takes the catalogue of the loaded bundle and the rules; the artist's window is `knobs.artist_window` of each request.
    pub fn new(catalogue: Arc<Catalogue>, rules: Windows) -> Self {
        let Windows { artist, album, recording } = rules;
        let (pool, groups, before, placed, taken, list, notes) = Default::default();
        let search = Search::default();
        Self {
            catalogue,
            album,
            recording,
            artist_most: artist.most,
            pool,
            groups,
            before,
            placed,
            taken,
            list,
            search,
            notes,
        }
    }

    /// Chooses place by place; fills `list` with positions in the pool. Whether anything was broken: the worst of it.
    fn place_by_place(&mut self, windows: &Windows, limit: usize) -> Broken {
        self.taken.clear();
        self.taken.resize(self.groups.len(), false);
        self.placed.clone_from(&self.before);
        self.list.clear();
        let (mut first_left, mut worst) = (0, Broken::NOTHING);
        while self.list.len() < limit {
            while self.taken.get(first_left) == Some(&true) {
                first_left += 1;
            }
            let Some((at, broken)) = self.next(windows, first_left) else { break };
            self.taken[at] = true;
            self.placed.push(self.groups[at]);
            self.list.push(at as u32);
            worst = worst.max(broken);
        }
        worst
    }

    /// Position in the pool of the candidate that breaks least, the best of them.
    fn next(&self, windows: &Windows, from: usize) -> Option<(usize, Broken)> {
        let mut best: Option<(usize, Broken)> = None;
        for at in (from..self.groups.len()).filter(|at| !self.taken[*at]) {
            match windows.broken(self.placed.iter().rev().copied(), self.groups[at]) {
                Some(Broken::NOTHING) => return Some((at, Broken::NOTHING)),
                Some(broken) if best.is_none_or(|(_, least)| broken < least) => best = Some((at, broken)),
                Some(_) | None => {}
            }
        }
        best
    }

    /// Looks for a list that is better than the one chosen place by place: longer, or with fewer rules broken.
    fn improve(&mut self, windows: &Windows, limit: usize, worst: Broken) {
        let found = self.list.len();
        for len in (found..=limit).rev() {
            for keep in [Keep::All, Keep::Artists, Keep::Recordings] {
                let better = len > found
                    || match keep {
                        Keep::All => worst > Broken::NOTHING,
                        Keep::Artists => worst.artist > 0,
                        Keep::Recordings => false,
                    };
                if !better {
                    continue;
                }
                if let Some(list) = self.search.run(windows, &self.before, &self.groups, len, keep) {
                    self.list.clear();
                    self.list.extend_from_slice(list);
                    return;
                }
            }
        }
    }

    /// Notes what the list breaks.
    fn note(&mut self, windows: &Windows, limit: usize) {
        let (mut artist, mut album) = (0u32, 0u32);
        self.placed.clone_from(&self.before);
        for at in &self.list {
            let groups = self.groups[*at as usize];
            let broken = windows.broken(self.placed.iter().rev().copied(), groups).unwrap_or_default();
            artist += u32::from(broken.artist > 0);
            album += u32::from(broken.album > 0);
            self.placed.push(groups);
        }
        let short = (limit - self.list.len()) as u32;
        let found = [(ARTIST, artist), (ALBUM, album), (SHORT, short)].into_iter().filter(|(_, places)| *places > 0);
        self.notes.extend(found.map(|(note, places)| Note { note, value: places as f32 }));
    }
}

impl Reranker for Separation {
    fn name(&self) -> &'static str {
        "separation"
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
        if context.request.candidates.is_some() {
            return Ok(());
        }
        let artist = Rule { most: self.artist_most, window: context.knobs.artist_window };
        let windows = Windows { artist, album: self.album, recording: self.recording };
        Groups::heard(context, &self.catalogue, &mut self.before);
        self.pool.clone_from(order);
        self.groups.clear();
        self.groups.extend(order.iter().map(|row| Groups::of(&self.catalogue, candidates.tracks[*row as usize])));
        let limit = limit.min(order.len());
        let worst = self.place_by_place(&windows, limit);
        if worst > Broken::NOTHING || self.list.len() < limit {
            self.improve(&windows, limit, worst);
            self.note(&windows, limit);
        }
        order.clear();
        order.extend(self.list.iter().map(|at| self.pool[*at as usize]));
        Ok(())
    }

    fn notes(&self) -> &[Note] {
        &self.notes
    }
}

#[cfg(test)]
#[path = "separation_tests.rs"]
mod tests;
