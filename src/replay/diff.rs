//! How one list differs from another, track by track.

use crate::domain::TrackIx;
use crate::pipeline::{Detail, Watched};

/// What became of one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new in the list.
    Entered,
    /// It is no more in the list.
    Left,
    /// It stands elsewhere.
    Moved,
    /// It stands where it stood.
    Same,
}

/// One track of either list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The track.
    pub track: TrackIx,
    /// What became of it.
    pub change: Change,
    /// Its place before, from 1.
    pub before: Option<usize>,
    /// Its place after, from 1.
    pub after: Option<usize>,
    /// The first stage in which the two runs differ for it.
    pub why: Option<&'static str>,
}

/// How a list differs from the one before: every track of either, those of the new list first, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff(pub Vec<Place>);

impl Diff {
    /// Compares two lists of distinct tracks. `O(n^2)`.
    pub fn of(before: &[TrackIx], after: &[TrackIx]) -> Self {
        let place = |list: &[TrackIx], track| list.iter().position(|other| *other == track).map(|at| at + 1);
        let left = before.iter().filter(|track| !after.contains(track));
        let places = after.iter().chain(left).map(|track| {
            let (was, is) = (place(before, *track), place(after, *track));
            let change = match (was, is) {
                (None, _) => Change::Entered,
                (_, None) => Change::Left,
                (was, is) if was == is => Change::Same,
                (Some(_), Some(_)) => Change::Moved,
            };
            Place { track: *track, change, before: was, after: is, why: None }
        });
        Self(places.collect())
    }

    /// Says why each track that changed did, from two runs in which all of them were watched.
    pub fn explain(&mut self, before: &Detail, after: &Detail) {
        let find = |detail: &'_ Detail, track| detail.watched.iter().find(|seen| seen.track == track).cloned();
        for place in self.0.iter_mut().filter(|place| place.change != Change::Same) {
            if let (Some(was), Some(is)) = (find(before, place.track), find(after, place.track)) {
                place.why = first_difference((before, &was), (after, &is));
            }
        }
    }
}

/// The first stage in which two runs differ for a track: a retriever, a filter, the ranker or a re-ranker.
pub fn first_difference(before: (&Detail, &Watched), after: (&Detail, &Watched)) -> Option<&'static str> {
    let ((before, was), (after, is)) = (before, after);
    if was.retrieved != is.retrieved {
        let found = if was.retrieved { was } else { is };
        return found.proposed.first().map(|(retriever, ..)| *retriever);
    }
    if was.removed != is.removed {
        return was.removed.or(is.removed).map(|filter| filter.as_str());
    }
    let steps = |watched: &Watched| watched.way.as_ref().map(|way| way.steps.clone()).unwrap_or_default();
    let (was, is) = (steps(was), steps(is));
    let pairs = before.stages.iter().zip(&after.stages).zip(was.iter().zip(&is));
    let differs = pairs.into_iter().find(|((a, b), (was, is))| a != b || was.place != is.place);
    differs.map(|((_, stage), _)| *stage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RemovalReason;
    use crate::pipeline::{Step, Way, Width};
    use proptest::prelude::*;

    fn rows(list: &[u32]) -> Vec<TrackIx> {
        list.iter().copied().map(TrackIx).collect()
    }

    proptest! {
        #[test]
        fn every_track_is_told_once_and_rightly(
            before in prop::collection::hash_set(0u32..12, 0..8), after in prop::collection::hash_set(0u32..12, 0..8),
        ) {
            let (before, after): (Vec<u32>, Vec<u32>) = (before.into_iter().collect(), after.into_iter().collect());
            let Diff(places) = Diff::of(&rows(&before), &rows(&after));
            let union: std::collections::BTreeSet<_> = before.iter().chain(&after).collect();
            prop_assert_eq!(places.len(), union.len());
            for place in &places {
                let at = |list: &[u32]| list.iter().position(|row| *row == place.track.0).map(|at| at + 1);
                prop_assert_eq!((place.before, place.after), (at(&before), at(&after)));
                let expected = match (place.before, place.after) {
                    (Some(_), None) => Change::Left,
                    (None, Some(_)) => Change::Entered,
                    (was, is) => if was == is { Change::Same } else { Change::Moved },
                };
                prop_assert_eq!(place.change, expected);
            }
            prop_assert!(places.iter().zip(&after).all(|(place, row)| place.track.0 == *row));
        }
    }

    #[test]
    fn the_first_stage_that_differs_is_named() {
        let detail = Detail {
            width: Width::Full,
            removed: vec![],
            stages: vec!["mmoe", "dpp"],
            ways: vec![],
            watched: vec![],
            posteriors: Default::default(),
        };
        let seen = |places: [u32; 2]| {
            let steps = places.map(|place| Step { place: Some(place), score: 0.0 }).to_vec();
            let proposed = vec![("fresh", 1, 0.5)];
            Watched { retrieved: true, proposed, way: Some(Way { steps, ..Way::default() }), ..Watched::default() }
        };
        let why = |was: &Watched, is: &Watched| first_difference((&detail, was), (&detail, is));
        let (base, gone) = (seen([1, 2]), Watched::default());
        let filtered = Watched { removed: Some(RemovalReason::Market), way: None, ..base.clone() };
        assert_eq!(why(&base, &seen([1, 3])), Some("dpp"));
        assert_eq!(why(&base, &seen([2, 2])), Some("mmoe"));
        assert_eq!(why(&base, &filtered), Some("market"));
        assert_eq!(why(&gone, &base), Some("fresh"));
        assert_eq!(why(&base, &base), None);
    }
}
