//! Counting sequential rules: which track follows which inside sessions, in one pass over the plays.

use std::collections::{HashMap, VecDeque};

use crate::domain::{Event, Rule, SequentialRules, SessionId, TrackIx, by_score};
use crate::features::affinity::DAY_MS;

/// Plays on either side that count as near.
const STEPS: usize = 10;
/// Half-life of a pair of plays, days: habits of order last longer than charts.
const HALF_LIFE_DAYS: f64 = 60.0;
/// Most successors kept a track.
const SUCCESSORS: usize = 50;
/// What is added to the sum that shares are taken of: a successor seen once after a track played once gets no share of 1.
const DOUBT: f64 = 2.0;
/// A session without a play for so long has ended, ms.
const IDLE_MS: i64 = 3_600_000;
/// Open sessions beyond which those that have ended are looked for.
const OPEN_SESSIONS: usize = 100_000;
/// Pairs gathered before they are added up.
const GATHERED: usize = 4_000_000;
/// Successors a track that stay when sums have to be thinned out.
const THINNED: usize = 4 * SUCCESSORS;

/// What is counted of an ordered pair of tracks.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pair {
    from: u32,
    to: u32,
    /// Plays of `to` right after `from`.
    next: f64,
    /// Plays of `to` after `from`, by one over the distance.
    after: f64,
    /// Plays of `to` before `from`, by one over the distance.
    before: f64,
}

/// The last plays of a session, newest first.
#[derive(Debug)]
struct Open {
    last_ms: i64,
    plays: VecDeque<TrackIx>,
}

/// Counts pairs of plays of one session, decayed by age. Memory: a few hundred bytes an open session, and 32 bytes for
/// each pair of tracks that came near each other; beyond [`GATHERED`] pairs each track keeps the [`THINNED`] heaviest.
#[derive(Debug, Default)]
pub(super) struct RuleCounter {
    /// Weights are counted as of this moment, Unix ms: that of the first play.
    epoch_ms: Option<i64>,
    open: HashMap<SessionId, Open>,
    sweep_at: usize,
    gathered: Vec<Pair>,
    summed: Vec<Pair>,
}

impl RuleCounter {
    /// Takes in a play that counts. Plays come in time order.
    pub(super) fn play(&mut self, event: &Event, track: TrackIx) {
        let epoch_ms = *self.epoch_ms.get_or_insert(event.ts_ms);
        let weight = growth(event.ts_ms.saturating_sub(epoch_ms));
        if self.open.len() > self.sweep_at.max(OPEN_SESSIONS) {
            self.open.retain(|_, open| event.ts_ms.saturating_sub(open.last_ms) < IDLE_MS);
            self.sweep_at = 2 * self.open.len();
        }
        let fresh = || Open { last_ms: event.ts_ms, plays: VecDeque::with_capacity(STEPS + 1) };
        let open = self.open.entry(event.session_id.clone()).or_insert_with(fresh);
        open.last_ms = event.ts_ms;
        for (at, earlier) in open.plays.iter().enumerate() {
            let (near, next) = (weight / (at as f64 + 1.0), if at == 0 { weight } else { 0.0 });
            let (from, to) = (earlier.0, track.0);
            self.gathered.push(Pair { from, to, next, after: near, before: 0.0 });
            self.gathered.push(Pair { from: to, to: from, next: 0.0, after: 0.0, before: near });
        }
        open.plays.push_front(track);
        open.plays.truncate(STEPS);
        if self.gathered.len() >= GATHERED {
            self.add_up();
            if self.summed.len() >= GATHERED {
                thin(&mut self.summed, THINNED);
            }
        }
    }

    /// The rules as of `now_ms`, of the tracks `0..tracks`.
    ///
    /// # Errors
    /// Plays of a track beyond them.
    pub(super) fn rules(mut self, tracks: usize, now_ms: i64) -> Result<SequentialRules, String> {
        self.add_up();
        let since_ms = now_ms.saturating_sub(self.epoch_ms.unwrap_or(now_ms));
        let left = 1.0 / growth(since_ms);
        let mut lists = vec![Vec::new(); tracks];
        for pairs in self.summed.chunk_by(|a, b| a.from == b.from) {
            let Some(list) = lists.get_mut(pairs[0].from as usize) else {
                return Err(format!("a play of track {}, of {tracks}", pairs[0].from));
            };
            *list = shares(pairs, left);
        }
        SequentialRules::new(&lists)
    }

    /// Sums what was gathered into what was summed: one pair each, sorted.
    fn add_up(&mut self) {
        self.summed.append(&mut self.gathered);
        // Stable, so that sums are made in the order of the plays.
        self.summed.sort_by_key(|pair| (pair.from, pair.to));
        self.summed.dedup_by(|next, sum| {
            let same = (next.from, next.to) == (sum.from, sum.to);
            if same {
                sum.next += next.next;
                sum.after += next.after;
                sum.before += next.before;
            }
            same
        });
    }
}

/// By how much a play counts more than one `elapsed_ms` before it.
fn growth(elapsed_ms: i64) -> f64 {
    (elapsed_ms as f64 / (DAY_MS as f64 * HALF_LIFE_DAYS)).exp2()
}

/// Keeps the `most` heaviest pairs of each track, sorted as before.
fn thin(pairs: &mut Vec<Pair>, most: usize) {
    let mut kept = Vec::with_capacity(pairs.len());
    for list in pairs.chunk_by(|a, b| a.from == b.from) {
        kept.extend(heaviest(list.to_vec(), most));
    }
    *pairs = kept;
}

fn heaviest(mut list: Vec<Pair>, most: usize) -> Vec<Pair> {
    if list.len() > most {
        let weight = |pair: &Pair| (2.0 * pair.after + pair.before) as f32;
        list.sort_by(|a, b| by_score(weight(a), weight(b)).then(a.to.cmp(&b.to)));
        list.truncate(most);
        list.sort_by_key(|pair| pair.to);
    }
    list
}

/// The rules of one track from its pairs, whose weights are still to be multiplied by `left`.
fn shares(pairs: &[Pair], left: f64) -> Vec<Rule> {
    let sum = |part: fn(&Pair) -> f64| pairs.iter().map(part).sum::<f64>() * left + DOUBT;
    let (next, after, near) = (sum(|pair| pair.next), sum(|pair| pair.after), sum(|pair| pair.after + pair.before));
    let share = |weight: f64, of: f64| (weight * left / of) as f32;
    let rule = |pair: Pair| Rule {
        successor: TrackIx(pair.to),
        next: share(pair.next, next),
        after: share(pair.after, after),
        near: share(pair.after + pair.before, near),
    };
    heaviest(pairs.to_vec(), SUCCESSORS).into_iter().map(rule).collect()
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
