//! The ranking model over the candidates.

use std::mem::swap;
use std::sync::{Arc, PoisonError};

use super::first_phase::{FirstPhase, Matrix, TASKS};
use super::{blend, target_bonus};
use crate::domain::{CandidateSet, Catalogue, RequestContext, Target, TaskScores};
use crate::features::{Assembler, RankedTap};
use crate::inference::RankerModel;
use crate::pipeline::{Deadline, Ranker, StageError};

/// Scores candidates with the bundle's multi-gate mixture of experts and blends its heads by the weights in force; the
/// sound that a request aims at adds to the blend. With a first phase it looks at the best of that alone; the others keep
/// the first phase's heads, and blended scores that are moved below those it looked at. Keeps its buffers: in the steady
/// state nothing of its own allocates.
pub struct MmoeRanker {
    assembler: Arc<Assembler>,
    catalogue: Arc<Catalogue>,
    model: Box<dyn RankerModel>,
    first: Option<FirstPhase>,
    user: Vec<f32>,
    items: Vec<f32>,
    cross: Vec<f32>,
    output: Vec<f32>,
    tap: Option<RankedTap>,
}

impl MmoeRanker {
    /// Takes feature code, catalogue and model of one bundle.
    pub fn new(assembler: Arc<Assembler>, catalogue: Arc<Catalogue>, model: Box<dyn RankerModel>) -> Self {
        let (user, items, cross, output) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { assembler, catalogue, model, first: None, user, items, cross, output, tap: None }
    }

    /// Looks at the `keep` best candidates of `first` alone.
    pub fn behind(mut self, first: Box<dyn RankerModel>, keep: usize) -> Self {
        self.first = Some(FirstPhase::new(first, keep));
        self
    }

    /// Leaves what it saw and said in `tap`, for the feature log.
    pub fn tapped(mut self, tap: Option<RankedTap>) -> Self {
        self.tap = tap;
        self
    }

    /// Hands the buffers of this request over and takes those of the last one.
    fn leave(&mut self, candidates: &CandidateSet, scores: &TaskScores) {
        let Some(tap) = &self.tap else { return };
        let mut seen = tap.lock().unwrap_or_else(PoisonError::into_inner);
        seen.tracks.clone_from(&candidates.tracks);
        seen.blended.clone_from(&scores.blended);
        seen.contest.clear();
        swap(&mut seen.user, &mut self.user);
        swap(&mut seen.items, &mut self.items);
        swap(&mut seen.cross, &mut self.cross);
        swap(&mut seen.tasks, &mut self.output);
    }
}

