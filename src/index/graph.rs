//! A navigable graph in flat arrays: what a search walks and what a bundle stores.

/// The links of one level, grouped by the row they start from.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Level {
    /// Rows on this level, rising. Empty on the bottom level, which holds every row.
    pub(super) nodes: Vec<u32>,
    /// `[nodes + 1]`: where each node's links start in `links`.
    pub(super) starts: Vec<u32>,
    /// Rows linked to, nearest first.
    pub(super) links: Vec<u32>,
}

impl Level {
    /// Packs lists of links; `nodes` is empty where list i belongs to row i.
    pub(super) fn pack(nodes: Vec<u32>, lists: &[Vec<u32>]) -> Self {
        let mut starts = Vec::with_capacity(lists.len() + 1);
        let mut links = Vec::with_capacity(lists.iter().map(Vec::len).sum());
        starts.push(0);
        for list in lists {
            links.extend_from_slice(list);
            starts.push(links.len() as u32);
        }
        Self { nodes, starts, links }
    }

    /// The rows that `row` links to; none where the row is not on this level.
    #[inline]
    pub(super) fn links_of(&self, row: u32) -> &[u32] {
        let slot = if self.nodes.is_empty() { Ok(row as usize) } else { self.nodes.binary_search(&row) };
        match slot {
            Ok(slot) => &self.links[self.starts[slot] as usize..self.starts[slot + 1] as usize],
            Err(_) => &[],
        }
    }

    /// Whether every number in it is a legal row or position, so that a walk cannot leave the arrays.
    fn check(&self, rows: usize, bottom: bool) -> Result<(), &'static str> {
        let nodes = if bottom { rows } else { self.nodes.len() };
        let in_range = |ids: &[u32]| ids.iter().all(|id| (*id as usize) < rows);
        if bottom != self.nodes.is_empty() || self.starts.len() != nodes + 1 {
            return Err("a level has the wrong number of nodes");
        }
        if !in_range(&self.nodes) || !in_range(&self.links) {
            return Err("a link leads to a row that does not exist");
        }
        if !self.nodes.is_sorted_by(|a, b| a < b) || !self.starts.is_sorted() {
            return Err("nodes or positions are not in order");
        }
        if self.starts.first() != Some(&0) || self.starts.last().map(|end| *end as usize) != Some(self.links.len()) {
            return Err("positions and links disagree");
        }
        Ok(())
    }
}

/// All levels. Immutable; about `4 (2 connections + 1)` bytes a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Graph {
    /// Number of indexed vectors.
    pub(super) rows: usize,
    /// Their dimension.
    pub(super) dim: usize,
    /// Where a walk starts.
    pub(super) entry: u32,
    /// Bottom level first.
    pub(super) levels: Vec<Level>,
}

impl Graph {
    /// The graph of no vectors.
    pub(super) fn empty(dim: usize) -> Self {
        Self { rows: 0, dim, entry: 0, levels: vec![Level { starts: vec![0], ..Level::default() }] }
    }

    /// Checks all that a walk relies on. `O(links)`.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.levels.is_empty() {
            return Err("there is no level");
        }
        if self.entry as usize >= self.rows.max(1) {
            return Err("the entry point does not exist");
        }
        self.levels.iter().enumerate().try_for_each(|(at, level)| level.check(self.rows, at == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_and_finds_links() {
        let bottom = Level::pack(Vec::new(), &[vec![1, 2], vec![], vec![0]]);
        let upper = Level::pack(vec![0, 2], &[vec![2], vec![0]]);
        assert_eq!((bottom.links_of(0), bottom.links_of(1), bottom.links_of(2)), (&[1, 2][..], &[][..], &[0][..]));
        assert_eq!((upper.links_of(1), upper.links_of(2)), (&[][..], &[0][..]));
        let graph = Graph { rows: 3, dim: 2, entry: 2, levels: vec![bottom, upper] };
        assert_eq!(graph.check(), Ok(()));
        assert_eq!(Graph::empty(4).check(), Ok(()));
        let mut stray = graph.clone();
        stray.levels[0].links[0] = 3;
        assert!(stray.check().is_err());
        assert!(Graph { entry: 3, ..graph }.check().is_err());
    }
}
