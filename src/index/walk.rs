//! The search of a navigable graph: down the levels greedily, then breadth `ef` on the bottom level (Malkov and
//! Yashunin 2016, algorithms 2 and 5).

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::dot;
use super::graph::Graph;
use super::top_k::best_first;
use crate::domain::{ItemVectors, Retrieved, TrackIx};
use crate::pipeline::Deadline;

/// Nodes expanded between two looks at the clock.
const STEPS_A_CHECK: usize = 64;

/// A scored row; greater = better.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Near(Retrieved);

impl Eq for Near {}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> Ordering {
        best_first(&other.0, &self.0)
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Rows seen in the present walk: stamps, so that forgetting all of them costs nothing.
#[derive(Debug, Default)]
struct Visited {
    stamps: Vec<u16>,
    now: u16,
}

impl Visited {
    fn start(&mut self, rows: usize) {
        self.stamps.resize(rows, 0);
        self.now = self.now.wrapping_add(1);
        if self.now == 0 {
            self.stamps.fill(0);
            self.now = 1;
        }
    }

    /// Whether the row is seen for the first time.
    #[inline]
    fn insert(&mut self, row: u32) -> bool {
        let stamp = &mut self.stamps[row as usize];
        std::mem::replace(stamp, self.now) != self.now
    }
}

/// The memory of one lane's walks: grows to the largest `ef` and is reused. 2 bytes a row.
#[derive(Debug, Default)]
pub(super) struct Walk {
    visited: Visited,
    frontier: BinaryHeap<Near>,
    best: BinaryHeap<Reverse<Near>>,
    unseen: Vec<u32>,
}

impl Walk {
    /// Appends the `k` best rows that a walk of breadth `ef >= k` finds to `out`, best first; when the deadline passes,
    /// the best so far. `graph` has passed its check and has as many rows as `vectors`.
    pub(super) fn search(
        &mut self,
        graph: &Graph,
        vectors: &ItemVectors,
        query: &[f32],
        (k, ef): (usize, usize),
        deadline: &Deadline,
        out: &mut Vec<Retrieved>,
    ) {
        if graph.rows == 0 || k == 0 {
            return;
        }
        self.visited.start(graph.rows);
        self.frontier.clear();
        self.best.clear();
        let start = descend(graph, vectors, query);
        self.visited.insert(start.0.track.0);
        self.frontier.push(start);
        self.best.push(Reverse(start));
        self.spread(graph, vectors, query, ef, deadline);
        out.extend(self.best.drain().map(|near| near.0.0));
        out.sort_unstable_by(best_first);
        out.truncate(k);
    }

    /// Expands the most promising node until none can improve the `ef` best.
    fn spread(&mut self, graph: &Graph, vectors: &ItemVectors, query: &[f32], ef: usize, deadline: &Deadline) {
        let bottom = &graph.levels[0];
        let mut steps = 0;
        while let Some(node) = self.frontier.pop() {
            if self.best.len() >= ef && self.bar() > node.0.score {
                return;
            }
            steps += 1;
            if steps % STEPS_A_CHECK == 0 && deadline.passed() {
                return;
            }
            self.unseen.clear();
            for row in bottom.links_of(node.0.track.0) {
                if self.visited.insert(*row) {
                    self.unseen.push(*row);
                }
            }
            for at in 0..self.unseen.len() {
                let near = score(vectors, query, self.unseen[at]);
                if self.best.len() < ef {
                    self.best.push(Reverse(near));
                    self.frontier.push(near);
                } else if near.0.score > self.bar() {
                    if let Some(mut worst) = self.best.peek_mut() {
                        *worst = Reverse(near);
                    }
                    self.frontier.push(near);
                }
            }
        }
    }

    /// The score of the worst row kept.
    #[inline]
    fn bar(&self) -> f32 {
        self.best.peek().map_or(f32::MIN, |worst| worst.0.0.score)
    }
}

#[inline]
fn score(vectors: &ItemVectors, query: &[f32], row: u32) -> Near {
    Near(Retrieved { track: TrackIx(row), score: dot(vectors.row(row as usize), query) })
}

/// The best row reachable by always stepping to the best neighbour, from the top level down to the one above the bottom.
fn descend(graph: &Graph, vectors: &ItemVectors, query: &[f32]) -> Near {
    let mut here = score(vectors, query, graph.entry);
    for level in graph.levels.iter().skip(1).rev() {
        while let Some(next) =
            level.links_of(here.0.track.0).iter().map(|row| score(vectors, query, *row)).max().filter(|n| *n > here)
        {
            here = next;
        }
    }
    here
}

#[cfg(test)]
mod tests {
    use super::super::graph::Level;
    use super::*;

    #[test]
    fn walks_a_ring_and_stops_at_its_deadline() {
        let (rows, dim) = (1_000usize, 2);
        let data: Vec<f32> = (0..rows)
            .flat_map(|row| {
                let angle = row as f32 / rows as f32 * std::f32::consts::TAU;
                [angle.cos(), angle.sin()]
            })
            .collect();
        let vectors = ItemVectors::from_raw(data, dim).unwrap();
        let ring: Vec<Vec<u32>> =
            (0..rows).map(|row| vec![((row + 1) % rows) as u32, ((row + rows - 1) % rows) as u32]).collect();
        let graph = Graph { rows, dim, entry: 0, levels: vec![Level::pack(Vec::new(), &ring)] };
        let (mut walk, mut out) = (Walk::default(), Vec::new());
        for _ in 0..3 {
            out.clear();
            walk.search(&graph, &vectors, vectors.row(1), (3, 3), &Deadline::never(), &mut out);
            assert_eq!(out.iter().map(|hit| hit.track.0).collect::<Vec<_>>(), [1, 0, 2]);
        }
        out.clear();
        walk.search(&graph, &vectors, vectors.row(500), (1_000, 1_000), &Deadline::after_checks(2), &mut out);
        assert!((1..1_000).contains(&out.len()), "{}", out.len());
    }

    #[test]
    fn stamps_survive_their_overflow() {
        let mut visited = Visited::default();
        for _ in 0..70_000 {
            visited.start(2);
            assert!(visited.insert(1) && !visited.insert(1));
        }
    }
}
