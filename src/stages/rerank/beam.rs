//! Beam search for the cheapest order of a few things.

/// Most things that are ordered.
pub(super) const MOST: usize = 128;

/// What an order costs: first rules broken, then the rest.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub(super) struct Cost {
    /// Rules broken, places.
    pub(super) broken: u32,
    /// Everything else; finite.
    pub(super) rest: f32,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.broken += other.broken;
        self.rest += other.rest;
    }
}

/// The beginning of an order.
#[derive(Debug, Clone, Copy)]
struct Partial {
    used: u128,
    cost: Cost,
    path: [u8; MOST],
}

/// One more place of one beginning.
#[derive(Debug, Clone, Copy)]
struct Extended {
    cost: Cost,
    parent: u32,
    next: u8,
}

/// The search; keeps its memory.
#[derive(Debug, Default)]
pub(super) struct Beam {
    kept: Vec<Partial>,
    longer: Vec<Partial>,
    extended: Vec<Extended>,
}

impl Beam {
    /// An order of `0..n` (at most 128) whose cost is at most that of the given order `0, 1, ..`, and the cheapest where
    /// `width` beginnings are all there are and `reach >= n`. Of each length the `width` cheapest beginnings are kept, and
    /// each is extended by the first `reach` things left. `step(path, next)`: what it costs to put `next` after `path`.
    /// Gives the order with its cost, then the cost of the given order. `O(n * width * reach)` steps; no allocation once
    /// grown.
    pub(super) fn search(
        &mut self,
        n: usize,
        width: usize,
        reach: usize,
        step: &impl Fn(&[u8], u8) -> Cost,
    ) -> (&[u8], Cost, Cost) {
        let mut given = Partial { used: 0, cost: Cost::default(), path: std::array::from_fn(|at| at as u8) };
        for at in 0..n {
            given.cost += step(&given.path[..at], at as u8);
        }
        self.kept.clear();
        self.kept.push(Partial { used: 0, cost: Cost::default(), path: [0; MOST] });
        for place in 0..n {
            self.extend(n, place, reach, step);
            let cheapest = |a: &Extended, b: &Extended| {
                let cost = a.cost.broken.cmp(&b.cost.broken).then(a.cost.rest.total_cmp(&b.cost.rest));
                cost.then(a.parent.cmp(&b.parent)).then(a.next.cmp(&b.next))
            };
            if self.extended.len() > width {
                self.extended.select_nth_unstable_by(width, cheapest);
                self.extended.truncate(width);
            }
            self.extended.sort_unstable_by(cheapest);
            self.longer.clear();
            for Extended { cost, parent, next } in &self.extended {
                let mut partial = self.kept[*parent as usize];
                (partial.used, partial.cost) = (partial.used | 1 << next, *cost);
                partial.path[place] = *next;
                self.longer.push(partial);
            }
            std::mem::swap(&mut self.kept, &mut self.longer);
        }
        // The cheapest stands first.
        let before = given.cost;
        if self.kept[0].cost < before {
            (&self.kept[0].path[..n], self.kept[0].cost, before)
        } else {
            self.kept[0] = given;
            (&self.kept[0].path[..n], before, before)
        }
    }

    fn extend(&mut self, n: usize, place: usize, reach: usize, step: &impl Fn(&[u8], u8) -> Cost) {
        self.extended.clear();
        for (parent, partial) in self.kept.iter().enumerate() {
            let left = (0..n as u8).filter(|next| partial.used >> next & 1 == 0);
            for next in left.take(reach) {
                let mut cost = partial.cost;
                cost += step(&partial.path[..place], next);
                self.extended.push(Extended { cost, parent: parent as u32, next });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn permutations(n: u8) -> Vec<Vec<u8>> {
        if n == 0 {
            return vec![vec![]];
        }
        let longer = |list: Vec<u8>| {
            (0..=list.len()).map(move |at| [&list[..at], &[n - 1], &list[at..]].concat()).collect::<Vec<_>>()
        };
        permutations(n - 1).into_iter().flat_map(longer).collect()
    }

    /// Costs that depend on the place and the two before.
    fn step(table: &[(u32, f32)], n: usize) -> impl Fn(&[u8], u8) -> Cost {
        move |path, next| {
            let last = path.last().map_or(n, |last| usize::from(*last));
            let second = path.len().checked_sub(2).map_or(0, |at| usize::from(path[at]));
            let (broken, rest) = table[(last * 31 + usize::from(next) * 7 + path.len() + second * 3) % table.len()];
            Cost { broken: broken / 3, rest }
        }
    }

    fn total(list: &[u8], step: &impl Fn(&[u8], u8) -> Cost) -> Cost {
        let mut cost = Cost::default();
        (0..list.len()).for_each(|at| cost += step(&list[..at], list[at]));
        cost
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn wide_enough_it_finds_the_cheapest_order(
            n in 0u8..7, table in prop::collection::vec((0u32..4, 0.0f32..1.0), 1..97),
        ) {
            let step = step(&table, usize::from(n));
            let mut beam = Beam::default();
            let (list, cost, _) = beam.search(usize::from(n), 720, 7, &step);
            prop_assert_eq!(total(list, &step), cost);
            let best = permutations(n).iter().map(|list| total(list, &step)).min_by(|a, b| a.partial_cmp(b).unwrap());
            prop_assert_eq!(cost, best.unwrap());
        }

        #[test]
        fn narrow_it_is_a_permutation_no_dearer_than_the_given_order(
            n in 1usize..=MOST, width in 1usize..9, reach in 1usize..9,
            table in prop::collection::vec((0u32..4, 0.0f32..1.0), 1..997),
        ) {
            let step = step(&table, n);
            let mut beam = Beam::default();
            let (list, cost, given) = beam.search(n, width, reach, &step);
            let (mut sorted, found) = (list.to_vec(), total(list, &step));
            sorted.sort_unstable();
            prop_assert!(sorted.iter().copied().eq(0..n as u8));
            prop_assert!(found == cost && cost <= given);
            prop_assert_eq!(given, total(&(0..n as u8).collect::<Vec<_>>(), &step));
        }
    }
}
