//! The loops that a search spends its time in, written plainly once and again for each instruction set.
//!
//! All of them give the same bits as the plain ones: sums of floats keep one order of additions, the rest is integers.

use std::sync::OnceLock;

use super::agenda::{CellTable, step};

/// Rows that one block of short codes holds.
pub(super) const BLOCK_ROWS: usize = 32;
/// Entries of one table: a short code is four bits.
pub(super) const TABLE: usize = 16;
/// Largest entry of a table. Two of them add up within a byte.
pub(super) const MAX_ENTRY: u8 = 127;

/// Bytes of a block of short codes of `width` components: four of them, two codes, are a byte.
pub(super) const fn block_bytes(width: usize) -> usize {
    width / 4 * BLOCK_ROWS
}

/// One instruction set's loops; those given here are the plain ones.
pub(super) trait Kernels: Send + Sync {
    /// `scalar`, `avx2`, `avx512` or `neon`.
    fn name(&self) -> &'static str;

    /// For each block, which rows' sums of table entries reach the threshold: bit r of `masks[b]` is row r of block b.
    ///
    /// A block is runs of 32 bytes; byte r of run p holds row r's code for table 2p in its low half and for table 2p + 1
    /// in its high half. `tables` is `[tables][16]`, entries up to [`MAX_ENTRY`]; of runs that have none the first ones
    /// are read.
    fn scan(&self, blocks: &[u8], block_bytes: usize, tables: &[u8], threshold: u16, masks: &mut [u32]) {
        for (block, mask) in blocks.chunks_exact(block_bytes).zip(masks) {
            let mut sums = [0u16; BLOCK_ROWS];
            for (run, pair) in block.chunks_exact(BLOCK_ROWS).zip(tables.chunks_exact(2 * TABLE)) {
                for (sum, byte) in sums.iter_mut().zip(run) {
                    let (low, high) = (usize::from(byte & 15), usize::from(byte >> 4));
                    *sum = sum.wrapping_add(u16::from(pair[low]) + u16::from(pair[TABLE + high]));
                }
            }
            *mask = sums.iter().enumerate().fold(0, |mask, (row, sum)| mask | u32::from(*sum >= threshold) << row);
        }
    }

    /// `out[i]` = dot product of `query` and row `rows[i]` of `codes`, whose rows are as long as the query. At most 127 x
    /// the sum of the query's sizes, which must fit in 31 bits.
    fn dot_codes(&self, codes: &[i8], rows: &[u32], query: &[i16], out: &mut [i32]) {
        let width = query.len();
        for (row, out) in rows.iter().zip(out) {
            let codes = &codes[*row as usize * width..(*row as usize + 1) * width];
            *out = codes.iter().zip(query).map(|(c, q)| i32::from(*c) * i32::from(*q)).sum();
        }
    }

    /// `out[i]` = dot product of `query` and row i of `matrix`, as [`super::super::dot`] adds it.
    fn dot_rows(&self, matrix: &[f32], query: &[f32], out: &mut [f32]) {
        dot_rows(matrix, query, out);
    }

    /// `out[16 s + c]` = `x[16 s + c] * query[2 s] + y[16 s + c] * query[2 s + 1]`.
    fn entries(&self, x: &[f32], y: &[f32], query: &[f32], out: &mut [f32]) {
        entries(x, y, query, out);
    }

    /// Asks for memory to be brought near, where the machine can be asked; nothing depends on it.
    fn fetch(&self, _from: *const u8, _bytes: usize) {}

    /// The place of each cell in the order of expected hits: [`super::agenda::step`].
    fn steps(&self, cells: &CellTable, means: &[f32], bar: f32, inverse_spread: f32, out: &mut [u8]) {
        steps(cells, means, bar, inverse_spread, out);
    }
}

/// The loops that a search runs.
pub(super) type Loops = &'static dyn Kernels;

/// The fastest that this machine runs; found out once.
pub(super) fn fastest() -> Loops {
    static BEST: OnceLock<Loops> = OnceLock::new();
    *BEST.get_or_init(|| all().pop().unwrap_or(&Scalar))
}

/// All that this machine runs, fastest last.
fn all() -> Vec<Loops> {
    let mut all: Vec<Loops> = vec![&Scalar];
    #[cfg(target_arch = "x86_64")]
    all.extend(super::x86::available());
    #[cfg(target_arch = "aarch64")]
    all.push(&super::neon::Neon);
    all
}

struct Scalar;

impl Kernels for Scalar {
    fn name(&self) -> &'static str {
        "scalar"
    }
}

