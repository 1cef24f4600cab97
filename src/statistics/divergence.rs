//! How far two distributions over the same bins are apart.

/// What each bin of a distribution counts as beside its own weight, so that an empty one is unlikely and not impossible
/// (Krichevsky and Trofimov 1981).
const PRIOR: f64 = 0.5;

/// The difference of two distributions.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Divergence {
    /// Population stability index: relative entropy one way plus the other (Jeffreys 1946), nats. Below 0.1 is called
    /// stable, above 0.25 shifted (Siddiqi 2006).
    pub psi: f64,
    /// Relative entropy of what was found from what was expected (Kullback and Leibler 1951), nats.
    pub kl: f64,
}

/// Edges of at most `bins` bins of about equal weight, rising. Bin i holds what is above edge i - 1 and not above edge i; the
/// last one what is above all edges. A value with the weight of a bin or more gets a bin of its own, so that flags and
/// counts, which are mostly 0, are told apart: at most `2 * bins` bins then. Values are finite, weights positive; sorts the
/// values. `O(n log n)`.
pub fn quantile_edges(values: &mut [(f32, f64)], bins: usize) -> Vec<f32> {
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = values.iter().map(|(_, weight)| weight).sum();
    let mut edges: Vec<f32> = Vec::new();
    let (mut below, mut due) = (0.0, 1);
    for equal in values.chunk_by(|a, b| a.0 == b.0) {
        let own: f64 = equal.iter().map(|(_, weight)| weight).sum();
        let value = equal[0].0;
        below += own;
        let first = due;
        while due < bins && below >= total * due as f64 / bins as f64 * (1.0 - 1e-12) {
            due += 1;
        }
        let is_heavy = own >= total / bins as f64;
        if is_heavy && edges.last().is_none_or(|last| *last < value.next_down()) {
            edges.push(value.next_down());
        }
        if is_heavy || due > first {
            edges.push(value);
        }
    }
    edges
}

/// The bin of a finite value. `O(log edges)`.
pub fn bin_of(edges: &[f32], value: f32) -> usize {
    edges.partition_point(|edge| *edge < value)
}

/// The difference of two lists of weights over the same bins; `None` where one of them is empty.
pub fn divergence(expected: &[f64], found: &[f64]) -> Option<Divergence> {
    let (of_expected, of_found): (f64, f64) = (expected.iter().sum(), found.iter().sum());
    if of_expected <= 0.0 || of_found <= 0.0 {
        return None;
    }
    let bins = expected.len() as f64;
    let share = |weight: f64, of: f64| (weight + PRIOR) / (of + PRIOR * bins);
    let (mut there, mut back) = (0.0, 0.0);
    for (expected, found) in expected.iter().zip(found) {
        let (p, q) = (share(*expected, of_expected), share(*found, of_found));
        there += q * (q / p).ln();
        back += p * (p / q).ln();
    }
    Some(Divergence { psi: (there + back).max(0.0), kl: there.max(0.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn figures_are_those_of_the_textbook() {
        // Shares .5/.5 and .9/.1 of so many that the prior does not matter.
        let found = divergence(&[5e9, 5e9], &[9e9, 1e9]).unwrap();
        assert!((found.kl - (0.9 * 1.8f64.ln() + 0.1 * 0.2f64.ln())).abs() < 1e-6);
        assert!((found.psi - (0.4 * 1.8f64.ln() - 0.4 * 0.2f64.ln())).abs() < 1e-6);
        assert_eq!((divergence(&[0.0, 0.0], &[1.0, 0.0]), divergence(&[1.0], &[0.0])), (None, None));
    }

    #[test]
    fn values_that_repeat_have_bins_of_their_own() {
        let edges = |values: &[f32]| quantile_edges(&mut values.iter().map(|v| (*v, 1.0)).collect::<Vec<_>>(), 10);
        assert_eq!(edges(&[0.0; 7]), [0.0f32.next_down(), 0.0]);
        let flags: Vec<f32> = (0..100).map(|at| f32::from(u8::from(at >= 5))).collect();
        let found = edges(&flags);
        let bins: Vec<usize> = [-1.0, 0.0, 1.0, 2.0].iter().map(|value| bin_of(&found, *value)).collect();
        assert_eq!(bins, [0, 0, 1, 2], "{found:?}");
        let smooth: Vec<f32> = (0..1_000).map(|at| at as f32).collect();
        assert_eq!(edges(&smooth), [99.0, 199.0, 299.0, 399.0, 499.0, 599.0, 699.0, 799.0, 899.0]);
    }

    proptest! {
        /// Edges rise, no bin but that of one value holds much more than its part, and a bin is where a scan finds it.
        #[test]
        fn bins_are_about_even(values in prop::collection::vec((-3i8..4, 0.0f32..1.0, 1u8..4), 1..300), bins in 2usize..12) {
            let mut values: Vec<(f32, f64)> = values.into_iter()
                .map(|(whole, part, weight)| (if whole < 1 { f32::from(whole) } else { part }, f64::from(weight))).collect();
            let edges = quantile_edges(&mut values, bins);
            prop_assert!(edges.is_sorted_by(|a, b| a < b) && edges.len() < 2 * bins + 1);
            let total: f64 = values.iter().map(|(_, weight)| weight).sum();
            let mut held = vec![Vec::new(); edges.len() + 1];
            for (value, weight) in &values {
                let naive = edges.iter().position(|edge| value <= edge).unwrap_or(edges.len());
                prop_assert_eq!(bin_of(&edges, *value), naive);
                held[naive].push((*value, *weight));
            }
            for bin in held.iter().filter(|bin| bin.iter().any(|(value, _)| *value != bin[0].0)) {
                let weight: f64 = bin.iter().map(|(_, weight)| weight).sum();
                prop_assert!(weight <= 2.0 * total / bins as f64 + 1e-9, "{} of {}", weight, total);
            }
        }

        /// It is 0 of equal shares, positive otherwise, the same both ways, and never below the one-sided figure.
        #[test]
        fn it_is_a_divergence(bins in prop::collection::vec((0u16..500, 0u16..500), 1..20)) {
            let (a, b): (Vec<f64>, Vec<f64>) = bins.iter().map(|(a, b)| (f64::from(*a), f64::from(*b))).unzip();
            let Some(found) = divergence(&a, &b) else { return Ok(()) };
            prop_assert!(found.psi.is_finite() && found.kl >= 0.0 && found.psi + 1e-12 >= found.kl);
            prop_assert!((divergence(&b, &a).unwrap().psi - found.psi).abs() < 1e-9);
            prop_assert!(divergence(&a, &a).unwrap().psi < 1e-12);
        }
    }
}
