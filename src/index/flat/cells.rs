//! Cells: spherical k-means (Dhillon and Modha 2001) that leaves no cell swollen and none starved.

use std::collections::BinaryHeap;
use std::thread;

use rand::seq::index::sample;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::finder::{Finder, Search};

/// Rounds of assigning and averaging.
pub(super) const ROUNDS: usize = 8;
/// Which of the seed's random streams chooses the first directions.
const STREAM: u64 = 1;
/// A cell with more than this many times the mean gives part of itself to one that has less than `STARVED` times the mean.
const SWOLLEN: f32 = 2.0;
const STARVED: f32 = 0.25;

/// Calls `work` for each of `rows` with its place in `out`, split among `threads`. The results do not depend on how many.
pub(super) fn for_each_row<T: Send, S>(
    rows: &[f32],
    width: usize,
    out: &mut [T],
    threads: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &[f32], &mut T) + Sync,
) {
    let share = out.len().div_ceil(threads.max(1)).max(1);
    let part = |rows: &[f32], out: &mut [T]| {
        let mut state = state();
        rows.chunks_exact(width).zip(out).for_each(|(row, out)| work(&mut state, row, out));
    };
    if threads <= 1 || out.len() < 256 {
        return part(rows, out);
    }
    thread::scope(|scope| {
        for (rows, out) in rows.chunks(share * width).zip(out.chunks_mut(share)) {
            scope.spawn(|| part(rows, out));
        }
    });
}

/// The directions of `cells` cells of a sample `[n, width]` of unit vectors; fewer where the sample is smaller. The same
/// seed gives the same. `O(rounds n cells)` of the cheapest kind (`Finder`); `tick` is called after each round.
pub(super) fn directions(
    rows: &[f32],
    width: usize,
    cells: usize,
    seed: u64,
    threads: usize,
    mut tick: impl FnMut(),
) -> Vec<f32> {
    let count = rows.len() / width;
    let cells = cells.min(count);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(STREAM);
    let row = |at: usize| &rows[at * width..(at + 1) * width];
    let mut directions: Vec<f32> =
        sample(&mut rng, count, cells).iter().flat_map(|at| row(at).iter().copied()).collect();
    let mut cell_of = vec![0u32; count];
    for round in 0..ROUNDS {
        let finder = Finder::new(&directions, width, seed);
        for_each_row(rows, width, &mut cell_of, threads, Search::default, |search, row, cell| {
            *cell = finder.nearest(row, search);
        });
        let counts = average(rows, width, &cell_of, &mut directions);
        if round + 1 < ROUNDS {
            relieve(rows, width, &cell_of, counts, &mut directions, &mut rng);
        }
        tick();
    }
    directions
}

/// Sets each direction to that of the sum of its rows; where there is none it stays.
fn average(rows: &[f32], width: usize, cell_of: &[u32], directions: &mut [f32]) -> Vec<u32> {
    let mut sums = vec![0.0f64; directions.len()];
    let mut counts = vec![0u32; directions.len() / width];
    for (row, cell) in rows.chunks_exact(width).zip(cell_of) {
        let cell = *cell as usize;
        counts[cell] += 1;
        sums[cell * width..(cell + 1) * width].iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v));
    }
    for (direction, sum) in directions.chunks_exact_mut(width).zip(sums.chunks_exact(width)) {
        let norm = sum.iter().map(|v| v * v).sum::<f64>().sqrt();
        if norm > 1e-9 {
            direction.iter_mut().zip(sum).for_each(|(d, sum)| *d = (sum / norm) as f32);
        }
    }
    counts
}

/// Moves the directions of starved cells to rows of swollen ones.
fn relieve(
    rows: &[f32],
    width: usize,
    cell_of: &[u32],
    counts: Vec<u32>,
    directions: &mut [f32],
    rng: &mut ChaCha8Rng,
) {
    let mean = cell_of.len() as f32 / counts.len().max(1) as f32;
    let starved: Vec<usize> = (0..counts.len()).filter(|cell| (counts[*cell] as f32) < STARVED * mean).collect();
    let is_swollen = |count: u32| count as f32 > SWOLLEN * mean;
    let mut swollen: BinaryHeap<(u32, usize, u32)> =
        counts.iter().enumerate().filter(|(_, c)| is_swollen(**c)).map(|(cell, c)| (*c, cell, *c)).collect();
    // Members side by side: those of cell c end at ends[c].
    let mut ends = counts.clone();
    let mut total = 0;
    ends.iter_mut().for_each(|end| (*end, total) = (total, total + *end));
    let mut members = vec![0u32; cell_of.len()];
    for (row, cell) in cell_of.iter().enumerate() {
        let end = &mut ends[*cell as usize];
        members[*end as usize] = row as u32;
        *end += 1;
    }
    for cell in starved {
        let Some((share, from, all)) = swollen.pop() else { return };
        let drawn = ends[from] - all + rng.random_range(0..all);
        let row = members[drawn as usize] as usize;
        directions[cell * width..(cell + 1) * width].copy_from_slice(&rows[row * width..(row + 1) * width]);
        if is_swollen(share - share / 2) {
            swollen.push((share - share / 2, from, all));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::random;
    use super::*;

    fn sizes(rows: &[f32], width: usize, directions: &[f32]) -> Vec<usize> {
        let finder = Finder::new(directions, width, 1);
        let mut sizes = vec![0; directions.len() / width];
        let mut search = Search::default();
        rows.chunks_exact(width).for_each(|row| sizes[finder.nearest(row, &mut search) as usize] += 1);
        sizes.sort_unstable();
        sizes
    }

    #[test]
    fn no_cell_is_ten_times_the_median() {
        // Nine tenths of the rows are around one centre.
        let (mut rows, few) = (random(9_000, 16, 1, 0.5, 1).as_slice().to_vec(), random(1_000, 16, 50, 0.5, 2));
        rows.extend_from_slice(few.as_slice());
        let directions = directions(&rows, 16, 50, 7, 2, || {});
        let sizes = sizes(&rows, 16, &directions);
        assert!(sizes[49] < 10 * sizes[25], "{sizes:?}");
    }

    #[test]
    fn threads_change_nothing_and_few_rows_are_few_cells() {
        let rows = random(2_000, 8, 10, 0.5, 1);
        let run = |threads| directions(rows.as_slice(), 8, 20, 3, threads, || {});
        assert_eq!(run(1), run(3));
        assert_eq!(directions(&rows.as_slice()[..24], 8, 20, 3, 1, || {}).len(), 24);
        assert!(directions(&[], 8, 20, 3, 1, || {}).is_empty());
        let equal = [0.6f32, 0.8, 0.0, 0.0].repeat(300);
        assert!(directions(&equal, 4, 5, 3, 1, || {}).iter().all(|v| v.is_finite()));
    }
}
