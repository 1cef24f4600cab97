//! Many questions at once.

/// Holm's step-down adjustment (Holm 1979): adjusted p values, in the order given. Rejecting where one is below alpha makes the
/// chance of any false rejection at most alpha, however the tests depend on each other. `O(n log n)`.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let (mut adjusted, mut most) = (vec![1.0; p.len()], 0.0f64);
    for (rank, at) in order.into_iter().enumerate() {
        most = most.max(((p.len() - rank) as f64 * p[at]).min(1.0));
        adjusted[at] = most;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against the closed testing that it abbreviates: the worst of Bonferroni's tests of every set that has the hypothesis.
        #[test]
        fn equals_closed_testing(p in prop::collection::vec(0.0f64..=1.0, 0..8)) {
            let adjusted = holm(&p);
            for (at, found) in adjusted.iter().enumerate() {
                let sets = (1usize..1 << p.len()).filter(|set| set >> at & 1 == 1);
                let bonferroni = sets.map(|set| {
                    let members = (0..p.len()).filter(|member| set >> member & 1 == 1);
                    let least = members.map(|member| p[member]).fold(1.0, f64::min);
                    (f64::from(set.count_ones()) * least).min(1.0)
                });
                prop_assert!((found - bonferroni.fold(0.0, f64::max)).abs() < 1e-12);
            }
        }
    }
}
