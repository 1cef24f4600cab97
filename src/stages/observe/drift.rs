//! Some of the candidates that the ranker scored, counted into the bins of the bundle's reference.

use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::{Answer, RequestContext, Rung};
use crate::features::schema::TASKS;
use crate::features::{CROSS_LEN, RankedTap, SeenRow, Spread};
use crate::pipeline::Observer;

/// What one lane has counted since somebody took it: never contended but for that moment.
pub type LaneSpread = Arc<Mutex<Spread>>;

/// Counts the user's row and so many candidates of every answer that the ranker scored. A caller's own list is left out: it
/// is no draw of what retrieval offers. Its cost is that of the candidates counted, not of all.
pub struct DriftObserver {
    tap: RankedTap,
    spread: LaneSpread,
    candidates: usize,
}

impl DriftObserver {
    /// Reads what the ranker of this lane leaves in `tap`; counts `candidates` of each answer into `spread`.
    pub fn new(tap: RankedTap, spread: LaneSpread, candidates: usize) -> Self {
        Self { tap, spread, candidates }
    }
}

impl Observer for DriftObserver {
    fn name(&self) -> &'static str {
        "drift"
    }

    /// Candidates at even distances from one that the request's seed draws: each is as likely as any other, and every part of
    /// the retrieved order has its share.
    fn observe(&mut self, context: &RequestContext, answer: &Answer) {
        if context.request.candidates.is_some() || !matches!(answer.rung, Rung::Full | Rung::Reduced) {
            return;
        }
        let ranked = self.tap.lock().unwrap_or_else(PoisonError::into_inner);
        let all = ranked.tracks.len();
        let (wanted, width) = (self.candidates.min(all), ranked.items.len() / all.max(1));
        if wanted == 0 {
            return;
        }
        let first = (answer.seed % all as u64) as usize;
        let mut spread = self.spread.lock().unwrap_or_else(PoisonError::into_inner);
        spread.answer(&ranked.user);
        for row in (0..wanted).map(|at| (first + at * all / wanted) % all) {
            spread.row(&SeenRow {
                tasks: &ranked.tasks[row * TASKS.len()..(row + 1) * TASKS.len()],
                item: &ranked.items[row * width..(row + 1) * width],
                cross: &ranked.cross[row * CROSS_LEN..(row + 1) * CROSS_LEN],
                weight: 1.0,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TrackIx;
    use crate::features::reference_testing::reference;
    use crate::features::{ITEM_LEN, Ranked, USER_LEN};
    use crate::stages::testing::{answer, context};

    fn ranked(rows: usize) -> Ranked {
        Ranked {
            tracks: (0..rows as u32).map(TrackIx).collect(),
            user: vec![0.5; USER_LEN + 4],
            items: vec![0.25; rows * (ITEM_LEN + 4)],
            cross: vec![0.125; rows * CROSS_LEN],
            tasks: (0..rows).flat_map(|row| [row as f32, 0.25, 0.125]).collect(),
            blended: vec![0.0; rows],
            contest: Default::default(),
        }
    }

    fn observe(rows: usize, candidates: usize, change: impl Fn(&mut RequestContext, &mut Answer)) -> Spread {
        let tap = RankedTap::default();
        *tap.lock().unwrap() = ranked(rows);
        let spread = Arc::new(Mutex::new(Spread::new(&reference(20))));
        let mut observer = DriftObserver::new(tap, Arc::clone(&spread), candidates);
        let (mut context, mut answer) = (context(0.0, 0.0), answer(3));
        change(&mut context, &mut answer);
        observer.observe(&context, &answer);
        spread.lock().unwrap().clone()
    }

    #[test]
    fn counts_an_even_part_of_the_candidates() {
        let mut seen = [0; 20];
        for seed in 0..20 {
            let found = observe(20, 5, |_, answer| answer.seed = seed);
            let head = &found.against(&reference(20))[0];
            assert_eq!(found.answers, 1);
            // Distances of 4 from the first: the sum tells which they are.
            let rows: Vec<usize> = (0..5).map(|at| (seed as usize + at * 4) % 20).collect();
            rows.iter().for_each(|row| seen[*row] += 1);
            assert!((head.mean * 5.0 - rows.iter().sum::<usize>() as f64).abs() < 1e-9);
        }
        assert_eq!(seen, [5; 20], "each as often as any other");
        assert!((observe(3, 8, |_, _| {}).against(&reference(20))[0].mean - 1.0).abs() < 1e-9, "all there are");
    }

    #[test]
    fn what_the_ranker_did_not_score_is_left_out() {
        assert_eq!(observe(20, 5, |_, answer| answer.rung = Rung::RetrievalOrder).answers, 0);
        assert_eq!(observe(0, 5, |_, _| {}).answers, 0);
        assert_eq!(observe(20, 0, |_, _| {}).answers, 0);
        let own = |context: &mut RequestContext, _: &mut Answer| {
            let request = Arc::make_mut(&mut context.request);
            request.candidates = Some(vec![]);
        };
        assert_eq!(observe(20, 5, own).answers, 0);
    }
}
