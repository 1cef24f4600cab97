//! A list that keeps its windows where choosing the best for each place runs into a corner.

use super::windows::{Broken, Groups, NONE, Rule, Windows};

/// Rows looked at after which a search gives up: a few milliseconds, and more than all orders of six tracks need.
const MAX_STEPS: usize = 30_000;

/// Which rules a search must keep; that of the recording is always one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// All.
    All,
    /// Artists; of the candidates for a place those that break no album's window come first.
    Artists,
    /// Neither; those that break least come first.
    Recordings,
}

/// Depth-first search for an order of some rows that keeps windows, better rows first. A branch ends where the counts of
/// what is left show that it cannot be filled; rows of the same groups as one that failed are passed over. Keeps its
/// memory.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// Rows of the list so far.
    list: Vec<u32>,
    /// What was heard before it, then the groups of the list.
    placed: Vec<Groups>,
    taken: Vec<bool>,
    /// Groups that failed, of all depths.
    failed: Vec<Groups>,
    artists: Left,
    albums: Left,
    steps: usize,
}

impl Search {
    /// Rows of `groups` (best first) for `len` places that keep what `keep` says after `before` (oldest first). `None`:
    /// there is no such list, or it was not found while looking at 30,000 rows.
    pub(super) fn run(
        &mut self,
        windows: &Windows,
        before: &[Groups],
        groups: &[Groups],
        len: usize,
        keep: Keep,
    ) -> Option<&[u32]> {
        self.placed.clear();
        self.placed.extend_from_slice(before);
        self.list.clear();
        self.failed.clear();
        self.taken.clear();
        self.taken.resize(groups.len(), false);
        let rule = |kept: bool, rule: Rule| if kept { rule } else { Rule::OFF };
        self.artists.begin(rule(keep != Keep::Recordings, windows.artist), groups.iter().map(|g| g.artist));
        self.albums.begin(rule(keep == Keep::All, windows.album), groups.iter().map(|g| g.album));
        self.steps = 0;
        (self.can_fill(len) && self.fill(windows, groups, len, keep)).then_some(&self.list)
    }

    fn can_fill(&mut self, len: usize) -> bool {
        let newest_first = self.placed.iter().rev();
        self.artists.can_fill(len, newest_first.clone().map(|g| g.artist))
            && self.albums.can_fill(len, newest_first.map(|g| g.album))
    }

    /// Fills the places that are left.
    fn fill(&mut self, windows: &Windows, groups: &[Groups], len: usize, keep: Keep) -> bool {
        if self.list.len() == len {
            return true;
        }
        let failed_above = self.failed.len();
        let mut least = Broken::NOTHING;
        loop {
            // Those that break `least`, best first; then those that break the next amount there is.
            let mut next = None;
            for row in 0..groups.len() {
                if self.taken[row] || self.failed[failed_above..].contains(&groups[row]) {
                    continue;
                }
                self.steps += 1;
                let Some(broken) = windows.broken(self.placed.iter().rev().copied(), groups[row]) else { continue };
                let permitted = match keep {
                    Keep::All => broken == Broken::NOTHING,
                    Keep::Artists => broken.artist == 0,
                    Keep::Recordings => true,
                };
                if !permitted || broken < least {
                    continue;
                }
                if broken > least {
                    next = Some(next.map_or(broken, |other: Broken| other.min(broken)));
                } else if self.place(windows, groups, row, len, keep) {
                    return true;
                } else if self.steps >= MAX_STEPS {
                    return false;
                } else {
                    self.failed.push(groups[row]);
                }
            }
            let Some(more) = next else { break };
            least = more;
        }
        self.failed.truncate(failed_above);
        false
    }

    /// Tries one row in the next place.
    fn place(&mut self, windows: &Windows, groups: &[Groups], row: usize, len: usize, keep: Keep) -> bool {
        self.taken[row] = true;
        self.artists.take(row);
        self.albums.take(row);
        self.list.push(row as u32);
        self.placed.push(groups[row]);
        if self.can_fill(len - self.list.len()) && self.fill(windows, groups, len, keep) {
            return true;
        }
        self.placed.pop();
        self.list.pop();
        self.albums.give_back(row);
        self.artists.give_back(row);
        self.taken[row] = false;
        false
    }
}

/// How many rows of each group are left, under one rule.
#[derive(Debug)]
struct Left {
    rule: Rule,
    names: Vec<u32>,
    of_row: Vec<u32>,
    counts: Vec<usize>,
    recent: Vec<usize>,
}

impl Default for Left {
    fn default() -> Self {
        Self { rule: Rule::OFF, names: Vec::new(), of_row: Vec::new(), counts: Vec::new(), recent: Vec::new() }
    }
}

impl Left {
    fn begin(&mut self, rule: Rule, groups: impl Iterator<Item = u32> + Clone) {
        self.rule = rule;
        self.names.clear();
        self.names.extend(groups.clone());
        self.names.sort_unstable();
        self.names.dedup();
        self.of_row.clear();
        self.of_row.extend(groups.map(|g| self.names.partition_point(|name| *name < g) as u32));
        self.counts.clear();
        self.counts.resize(self.names.len(), 0);
        self.of_row.iter().for_each(|at| self.counts[*at as usize] += 1);
    }

    fn take(&mut self, row: usize) {
        self.counts[self.of_row[row] as usize] -= 1;
    }

    fn give_back(&mut self, row: usize) {
        self.counts[self.of_row[row] as usize] += 1;
    }

    /// Whether `len` more places could be filled as far as counts tell; `false` is certain. `recent`: the groups of the
    /// places before, newest first.
    ///
    /// The places of the last window and those to fill are cut into blocks of a window each, of which a group gets at most
    /// `most`, and one shorter block. What is of no group, or stands more than `most` times in what was heard before,
    /// counts as a group of its own: that only permits more.
    fn can_fill(&mut self, len: usize, recent: impl Iterator<Item = u32>) -> bool {
        let Rule { most, window } = self.rule;
        if most >= window {
            return true;
        }
        self.recent.clear();
        self.recent.resize(self.names.len(), 0);
        let (mut places, mut single) = (len, 0);
        for group in recent.take(window - 1) {
            places += 1;
            match self.names.binary_search(&group) {
                Ok(at) if group != NONE && self.recent[at] < most => self.recent[at] += 1,
                Ok(_) | Err(_) => single += 1,
            }
        }
        let (blocks, rest) = (places / window, places % window);
        let (mut in_blocks, mut in_rest) = (0, 0);
        let groups = self.names.iter().zip(&self.counts).zip(&self.recent);
        for ((name, count), recent) in groups {
            if *name == NONE {
                single += count;
                continue;
            }
            let full = (count + recent).min(blocks * most);
            in_blocks += full;
            in_rest += (count + recent - full).min(most);
        }
        // A single one goes wherever there is a place.
        single + in_blocks + in_rest.min(rest) >= places
    }
}
