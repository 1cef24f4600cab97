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

/// What puts a price on an order, place by place.
pub(super) trait Course {
    /// Goes to the end of a beginning.
    fn follow(&mut self, path: &[u8]);

    /// What it costs to put `next` there.
    fn cost(&self, next: u8) -> Cost;
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
    /// An order of `0..n` (at most 128) that is cheaper than the given order `0, 1, ..`, and the cheapest where
    /// `width` beginnings are all there are and `reach >= n`. Of each length the `width` cheapest beginnings are kept, and
    /// each is extended by the first `reach` things left. `None`: nothing cheaper than the given order was found.
    /// `O(n * width * reach)` prices; no allocation once grown.
    pub(super) fn search(&mut self, n: usize, width: usize, reach: usize, course: &mut impl Course) -> Option<&[u8]> {
        let mut given = Partial { used: 0, cost: Cost::default(), path: std::array::from_fn(|at| at as u8) };
        for at in 0..n {
            course.follow(&given.path[..at]);
            given.cost += course.cost(at as u8);
        }
        self.kept.clear();
        self.kept.push(Partial { used: 0, cost: Cost::default(), path: [0; MOST] });
        for place in 0..n {
            self.extend(n, place, reach, course);
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
        self.kept.first().filter(|best| best.cost < given.cost).map(|best| &best.path[..n])
    }

    fn extend(&mut self, n: usize, place: usize, reach: usize, course: &mut impl Course) {
        self.extended.clear();
        for (parent, partial) in self.kept.iter().enumerate() {
            course.follow(&partial.path[..place]);
            let mut left = !partial.used;
            for _ in 0..reach.min(n - place) {
                // There are `n - place` bits below `n`, and those are the lowest.
                let next = left.trailing_zeros() as u8;
                left &= left - 1;
                let mut cost = partial.cost;
                cost += course.cost(next);
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
    #[derive(Clone)]
    struct Table(Vec<(u32, f32)>, Vec<u8>);

    impl Course for Table {
        fn follow(&mut self, path: &[u8]) {
            self.1 = path.to_vec();
        }

        fn cost(&self, next: u8) -> Cost {
            let Self(table, path) = self;
            let last = path.last().map_or(97, |last| usize::from(*last));
            let second = path.len().checked_sub(2).map_or(0, |at| usize::from(path[at]));
            let (broken, rest) = table[(last * 31 + usize::from(next) * 7 + path.len() + second * 3) % table.len()];
            Cost { broken: broken / 3, rest }
        }
    }

    fn total(list: &[u8], table: &[(u32, f32)]) -> Cost {
        let (mut cost, mut course) = (Cost::default(), Table(table.to_vec(), vec![]));
        for at in 0..list.len() {
            course.follow(&list[..at]);
            cost += course.cost(list[at]);
        }
        cost
    }

    fn found(n: usize, width: usize, reach: usize, table: &[(u32, f32)]) -> Vec<u8> {
        let mut course = Table(table.to_vec(), vec![]);
        let found = Beam::default().search(n, width, reach, &mut course).map(<[u8]>::to_vec);
        found.unwrap_or_else(|| (0..n as u8).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn wide_enough_it_finds_the_cheapest_order(
            n in 0u8..7, table in prop::collection::vec((0u32..4, 0.0f32..1.0), 1..97),
        ) {
            let list = found(usize::from(n), 720, 7, &table);
            let best = permutations(n).iter().map(|list| total(list, &table)).min_by(|a, b| a.partial_cmp(b).unwrap());
            prop_assert_eq!(total(&list, &table), best.unwrap());
        }

        #[test]
        fn narrow_it_is_a_permutation_no_dearer_than_the_given_order(
            n in 1usize..=MOST, width in 1usize..9, reach in 1usize..9,
            table in prop::collection::vec((0u32..4, 0.0f32..1.0), 1..997),
        ) {
            let list = found(n, width, reach, &table);
            let mut sorted = list.clone();
            sorted.sort_unstable();
            prop_assert!(sorted.iter().copied().eq(0..n as u8));
            prop_assert!(total(&list, &table) <= total(&sorted, &table));
        }
    }
}
