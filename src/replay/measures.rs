//! How alike two lists are. Items of a list are distinct.

use std::hash::Hash;

use std::collections::{HashMap, HashSet};

/// How much a place counts for less than the one before, in [`rank_biased_overlap`]: the first ten places have 86 % of the
/// weight.
const PERSISTENCE: f64 = 0.9;

/// Share of the first `k` that both have, of the longer; 1 where both are empty.
pub fn overlap<T: Eq + Hash>(a: &[T], b: &[T], k: usize) -> f64 {
    let (a, b) = (&a[..k.min(a.len())], &b[..k.min(b.len())]);
    let longer = a.len().max(b.len());
    let seen: HashSet<&T> = a.iter().collect();
    let shared = b.iter().filter(|item| seen.contains(item)).count();
    if longer == 0 { 1.0 } else { shared as f64 / longer as f64 }
}

/// Rank-biased overlap, extrapolated (Webber, Moffat and Zobel 2010, equation 32), at persistence 0.9: 1 for equal lists, 0
/// for those that share nothing; what stands first counts most. 1 where both are empty, 0 where one is.
pub fn rank_biased_overlap<T: Eq + Hash>(a: &[T], b: &[T]) -> f64 {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let (s, l) = (short.len(), long.len());
    if s == 0 {
        return if l == 0 { 1.0 } else { 0.0 };
    }
    let p = PERSISTENCE;
    let (mut in_short, mut in_long) = (HashSet::new(), HashSet::new());
    let (mut shared, mut shared_at_s, mut sum, mut weight) = (0usize, 0usize, 0.0, 1.0);
    for depth in 1..=l {
        weight *= p;
        let low = short.get(depth - 1);
        let high = &long[depth - 1];
        in_long.insert(high);
        if let Some(low) = low {
            in_short.insert(low);
            shared += usize::from(in_long.contains(low));
            shared += usize::from(low != high && in_short.contains(high));
        } else {
            shared += usize::from(in_short.contains(high));
        }
        if depth == s {
            shared_at_s = shared;
        }
        let beyond = depth.saturating_sub(s) as f64 * shared_at_s as f64 / (s as f64 * depth as f64);
        sum += (shared as f64 / depth as f64 + beyond) * weight;
    }
    let tail = (shared as f64 - shared_at_s as f64) / l as f64 + shared_at_s as f64 / s as f64;
    (1.0 - p) / p * sum + tail * weight
}

/// Kendall's tau of what both lists have: 1 in the same order, -1 in the reverse one; `None` with less than two such.
/// `O(n^2)`.
pub fn kendall_tau<T: Eq + Hash>(a: &[T], b: &[T]) -> Option<f64> {
    let place: HashMap<&T, usize> = b.iter().zip(0..).collect();
    let places: Vec<usize> = a.iter().filter_map(|item| place.get(item).copied()).collect();
    let pairs = places.len() * places.len().saturating_sub(1) / 2;
    let kept = places.iter().enumerate().map(|(at, one)| places[at + 1..].iter().filter(|other| one < *other).count());
    (pairs > 0).then(|| 2.0 * kept.sum::<usize>() as f64 / pairs as f64 - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition for lists that never end: agreement at each depth, weighted; beyond what is seen the agreement of the
    /// last depth goes on, of a short list as if it went on agreeing as much.
    fn rbo_by_definition(a: &[u8], b: &[u8]) -> f64 {
        let (s, l) = (a.len().min(b.len()), a.len().max(b.len()));
        let shared = |depth: usize| {
            let head = |list: &[u8]| list[..depth.min(list.len())].to_vec();
            head(a).iter().filter(|item| head(b).contains(item)).count() as f64
        };
        let agreement = |depth: usize| {
            let seen = shared(depth.min(l));
            let unseen = if depth > s { (depth - s) as f64 * shared(s) / s as f64 } else { 0.0 };
            (seen + unseen) / depth as f64
        };
        let p = PERSISTENCE;
        let seen: f64 = (1..=l).map(|depth| agreement(depth) * p.powi(depth as i32 - 1)).sum::<f64>() * (1.0 - p);
        seen + agreement(l) * p.powi(l as i32)
    }

    fn list() -> impl Strategy<Value = Vec<u8>> {
        Just((0u8..12).collect::<Vec<_>>())
            .prop_shuffle()
            .prop_flat_map(|list| (0..=list.len()).prop_map(move |len| list[..len].to_vec()))
    }

    proptest! {
        #[test]
        fn measures_equal_their_definitions(a in list(), b in list(), k in 1usize..14) {
            if !a.is_empty() && !b.is_empty() {
                prop_assert!((rank_biased_overlap(&a, &b) - rbo_by_definition(&a, &b)).abs() < 1e-9);
                let (x, y) = (&a[..k.min(a.len())], &b[..k.min(b.len())]);
                let shared = x.iter().filter(|item| y.contains(item)).count();
                prop_assert_eq!(overlap(&a, &b, k), shared as f64 / x.len().max(y.len()) as f64);
            }
            prop_assert!((rank_biased_overlap(&a, &a) - 1.0).abs() < 1e-9);
            prop_assert!((0.0..=1.0 + 1e-9).contains(&rank_biased_overlap(&a, &b)));
            prop_assert_eq!(overlap(&a, &a, k), 1.0);
            let at = |list: &[u8], item: u8| list.iter().position(|other| *other == item).unwrap();
            let common: Vec<u8> = a.iter().copied().filter(|item| b.contains(item)).collect();
            let (mut sum, mut pairs) = (0.0, 0.0);
            for one in &common {
                for other in common.iter().filter(|other| *other > one) {
                    let same = (at(&a, *one) < at(&a, *other)) == (at(&b, *one) < at(&b, *other));
                    (sum, pairs) = (sum + if same { 1.0 } else { -1.0 }, pairs + 1.0);
                }
            }
            match kendall_tau(&a, &b) {
                None => prop_assert_eq!(pairs, 0.0),
                Some(tau) => prop_assert!((tau - sum / pairs).abs() < 1e-9),
            }
        }
    }

    #[test]
    fn empty_lists_have_an_answer() {
        let none: [u8; 0] = [];
        assert_eq!((overlap(&none, &none, 5), overlap(&none, &[1], 5)), (1.0, 0.0));
        assert_eq!((rank_biased_overlap(&none, &none), rank_biased_overlap(&none, &[1])), (1.0, 0.0));
        assert_eq!(kendall_tau(&[1], &[1]), None);
        assert_eq!((kendall_tau(&[1, 2], &[1, 2]), kendall_tau(&[1, 2], &[2, 1])), (Some(1.0), Some(-1.0)));
    }
}
