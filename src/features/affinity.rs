//! Long-term affinities: weights that halve every so many days, brought up to date only when they change.

use super::bounded::make_room;
use crate::domain::Affinity;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// Weights below this are forgotten.
const NEGLIGIBLE: f32 = 1e-6;

/// What is left of a weight after `elapsed_ms`: `2^(-elapsed / half-life)`; 1 where no time has passed.
pub fn decay(elapsed_ms: i64, half_life_days: f32) -> f32 {
    if elapsed_ms <= 0 {
        return 1.0;
    }
    let half_lives = elapsed_ms as f64 / (DAY_MS as f64 * f64::from(half_life_days.max(1e-3)));
    (-half_lives).exp2() as f32
}

/// As [`decay`], the half-life in ms; at least 1 ms.
pub fn halve(elapsed_ms: i64, half_life_ms: f32) -> f32 {
    let half_lives = elapsed_ms.max(0) as f64 / f64::from(half_life_ms.max(1.0));
    (-half_lives).exp2() as f32
}

/// Adds `weight` (not negative) at `ts_ms` to a key. The result equals recomputing the decayed sum from all additions in any order:
/// an addition from the past counts as what would be left of it by now. At most `max` keys stay, the heaviest.
/// `O(n)`.
pub fn add<K: Ord + Copy>(
    affinity: &mut Affinity<K>,
    key: K,
    weight: f32,
    ts_ms: i64,
    half_life_days: f32,
    max: usize,
) {
    if affinity.entries.is_empty() {
        affinity.as_of_ms = ts_ms;
    }
    let elapsed = ts_ms.saturating_sub(affinity.as_of_ms);
    if elapsed > 0 {
        let factor = decay(elapsed, half_life_days);
        affinity.entries.iter_mut().for_each(|entry| entry.1 *= factor);
        affinity.entries.retain(|entry| entry.1 >= NEGLIGIBLE);
        affinity.as_of_ms = ts_ms;
    }
    let weight = weight * decay(elapsed.saturating_neg(), half_life_days);
    match affinity.entries.binary_search_by_key(&key, |entry| entry.0) {
        Ok(at) => affinity.entries[at].1 += weight,
        Err(at) => {
            make_room(&mut affinity.entries);
            affinity.entries.insert(at, (key, weight));
        }
    }
    if affinity.entries.len() > max {
        let lightest = affinity.entries.iter().enumerate().min_by(|a, b| a.1.1.total_cmp(&b.1.1)).map(|(at, _)| at);
        if let Some(at) = lightest {
            affinity.entries.remove(at);
        }
    }
}

/// Sum of all weights.
pub fn total<K>(affinity: &Affinity<K>) -> f32 {
    affinity.entries.iter().map(|entry| entry.1).sum()
}

/// Share of the heaviest key; 0 without weights.
pub fn top_share<K>(affinity: &Affinity<K>) -> f32 {
    let most = affinity.entries.iter().map(|entry| entry.1).fold(0.0, f32::max);
    if most > 0.0 { most / total(affinity) } else { 0.0 }
}

/// Shannon entropy of the shares, nats; 0 without weights.
pub fn entropy<K>(affinity: &Affinity<K>) -> f32 {
    let total = total(affinity);
    if total <= 0.0 {
        return 0.0;
    }
    affinity.entries.iter().map(|entry| entry.1 / total).filter(|share| *share > 0.0).map(|s| -s * s.ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_recomputing_from_scratch(
            additions in prop::collection::vec((0u32..8, 0.01f32..1.0, 0i64..400), 1..40),
            half_life in 5.0f32..120.0,
        ) {
            let mut affinity = Affinity::default();
            for (key, weight, day) in &additions {
                add(&mut affinity, *key, *weight, day * DAY_MS, half_life, 100);
            }
            let now = affinity.as_of_ms;
            prop_assert_eq!(now, additions.iter().map(|a| a.2 * DAY_MS).max().unwrap());
            for key in 0..8 {
                let exact: f64 = additions.iter().filter(|a| a.0 == key)
                    .map(|a| f64::from(a.1) * 2f64.powf(-((now / DAY_MS - a.2) as f64) / f64::from(half_life))).sum();
                prop_assert!((f64::from(affinity.get(key)) - exact).abs() < 1e-4, "{} {exact}", affinity.get(key));
            }
            prop_assert!(affinity.entries.is_sorted_by_key(|entry| entry.0));
        }

        #[test]
        fn keeps_the_heaviest(weights in prop::collection::vec(0.01f32..1.0, 1..30)) {
            let mut affinity = Affinity::default();
            for (key, weight) in weights.iter().enumerate() {
                add(&mut affinity, key, *weight, 0, 60.0, 5);
            }
            let mut kept: Vec<f32> = affinity.entries.iter().map(|entry| entry.1).collect();
            let mut all = weights.clone();
            kept.sort_by(|a, b| b.total_cmp(a));
            all.sort_by(|a, b| b.total_cmp(a));
            all.truncate(5);
            prop_assert_eq!(kept, all);
        }
    }

    #[test]
    fn summaries() {
        let even = Affinity { entries: vec![(1, 2.0), (2, 2.0)], as_of_ms: 0 };
        assert_eq!((total(&even), top_share(&even)), (4.0, 0.5));
        assert!((entropy(&even) - 2f32.ln()).abs() < 1e-6);
        assert_eq!((top_share(&Affinity::<u32>::default()), entropy(&Affinity::<u32>::default())), (0.0, 0.0));
    }
}
