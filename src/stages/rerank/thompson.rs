//! Thompson sampling among Beta posteriors, with the probability of each choice.

use rand::{Rng, RngExt};

use crate::features::{BetaGrid, CELLS, drawn};

/// Several posteriors, of which the one with the highest draw is chosen, again and again (Thompson 1933; Chapelle and Li
/// 2011, "An empirical evaluation of Thompson sampling").
///
/// Draws are cells of [`BetaGrid`], equal ones go to whoever comes first, and so the probability of a choice is a sum over
/// cells: exact, no estimate. No allocation once grown.
#[derive(Debug, Default)]
pub(super) struct Contest {
    grid: BetaGrid,
    /// The cumulated shares of each posterior.
    shares: Vec<[f32; CELLS]>,
    /// Who may still be chosen, ascending.
    left: Vec<u32>,
}

impl Contest {
    /// Begins with these parameters. `O(n * 256)`.
    pub(super) fn begin(&mut self, posteriors: impl Iterator<Item = (f64, f64)>) {
        self.shares.clear();
        self.left.clear();
        for (at, (alpha, beta)) in posteriors.enumerate() {
            let mut shares = [0.0; CELLS];
            self.grid.cumulate(alpha, beta, &mut shares);
            self.shares.push(shares);
            self.left.push(at as u32);
        }
    }

    /// Draws once for each that is left and takes out the highest: which it is, and how likely that was, 0..1. `None`
    /// where nobody is left.
    pub(super) fn choose(&mut self, rng: &mut impl Rng) -> Option<(usize, f32)> {
        let mut best = None;
        for (place, at) in self.left.iter().enumerate() {
            let cell = drawn(&self.shares[*at as usize], 1.0 - rng.random::<f32>());
            if best.is_none_or(|(most, _)| cell > most) {
                best = Some((cell, place));
            }
        }
        let (_, place) = best?;
        let chance = self.chance(place);
        Some((self.left.remove(place) as usize, chance))
    }

    /// How likely it is that the one at a place of those left is chosen next: over all cells, that its draw falls there and
    /// those before it fall lower, those behind it no higher. `O(left * 256)`.
    fn chance(&self, place: usize) -> f32 {
        let own = &self.shares[self.left[place] as usize];
        let mut mass = *own;
        for cell in 1..CELLS {
            mass[cell] = own[cell] - own[cell - 1];
        }
        for (other, at) in self.left.iter().enumerate() {
            let shares = &self.shares[*at as usize];
            if other < place {
                mass[0] = 0.0;
                mass[1..].iter_mut().zip(shares).for_each(|(mass, below)| *mass *= below);
            } else if other > place {
                mass.iter_mut().zip(shares).for_each(|(mass, up_to)| *mass *= up_to);
            }
        }
        mass.iter().map(|mass| f64::from(*mass)).sum::<f64>() as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Beta, Distribution};

    fn contest(posteriors: &[(f64, f64)]) -> Contest {
        let mut contest = Contest::default();
        contest.begin([(1.0, 1.0)].into_iter());
        contest.begin(posteriors.iter().copied());
        contest
    }

    fn chances(contest: &Contest) -> Vec<f32> {
        (0..contest.left.len()).map(|place| contest.chance(place)).collect()
    }

    fn posteriors(most: usize) -> impl Strategy<Value = Vec<(f64, f64)>> {
        prop::collection::vec((0.5f64..30.0, 0.5f64..30.0), 1..most)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        /// Over many seeds each is chosen as often as its propensity says, in this place and, given the first, in the next.
        #[test]
        fn propensities_are_frequencies(posteriors in posteriors(8), seed in any::<u32>()) {
            const SEEDS: u64 = 1_000;
            let mut first = vec![0u32; posteriors.len()];
            let mut contest = contest(&posteriors);
            let (all, expected) = (contest.left.clone(), chances(&contest));
            let near = |count: u32, of: u32, chance: f32| {
                let (mean, of) = (f64::from(chance), f64::from(of.max(1)));
                (f64::from(count) / of - mean).abs() < 5.0 * (mean * (1.0 - mean) / of).sqrt() + 2.0 / of
            };
            let mut second = vec![0u32; posteriors.len()];
            let mut after = None;
            for run in 0..SEEDS {
                contest.left.clone_from(&all);
                let mut rng = ChaCha8Rng::seed_from_u64(u64::from(seed) << 32 | run);
                let (chosen, chance) = contest.choose(&mut rng).unwrap();
                prop_assert_eq!(chance, expected[chosen]);
                first[chosen] += 1;
                if *after.get_or_insert(chosen) == chosen
                    && let Some((next, _)) = contest.choose(&mut rng)
                {
                    second[next] += 1;
                }
            }
            for (count, chance) in first.iter().zip(&expected) {
                prop_assert!(near(*count, SEEDS as u32, *chance), "{first:?} {expected:?}");
            }
            let taken = after.unwrap_or_default();
            contest.left.clone_from(&all);
            contest.left.remove(taken);
            for (place, at) in contest.left.iter().enumerate() {
                let count = second[*at as usize];
                prop_assert!(near(count, first[taken], contest.chance(place)), "{second:?} {:?}", chances(&contest));
            }
        }

        /// They sum to 1, whatever the parameters, and one that is left alone is certain.
        #[test]
        fn propensities_sum_to_one(
            mut posteriors in prop::collection::vec((any::<f64>(), any::<f64>()), 0..4), sane in posteriors(60),
        ) {
            posteriors.extend(sane);
            let contest = contest(&posteriors);
            let all = chances(&contest);
            prop_assert!(all.iter().all(|chance| (0.0..=1.0001).contains(chance)));
            prop_assert!((all.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{all:?}");
        }

        /// The grid costs little: continuous draws choose nearly as often.
        #[test]
        fn propensities_are_those_of_continuous_draws(posteriors in posteriors(6), seed in any::<u64>()) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let twins: Vec<Beta<f64>> = posteriors.iter().map(|(a, b)| Beta::new(*a, *b).unwrap()).collect();
            let mut counts = vec![0u32; twins.len()];
            for _ in 0..4_000 {
                let draws: Vec<f64> = twins.iter().map(|twin| twin.sample(&mut rng)).collect();
                counts[(0..draws.len()).max_by(|a, b| draws[*a].total_cmp(&draws[*b])).unwrap()] += 1;
            }
            for (count, chance) in counts.iter().zip(chances(&contest(&posteriors))) {
                prop_assert!((*count as f32 / 4_000.0 - chance).abs() < 0.06, "{counts:?}");
            }
        }
    }

    #[test]
    fn all_are_chosen_once_and_then_nobody() {
        let mut contest = contest(&[(1.0, 1.0), (2.0, 5.0), (9.0, 1.0)]);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut chosen: Vec<_> = std::iter::from_fn(|| contest.choose(&mut rng)).collect();
        assert!((chosen[2].1 - 1.0).abs() < 1e-6);
        chosen.sort_by_key(|(at, _)| *at);
        assert_eq!(chosen.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
