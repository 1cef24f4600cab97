//! Variety compared at equal size.

use statrs::function::factorial::ln_binomial;

/// Distinct kinds to expect among `sample` draws without replacement from a collection with these counts of each kind
/// (Hurlbert 1971): collections of different size compare at the same `sample`. All kinds from the collection's size on.
/// `O(kinds)`.
pub fn distinct_among(counts: &[u64], sample: u64) -> f64 {
    let total: u64 = counts.iter().sum();
    let sample = sample.min(total);
    let missing = |count: u64| {
        if count == 0 {
            return 1.0;
        }
        if total - count < sample {
            0.0
        } else {
            (ln_binomial(total - count, sample) - ln_binomial(total, sample)).exp()
        }
    };
    counts.iter().map(|count| 1.0 - missing(*count)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against every sample there is.
        #[test]
        fn equals_all_samples(counts in prop::collection::vec(0u64..3, 1..5), sample in 0u64..9) {
            let items: Vec<usize> =
                counts.iter().enumerate().flat_map(|(kind, count)| std::iter::repeat_n(kind, *count as usize)).collect();
            let sample = sample.min(items.len() as u64);
            let (mut samples, mut distinct) = (0u32, 0u32);
            for set in (0u32..1 << items.len()).filter(|set| u64::from(set.count_ones()) == sample) {
                let kinds: std::collections::BTreeSet<usize> =
                    (0..items.len()).filter(|at| set >> at & 1 == 1).map(|at| items[at]).collect();
                samples += 1;
                distinct += kinds.len() as u32;
            }
            let expected = f64::from(distinct) / f64::from(samples);
            prop_assert!((distinct_among(&counts, sample) - expected).abs() < 1e-9);
        }
    }
}