impl Ranker for MmoeRanker {
    fn name(&self) -> &'static str {
        "mmoe"
    }

    /// Absent without a user vector: the model has never seen such a listener, so retrieval order is the better answer.
    /// Late when the deadline passes between the features and the run.
    fn rank(
        &mut self,
        context: &RequestContext,
        candidates: &CandidateSet,
        deadline: &Deadline,
        out: &mut TaskScores,
    ) -> Result<(), StageError> {
        let vector = context.user_vector.as_ref().ok_or(StageError::Absent("no user vector"))?;
        self.user.clear();
        self.user.extend_from_slice(&context.user_features);
        self.user.extend_from_slice(vector.as_slice());
        let (items, cross) = (&mut self.items, &mut self.cross);
        self.assembler.candidates(context, &candidates.tracks, vector.as_slice(), items, cross);
        if deadline.passed() {
            return Err(StageError::Late);
        }
        let (weights, target) = (&context.dials.blend, &context.request.target);
        let aimed = *target != Target::default();
        let blended = |row: usize, heads: &[f32]| {
            let track = candidates.tracks[row];
            let bonus = if aimed { target_bonus(target, self.catalogue.track(track)) } else { 0.0 };
            blend(weights, heads[0], heads[1], heads[2]) + bonus
        };
        let matrix = Matrix { user: &self.user, items, cross, rows: candidates.len() };
        let (model, output) = (&mut *self.model, &mut self.output);
        match self.first.as_mut().filter(|first| first.keep < candidates.len()) {
            Some(first) => first.rank(&matrix, model, &blended, deadline, output, &mut out.blended)?,
            None => {
                matrix.scored_by(model, output)?;
                out.blended.extend(output.chunks_exact(TASKS).enumerate().map(|(row, heads)| blended(row, heads)));
            }
        }
        for heads in self.output.chunks_exact(TASKS) {
            out.complete.push(heads[0]);
            out.skip.push(heads[1]);
            out.like.push(heads[2]);
        }
        self.leave(candidates, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BlendWeights, UnitVector};
    use crate::features::{CROSS_LEN, ITEM_LEN, USER_LEN};
    use crate::inference::InferenceError;
    use crate::stages::{fixtures, testing};

    /// `complete` = 0.01 x row, `skip` = 0.2, `like` = 0.1; checks the shapes.
    struct ByRow;

    impl RankerModel for ByRow {
        fn score(
            &mut self,
            user: &[f32],
            items: &[f32],
            cross: &[f32],
            rows: usize,
            out: &mut Vec<f32>,
        ) -> Result<(), InferenceError> {
            assert_eq!((user.len(), items.len()), (USER_LEN + 4, rows * (ITEM_LEN + 4)));
            assert_eq!(cross.len(), rows * CROSS_LEN);
            out.clear();
            out.extend((0..rows).flat_map(|row| [0.01 * row as f32, 0.2, 0.1]));
            Ok(())
        }
    }

    fn ranker() -> MmoeRanker {
        let catalogue = fixtures::catalogue(12, |row, track| track.energy = Some(row as f32 / 11.0));
        MmoeRanker::new(fixtures::assembler(12, 4), catalogue, Box::new(ByRow))
    }

    fn context(target: Target) -> RequestContext {
        let request = crate::domain::Request { target, ..fixtures::request() };
        let mut context = fixtures::context(request, fixtures::session(&[1, 2]), Default::default());
        context.user_vector = UnitVector::new(vec![1.0; 4], 4).ok();
        context.user_features = vec![0.0; USER_LEN];
        context.dials.blend = BlendWeights { complete: 2.0, skip: 1.0, like: 0.5 };
        context
    }

    #[test]
    fn blends_the_heads_row_by_row() {
        let mut scores = TaskScores::default();
        let candidates = testing::candidates(12);
        ranker().rank(&context(Target::default()), &candidates, &Deadline::never(), &mut scores).unwrap();
        assert!(scores.is_complete(12));
        for row in 0..12 {
            assert!((scores.blended[row] - (2.0 * 0.01 * row as f32 - 0.2 + 0.05)).abs() < 1e-6);
        }
    }

    #[test]
    fn leaves_what_it_saw_in_its_tap() {
        let tap = RankedTap::default();
        let (mut ranker, mut scores) = (ranker().tapped(Some(RankedTap::clone(&tap))), TaskScores::default());
        for rows in [12, 5] {
            let candidates = testing::candidates(rows);
            scores.clear();
            ranker.rank(&context(Target::default()), &candidates, &Deadline::never(), &mut scores).unwrap();
            let seen = tap.lock().unwrap();
            assert_eq!((&seen.tracks, &seen.blended), (&candidates.tracks, &scores.blended));
            let (mut items, mut cross) = (Vec::new(), Vec::new());
            let vector = [0.5; 4];
            ranker.assembler.candidates(
                &context(Target::default()),
                &candidates.tracks,
                &vector,
                &mut items,
                &mut cross,
            );
            assert_eq!((&seen.items, &seen.cross, seen.user.len()), (&items, &cross, USER_LEN + 4));
            assert!(seen.tasks.chunks(3).zip(&scores.complete).all(|(row, complete)| row[0] == *complete));
        }
    }

    #[test]
    fn a_target_lifts_what_sounds_like_it() {
        let mut scores = TaskScores::default();
        let calm = Target { energy: Some(0.0), ..Target::default() };
        ranker().rank(&context(calm), &testing::candidates(12), &Deadline::never(), &mut scores).unwrap();
        assert!(scores.blended[0] > scores.blended[11], "the calmest track beats the best rated one");
    }

    #[test]
    fn says_why_it_did_not_rank() {
        let mut nobody = context(Target::default());
        nobody.user_vector = None;
        let rank = |context: &RequestContext, deadline| {
            ranker().rank(context, &testing::candidates(3), &deadline, &mut TaskScores::default())
        };
        assert_eq!(rank(&nobody, Deadline::never()), Err(StageError::Absent("no user vector")));
        assert_eq!(rank(&context(Target::default()), Deadline::after_checks(0)), Err(StageError::Late));
    }
}
