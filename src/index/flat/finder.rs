//! Which of many directions is nearest: the inner step of k-means and of a build.

use super::codec::{Codec, Probe, put_short};
use super::kernels::{BLOCK_ROWS, Loops, fastest};

/// Standard deviations of the short codes' error that a better direction may hide behind.
const MARGIN: f32 = 3.0;
/// Blocks scanned between two looks at the best so far.
const BLOCKS_A_STEP: usize = 8;

/// Directions `[count, width]`, coded.
pub(super) struct Finder {
    codec: Codec,
    short: Vec<u8>,
    long: Vec<i8>,
    count: usize,
    kernels: Loops,
}

/// Memory of one thread that looks for directions.
#[derive(Default)]
pub(super) struct Search {
    probe: Probe,
    masks: [u32; BLOCKS_A_STEP],
    rows: Vec<u32>,
    dots: Vec<i32>,
}

impl Finder {
    /// Codes the directions. `O(count width)`.
    pub(super) fn new(directions: &[f32], width: usize, seed: u64) -> Self {
        let count = directions.len() / width;
        let mut mean = vec![0.0f32; width];
        for row in directions.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(m, v)| *m += v / count as f32);
        }
        let centred: Vec<f32> =
            directions.chunks_exact(width).flat_map(|row| row.iter().zip(&mean).map(|(v, m)| v - m)).collect();
        let codec = Codec::train(&centred, width, seed);
        let mut short = vec![0; count.div_ceil(BLOCK_ROWS) * codec.block_bytes()];
        let mut long = vec![0; count * width];
        let mut codes = vec![0; width / 4];
        for (row, values) in centred.chunks_exact(width).enumerate() {
            codec.encode(values, &mut codes, &mut long[row * width..(row + 1) * width]);
            let block = row / BLOCK_ROWS * codec.block_bytes();
            put_short(&codes, row % BLOCK_ROWS, &mut short[block..block + codec.block_bytes()]);
        }
        Self { codec, short, long, count, kernels: fastest() }
    }

    /// Number of directions.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The direction with the greatest dot product with `vector`, as good as the long codes tell; 0 where there are no
    /// directions. The directions' mean adds the same to all products and is left out. `O(count)`, no allocation once warm.
    pub(super) fn nearest(&self, vector: &[f32], search: &mut Search) -> u32 {
        search.probe.query.clear();
        search.probe.query.extend_from_slice(vector);
        search.probe.prepare(&self.codec, self.kernels);
        let (mut best, mut row_of_best) = (f32::MIN, 0);
        let bytes = self.codec.block_bytes();
        let slack = MARGIN * search.probe.noise;
        for (step, blocks) in self.short.chunks(BLOCKS_A_STEP * bytes).enumerate() {
            let masks = &mut search.masks[..blocks.len() / bytes];
            self.kernels.scan(blocks, bytes, &search.probe.tables, search.probe.threshold(best - slack), masks);
            search.rows.clear();
            for (block, mask) in masks.iter().enumerate() {
                let first = (step * BLOCKS_A_STEP + block) * BLOCK_ROWS;
                push_marked(*mask, first as u32, &mut search.rows);
            }
            search.rows.retain(|row| (*row as usize) < self.count);
            search.dots.resize(search.rows.len(), 0);
            self.kernels.dot_codes(&self.long, &search.rows, &search.probe.long, &mut search.dots);
            for (row, dot) in search.rows.iter().zip(&search.dots) {
                let score = *dot as f32 * search.probe.long_step;
                if score > best {
                    (best, row_of_best) = (score, *row);
                }
            }
        }
        row_of_best
    }
}

/// Pushes `first` + the place of each bit that is set.
#[inline]
pub(super) fn push_marked(mut mask: u32, first: u32, rows: &mut Vec<u32>) {
    while mask != 0 {
        rows.push(first + mask.trailing_zeros());
        mask &= mask - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{dot, testing};
    use super::*;

    #[test]
    fn finds_what_a_full_scan_finds() {
        let directions = testing::random(1_000, 16, 40, 0.8, 3);
        let finder = Finder::new(directions.as_slice(), 16, 1);
        let mut search = Search::default();
        let mut same = 0;
        for seed in 0..200 {
            let query = testing::query(16, seed);
            let scores: Vec<f32> = (0..1_000).map(|row| dot(directions.row(row), query.as_slice())).collect();
            let best = scores.iter().copied().fold(f32::MIN, f32::max);
            let found = scores[finder.nearest(query.as_slice(), &mut search) as usize];
            assert!(best - found < 0.02, "{found} for {best}");
            same += usize::from(found == best);
        }
        assert!(same >= 190, "{same} of 200");
    }
}
