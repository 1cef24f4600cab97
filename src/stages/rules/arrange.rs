//! The arithmetic of a list under rules: rows are numbers, best first.

/// A row that is to stand at a place, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pin {
    pub(super) place: usize,
    pub(super) row: u32,
}

/// What came of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Placed {
    /// Whether each pin stands in the list.
    pub(super) pinned: Vec<bool>,
    /// The rows that each quota brought into the list.
    pub(super) brought: Vec<Vec<u32>>,
    /// The places that each quota wanted and did not get.
    pub(super) short: Vec<usize>,
}

/// Sorts `pool` by place minus `shift` of each row: a positive shift moves a row up. Where two come to the same place, the
/// one that moved further up stands first. `O(n log n)`.
pub(super) fn shift(pool: &mut [u32], shift: impl Fn(u32) -> i64) {
    let mut at = -1i64;
    pool.sort_by_cached_key(|row| {
        at += 1;
        let by = shift(*row);
        (at - by, -by)
    });
}

/// Makes a list of the first `limit` of `pool`, which stands best first: pins take their places, the others fill the rest
/// in their order, then each quota that is short takes, in order, the best rows below the list that fit it and puts each
/// in the place of the last row that no pin and no quota before it needs. `fits[q](row)` says whether a row counts for
/// quota `q`, which wants `wanted[q]`. A pin whose place is taken gets the next free one; one that finds none, whose place
/// lies beyond the list or whose row is pinned already is not kept.
///
/// The list replaces `pool`. `O(limit * (limit + quotas) + pool * quotas)`.
pub(super) fn place(
    pool: &mut Vec<u32>,
    limit: usize,
    pins: &[Pin],
    wanted: &[usize],
    fits: impl Fn(usize, u32) -> bool,
) -> Placed {
    let len = limit.min(pool.len());
    let mut slots: Vec<Option<u32>> = vec![None; len];
    let mut placed = Placed { pinned: vec![false; pins.len()], ..Placed::default() };
    for (pin, kept) in pins.iter().zip(&mut placed.pinned) {
        let free = (pin.place..len).find(|at| slots[*at].is_none());
        if let (Some(at), false, true) = (free, slots.contains(&Some(pin.row)), pool.contains(&pin.row)) {
            (slots[at], *kept) = (Some(pin.row), true);
        }
    }
    let pinned: Vec<bool> = slots.iter().map(Option::is_some).collect();
    pool.retain(|row| !slots.contains(&Some(*row)));
    let mut rest = pool.iter().copied();
    let list: Vec<u32> = slots.into_iter().filter_map(|slot| slot.or_else(|| rest.next())).collect();
    let mut below: Vec<u32> = rest.collect();
    let mut list = list;
    let mut have: Vec<usize> =
        (0..wanted.len()).map(|quota| list.iter().filter(|row| fits(quota, **row)).count()).collect();
    for quota in 0..wanted.len() {
        let mut brought = Vec::new();
        while have[quota] < wanted[quota] {
            let spare = |at: &usize| {
                let row = list[*at];
                !pinned[*at]
                    && !fits(quota, row)
                    && (0..quota).all(|earlier| !fits(earlier, row) || have[earlier] > wanted[earlier])
            };
            let (Some(from), Some(to)) = (below.iter().position(|row| fits(quota, *row)), (0..len).rev().find(spare))
            else {
                break;
            };
            let (row, gone) = (below.remove(from), list[to]);
            list[to] = row;
            for (other, have) in have.iter_mut().enumerate() {
                *have = *have + usize::from(fits(other, row)) - usize::from(fits(other, gone));
            }
            brought.push(row);
        }
        // What is brought stands best first, in the places that became free.
        let mut places: Vec<usize> = (0..len).filter(|at| brought.contains(&list[*at])).collect();
        places.sort_unstable();
        places.into_iter().zip(&brought).for_each(|(at, row)| list[at] = *row);
        placed.short.push(wanted[quota].saturating_sub(have[quota]));
        placed.brought.push(brought);
    }
    *pool = list;
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bits of quotas that a row fits.
    fn bit(kinds: &[u8], quota: usize, row: u32) -> bool {
        kinds[row as usize] >> quota & 1 == 1
    }

    fn count(kinds: &[u8], list: &[u32], quota: usize) -> usize {
        list.iter().filter(|row| bit(kinds, quota, **row)).count()
    }

    /// Every list of `len` distinct rows out of `n`, as sets.
    fn subsets(n: u32, len: usize) -> Vec<Vec<u32>> {
        let all = (0u32..1 << n).filter(|set| set.count_ones() as usize == len);
        all.map(|set| (0..n).filter(|row| set >> row & 1 == 1).collect()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// The place of a row is the number of rows that come before it by the definition.
        #[test]
        fn shifts_as_defined(by in prop::collection::vec(-5i64..6, 0..30)) {
            let mut pool: Vec<u32> = (0..by.len() as u32).rev().collect();
            let given = pool.clone();
            shift(&mut pool, |row| by[row as usize]);
            let key = |row: u32| {
                let at = given.iter().position(|other| *other == row).unwrap();
                (at as i64 - by[row as usize], -by[row as usize], at)
            };
            for (at, row) in pool.iter().enumerate() {
                prop_assert_eq!(given.iter().filter(|other| key(**other) < key(*row)).count(), at);
            }
        }

        /// Nothing is invented, repeated or left out that had room; the first quota is met whenever any list meets it, and
        /// what was met stays met; without need nothing moves.
        #[test]
        fn places_as_promised(
            kinds in prop::collection::vec(0u8..4, 0..8), limit in 0usize..9,
            pins in prop::collection::vec((0usize..9, 0u32..9), 0..4), wanted in prop::collection::vec(0usize..5, 0..3),
        ) {
            let n = kinds.len() as u32;
            let pins: Vec<Pin> = pins.into_iter().map(|(place, row)| Pin { place, row }).collect();
            let mut list: Vec<u32> = (0..n).collect();
            let placed = place(&mut list, limit, &pins, &wanted, |quota, row| bit(&kinds, quota, row));
            let len = limit.min(n as usize);
            prop_assert_eq!(list.len(), len);
            let mut sorted = list.clone();
            sorted.sort_unstable();
            sorted.dedup();
            prop_assert!(sorted.len() == len && sorted.iter().all(|row| *row < n));
            // Pins, one after the other, by the definition.
            let mut held: Vec<(usize, u32)> = Vec::new();
            for (pin, kept) in pins.iter().zip(&placed.pinned) {
                let free = (pin.place..len).find(|at| held.iter().all(|(other, _)| other != at));
                let may = pin.row < n && held.iter().all(|(_, row)| *row != pin.row);
                prop_assert_eq!(*kept, free.is_some() && may);
                held.extend(free.filter(|_| may).map(|at| (at, pin.row)));
            }
            prop_assert!(held.iter().all(|(at, row)| list[*at] == *row));
            // Without quotas the others keep their order and are the best.
            let rest: Vec<u32> = (0..n).filter(|row| held.iter().all(|(_, held)| held != row)).collect();
            let others: Vec<u32> = list.iter().copied().filter(|row| held.iter().all(|(_, h)| h != row)).collect();
            let brought: Vec<u32> = placed.brought.iter().flatten().copied().collect();
            let kept: Vec<u32> = others.iter().copied().filter(|row| !brought.contains(row)).collect();
            prop_assert!(kept.is_sorted());
            prop_assert!(brought.iter().all(|row| !rest[..others.len()].contains(row) || !list.contains(row)));
            if wanted.iter().enumerate().all(|(quota, wanted)| {
                held.iter().map(|(_, row)| *row).chain(rest[..others.len()].iter().copied())
                    .filter(|row| bit(&kinds, quota, *row)).count() >= *wanted
            }) {
                prop_assert_eq!(&others, &rest[..others.len()]);
            }
            // Quotas: the first has as many as any list with these pins could have, up to what it wants.
            let possible = |quota: usize, earlier: &[usize]| {
                let lists = subsets(n, len).into_iter().filter(|set| {
                    held.iter().all(|(_, row)| set.contains(row))
                        && earlier.iter().enumerate().all(|(e, have)| count(&kinds, set, e) >= *have)
                });
                lists.map(|set| count(&kinds, &set, quota)).max().unwrap_or(0)
            };
            let mut earlier = Vec::new();
            for (quota, wanted) in wanted.iter().enumerate() {
                let have = count(&kinds, &list, quota);
                prop_assert_eq!(placed.short[quota], wanted.saturating_sub(have));
                if quota == 0 {
                    prop_assert!(have >= (*wanted).min(possible(0, &earlier)));
                }
                earlier.push(have.min(*wanted));
            }
        }
    }

    #[test]
    fn quotas_replace_from_the_end_and_spare_each_other() {
        // Rows 6 and 7 fit the first quota, 7 and 8 the second.
        let fits = |quota: usize, row: u32| [[6, 7], [7, 8]][quota].contains(&row);
        let mut list: Vec<u32> = (0..9).collect();
        let placed = place(&mut list, 4, &[Pin { place: 3, row: 3 }], &[1, 2], fits);
        assert_eq!(list, [0, 7, 8, 3], "row 7 counts for both, so row 6 is not needed any more");
        assert_eq!(placed.brought, [vec![6], vec![7, 8]]);
        let mut list: Vec<u32> = (0..9).collect();
        let placed = place(&mut list, 1, &[], &[1, 1], fits);
        assert_eq!((list, placed.short), (vec![6], vec![0, 1]), "the earlier rule has the place");
    }
}
