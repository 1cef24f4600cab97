//! What is counted of a day.

use std::collections::BTreeSet;

use crate::domain::{Answer, ItemVectors, TrackIx};

/// Lists a day whose spread is measured: each listener's first, of the first so many listeners.
const MOST_LISTS: usize = 200;

/// A named figure of a day, and how it is read off the day's counts.
pub type Measure = (&'static str, fn(&Day) -> f64);

/// All of them. Of a run, each is taken over all its days together ([`Day::add`]).
pub const MEASURES: [Measure; 8] = [
    ("retention", |day| day.present as f64 / day.listeners.max(1) as f64),
    ("minutes", |day| day.played_ms as f64 / 60_000.0 / day.listeners.max(1) as f64),
    ("early_skips", |day| share(day.early_skips, day.served_plays)),
    ("completed", |day| share(day.completed, day.served_plays)),
    ("coverage", |day| day.distinct as f64 / day.tracks.max(1) as f64),
    ("list_distance", |day| day.list_distance / day.lists_measured.max(1) as f64),
    ("listener_distance", |day| day.pair_distance / day.pairs.max(1) as f64),
    ("active", |day| share(day.active, day.listeners * day.days)),
];

fn share(part: u64, of: u64) -> f64 {
    part as f64 / of.max(1) as f64
}

/// Counts of one day, or of several.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Day {
    /// Days counted.
    pub days: u64,
    /// Listeners at the beginning of the run.
    pub listeners: u64,
    /// Of them still there at the end of the day.
    pub present: u64,
    /// Of them with a session, summed over the days.
    pub active: u64,
    /// Sessions.
    pub sessions: u64,
    /// Answers.
    pub answers: u64,
    /// Answers below the full funnel.
    pub below_full: u64,
    /// Plays, served or chosen.
    pub plays: u64,
    /// Plays of served tracks.
    pub served_plays: u64,
    /// Served plays skipped within ten seconds.
    pub early_skips: u64,
    /// Served plays that were not skipped.
    pub completed: u64,
    /// Time played, served or chosen, ms.
    pub played_ms: u64,
    /// Tracks in the catalogue.
    pub tracks: u64,
    /// Different tracks served from the first day of the run to the end of this one.
    pub distinct: u64,
    /// Sum of the lists' mean distances (1 - cosine) between two of their tracks.
    pub list_distance: f64,
    /// Lists in that sum.
    pub lists_measured: u64,
    /// Sum over pairs of listeners of the share of one's list that the other's lacks.
    pub pair_distance: f64,
    /// Pairs in that sum.
    pub pairs: u64,
}

impl Day {
    /// Adds a later day of the same run: counts add up, states are the later ones.
    pub fn add(&mut self, later: &Self) {
        self.days += later.days;
        (self.listeners, self.present) = (later.listeners, later.present);
        (self.tracks, self.distinct) = (later.tracks, later.distinct);
        self.active += later.active;
        self.sessions += later.sessions;
        self.answers += later.answers;
        self.below_full += later.below_full;
        self.plays += later.plays;
        self.served_plays += later.served_plays;
        self.early_skips += later.early_skips;
        self.completed += later.completed;
        self.played_ms += later.played_ms;
        self.list_distance += later.list_distance;
        self.lists_measured += later.lists_measured;
        self.pair_distance += later.pair_distance;
        self.pairs += later.pairs;
    }
}

/// The lists of a day, each listener's first.
#[derive(Default)]
pub(super) struct Lists {
    of: BTreeSet<u32>,
    last: Vec<TrackIx>,
}

impl Lists {
    /// Takes an answer to a listener.
    pub(super) fn note(&mut self, listener: u32, answer: &Answer, vectors: &ItemVectors, day: &mut Day) {
        if answer.tracks.len() < 2 || self.of.len() >= MOST_LISTS || !self.of.insert(listener) {
            return;
        }
        let list: Vec<TrackIx> = answer.tracks.iter().map(|served| served.track).collect();
        day.list_distance += mean_distance(&list, vectors);
        day.lists_measured += 1;
        if !self.last.is_empty() {
            let missing = list.iter().filter(|track| !self.last.contains(track)).count();
            day.pair_distance += missing as f64 / list.len() as f64;
            day.pairs += 1;
        }
        self.last = list;
    }
}

/// Mean distance (1 - cosine) between two tracks of a list. Of unit vectors, the sum of all cosines is the squared length
/// of their sum: `O(n * dim)`.
fn mean_distance(list: &[TrackIx], vectors: &ItemVectors) -> f64 {
    let mut sum = vec![0.0f64; vectors.dim()];
    for track in list {
        sum.iter_mut().zip(vectors.row(track.at())).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    let n = list.len() as f64;
    let cosines = sum.iter().map(|x| x * x).sum::<f64>() - n;
    1.0 - cosines / (n * (n - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn distance_equals_that_of_all_pairs(angles in prop::collection::vec(0.0f32..6.3, 2..12)) {
            let rows: Vec<f32> = angles.iter().flat_map(|a| [a.cos(), a.sin()]).collect();
            let vectors = ItemVectors::from_raw(rows, 2).unwrap();
            let list: Vec<TrackIx> = (0..angles.len() as u32).map(TrackIx).collect();
            let (mut sum, mut pairs) = (0.0, 0.0);
            for (i, a) in angles.iter().enumerate() {
                for b in &angles[..i] {
                    sum += 1.0 - f64::from(a - b).cos();
                    pairs += 1.0;
                }
            }
            prop_assert!((mean_distance(&list, &vectors) - sum / pairs).abs() < 1e-5);
        }
    }

    #[test]
    fn days_add_up_and_end_as_the_last() {
        let day = |present, plays, distinct| Day { days: 1, present, plays, distinct, ..Day::default() };
        let mut both = day(10, 3, 5);
        both.add(&day(9, 4, 7));
        assert_eq!(both, Day { days: 2, ..day(9, 7, 7) });
    }
}