/// The plain body of `dot_rows`, to be compiled for other instruction sets too.
#[inline(always)]
pub(super) fn dot_rows(matrix: &[f32], query: &[f32], out: &mut [f32]) {
    for (row, out) in matrix.chunks_exact(query.len()).zip(out) {
        *out = crate::index::dot(row, query);
    }
}

/// The plain body of `entries`.
#[inline(always)]
pub(super) fn entries(x: &[f32], y: &[f32], query: &[f32], out: &mut [f32]) {
    let (x, _) = x.as_chunks::<TABLE>();
    let (y, _) = y.as_chunks::<TABLE>();
    let (out, _) = out.as_chunks_mut::<TABLE>();
    let (query, _) = query.as_chunks::<2>();
    for (((x, y), query), out) in x.iter().zip(y).zip(query).zip(out) {
        for code in 0..TABLE {
            out[code] = x[code] * query[0] + y[code] * query[1];
        }
    }
}

/// The plain body of `steps`.
#[inline(always)]
pub(super) fn steps(cells: &CellTable, means: &[f32], bar: f32, inverse_spread: f32, out: &mut [u8]) {
    for (((mean, inverse_size), log_count), out) in
        means.iter().zip(&cells.inverse_sizes).zip(&cells.log_counts).zip(out)
    {
        *out = step((bar - mean) * (inverse_size * inverse_spread), *log_count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn every_set_gives_the_same_bits(seed: u64, pairs in 1usize..40, blocks in 0usize..9, unused in 0usize..3, threshold in 0u16..6_000) {
            let used = pairs.saturating_sub(unused).max(1);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let bytes: Vec<u8> = (0..blocks * block_bytes(4 * pairs)).map(|_| rng.random()).collect();
            let tables: Vec<u8> = (0..2 * used * TABLE).map(|_| rng.random_range(0..=MAX_ENTRY)).collect();
            let width = 4 * pairs;
            let codes: Vec<i8> = (0..20 * width).map(|_| rng.random_range(-127..=127)).collect();
            let query: Vec<i16> = (0..width).map(|_| rng.random_range(-16_383..=16_383)).collect();
            let rows: Vec<u32> = (0..7).map(|_| rng.random_range(0..20)).collect();
            let matrix: Vec<f32> = (0..5 * width).map(|_| rng.random_range(-1.0..1.0)).collect();
            let tops: Vec<f32> = (0..TABLE * width / 2).map(|_| rng.random_range(-1.0..1.0)).collect();
            let run = |kernels: Loops| {
                let mut masks = vec![0; blocks];
                kernels.scan(&bytes, block_bytes(width), &tables, threshold, &mut masks);
                let mut dots = vec![0; rows.len()];
                kernels.dot_codes(&codes, &rows, &query, &mut dots);
                let mut products = vec![0.0f32; 5];
                kernels.dot_rows(&matrix, &matrix[..width], &mut products);
                let mut entries = vec![0.0f32; tops.len()];
                kernels.entries(&tops, &tops, &matrix[..width], &mut entries);
                let mut steps = vec![0; 20];
                let numbers = matrix[..20.min(matrix.len())].to_vec();
                let cells = CellTable { inverse_sizes: numbers.clone(), log_counts: numbers.clone() };
                kernels.steps(&cells, &numbers, 0.3, 2.0, &mut steps);
                let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                (masks, dots, bits(&products), bits(&entries), steps)
            };
            let plain = run(&Scalar);
            for kernels in all() {
                prop_assert!(run(kernels) == plain, "{}", kernels.name());
            }
        }
    }

    #[test]
    fn the_fastest_comes_last_and_is_chosen() {
        let names: Vec<&str> = all().iter().map(|kernels| kernels.name()).collect();
        // Read by scripts/test-avx512 and scripts/test-neon.
        println!("kernels: {}", names.join(" "));
        assert_eq!(names.first(), Some(&"scalar"));
        assert_eq!(names.last(), Some(&fastest().name()));
    }

    #[test]
    fn sums_that_reach_the_threshold_are_marked() {
        // One pair of tables that count the code itself; row r has codes r % 16 and 0.
        let tables: Vec<u8> = (0..32).map(|code| code % 16).collect();
        let block: Vec<u8> = (0..32).map(|row| row % 16).collect();
        let mut masks = [0];
        Scalar.scan(&block, 32, &tables, 14, &mut masks);
        assert_eq!(masks[0], 0b1100_0000_0000_0000_1100_0000_0000_0000);
    }
}
