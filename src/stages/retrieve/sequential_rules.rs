use std::sync::Arc;

use crate::domain::{RequestContext, Retrieved, SequentialRules, Source, TrackIx, by_score};
use crate::features::Antecedents;
use crate::pipeline::{Deadline, Retriever, StageError};

/// What comes next after what was just played: the rules of the last tracks, added up with weights that fade into the past.
/// Order counts half, neighbourhood half. A listener who plays nothing, and tracks without rules, get no candidates, which
/// is no failure. What was played in the session is proposed like anything else: listeners repeat, and a filter says
/// whether they may. `O(rules log rules)` for at most [`crate::features::ANTECEDENTS`] lists, whatever the catalogue's
/// size; the rules are shared by clones.
#[derive(Debug)]
pub struct Successors {
    rules: Arc<SequentialRules>,
    found: Vec<Found>,
}

/// A successor with its score, and by which antecedent it was found.
#[derive(Debug, Clone, Copy)]
struct Found {
    track: TrackIx,
    by: usize,
    score: f32,
}

impl Successors {
    /// Reads the rules of a bundle.
    pub fn new(rules: Arc<SequentialRules>) -> Self {
        Self { rules, found: Vec::new() }
    }
}

impl Retriever for Successors {
    fn name(&self) -> &'static str {
        "sequential_rules"
    }

    fn source(&self) -> Source {
        Source::SequentialRules
    }

    fn retrieve(
        &mut self,
        context: &RequestContext,
        quota: usize,
        _: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), StageError> {
        self.found.clear();
        for (by, (track, weight)) in Antecedents::of(context).as_slice().iter().enumerate() {
            let found = self.rules.of(*track).map(|rule| {
                let score = weight * (rule.after + rule.near) / 2.0;
                Found { track: rule.successor, by, score }
            });
            self.found.extend(found);
        }
        // Sums are made in the order of the antecedents.
        self.found.sort_unstable_by_key(|hit| (hit.track, hit.by));
        self.found.dedup_by(|next, sum| {
            let same = next.track == sum.track;
            if same {
                sum.score += next.score;
            }
            same
        });
        let best_first = |a: &Found, b: &Found| by_score(a.score, b.score).then(a.track.cmp(&b.track));
        if quota < self.found.len() {
            self.found.select_nth_unstable_by(quota, best_first);
            self.found.truncate(quota);
        }
        self.found.sort_unstable_by(best_first);
        out.extend(self.found.iter().map(|hit| Retrieved { track: hit.track, score: hit.score }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{hits, rows};
    use super::*;
    use crate::domain::{Request, Rule, SessionState, UserProfile};
    use crate::stages::fixtures::{context, request, session};
    use proptest::prelude::*;

    const TRACKS: u32 = 9;

    fn rules(weights: &[(u32, u32, f32, f32)]) -> Arc<SequentialRules> {
        let list = |from: u32| {
            let own = weights.iter().filter(|(a, _, _, _)| *a == from);
            let rule = |(_, to, after, near): &(u32, u32, f32, f32)| Rule {
                successor: TrackIx(*to),
                next: 0.0,
                after: *after,
                near: *near,
            };
            let mut list: Vec<_> = own.map(rule).collect();
            list.sort_by_key(|rule| rule.successor);
            list.dedup_by_key(|rule| rule.successor);
            list
        };
        Arc::new(SequentialRules::new(&(0..TRACKS).map(list).collect::<Vec<_>>()).unwrap())
    }

    proptest! {
        /// Against a score for every track of the catalogue, all of them sorted.
        #[test]
        fn equals_scoring_every_track(
            weights in prop::collection::vec((0..TRACKS, 0..TRACKS, 0.0f32..1.0, 0.0f32..1.0), 0..50),
            played in prop::collection::vec(0..TRACKS + 2, 0..9), quota in 0usize..12,
        ) {
            let rules = rules(&weights);
            let mut stage = Successors::new(Arc::clone(&rules));
            let context = context(request(), session(&played), UserProfile::default());
            let antecedents = Antecedents::of(&context);
            let score = |track: u32| antecedents.as_slice().iter().fold(None, |sum: Option<f32>, (from, weight)| {
                let rule = rules.find(*from, TrackIx(track));
                rule.map_or(sum, |rule| Some(sum.unwrap_or(0.0) + weight * (rule.after + rule.near) / 2.0))
            });
            let mut plain: Vec<(u32, f32)> = (0..TRACKS).filter_map(|track| Some((track, score(track)?))).collect();
            plain.sort_by(|a, b| by_score(a.1, b.1).then(a.0.cmp(&b.0)));
            plain.truncate(quota);
            let got: Vec<_> = hits(&mut stage, &context, quota).iter().map(|hit| (hit.track.0, hit.score)).collect();
            prop_assert_eq!(got, plain);
        }
    }

    #[test]
    fn seeds_stand_in_for_an_empty_session() {
        let mut stage = Successors::new(rules(&[(1, 2, 0.5, 0.5), (1, 3, 0.9, 0.5), (4, 1, 0.1, 0.1)]));
        let playing_request = Request { seed_tracks: vec![TrackIx(1)], ..request() };
        let fresh = context(playing_request.clone(), SessionState::default(), UserProfile::default());
        assert_eq!(rows(&hits(&mut stage, &fresh, 5)), [3, 2]);
        let playing = context(playing_request.clone(), session(&[4]), UserProfile::default());
        assert_eq!(rows(&hits(&mut stage, &playing, 5)), [1]);
        let unseeded = Request { seed_tracks: Vec::new(), ..playing_request };
        let unknown = context(unseeded, SessionState::default(), UserProfile::default());
        assert!(hits(&mut stage, &unknown, 5).is_empty());
    }
}
