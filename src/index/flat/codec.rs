//! How a vector becomes codes: what is left of it after its cell's mean, divided by the cell's size.
//!
//! *Short* codes, 2 bits a component: each pair of components is the nearest of 16 points (product quantisation; Jégou,
//! Douze and Schmid 2011), four bits that a scan looks up in tables held in registers (André, Kermarrec and Le Scouarnec
//! 2015). *Long* codes, 8 bits a component: steps of a fixed size, scored with integers. The short ones say which rows are
//! worth a look, the long ones say how good these are.

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

use super::kernels::{BLOCK_ROWS, Loops, MAX_ENTRY, TABLE, block_bytes};

/// Largest size of a long code.
const LONG_MAX: f32 = 127.0;
/// Largest size of a component of a query against long codes.
const QUERY_MAX: f32 = 16_383.0;
/// Rows that tables are made from.
const TRAINING_ROWS: usize = 8_192;
/// Which of the seed's random streams chooses them.
const STREAM: u64 = 2;
/// Rounds in which table points move to the middle of what is nearest to them.
const ROUNDS: usize = 8;

/// The numbers that codes are made and read with. About `170 width` bytes.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Codec {
    /// Components of a coded vector: a multiple of 4.
    pub(super) width: usize,
    /// `[width / 2][16]`: first component of each table's points.
    pub(super) x: Vec<f32>,
    /// `[width / 2][16]`: second component.
    pub(super) y: Vec<f32>,
    /// `[width]`: size of a long code's step, > 0.
    pub(super) step: Vec<f32>,
    /// `[width]`: variance of what is coded.
    pub(super) spread: Vec<f32>,
    /// `[width]`: mean squared error of short codes.
    pub(super) noise: Vec<f32>,
}

impl Codec {
    /// Learns from rows `[n, width]` of what will be coded. `O(width)` a row of at most 8,192.
    pub(super) fn train(rows: &[f32], width: usize, seed: u64) -> Self {
        let chosen = choose(rows, width, seed);
        let mut codec = Self {
            width,
            x: vec![0.0; width / 2 * TABLE],
            y: vec![0.0; width / 2 * TABLE],
            step: steps(&chosen, width),
            spread: mean_squares(&chosen, width),
            noise: vec![0.0; width],
        };
        for table in 0..width / 2 {
            let points: Vec<[f32; 2]> =
                chosen.chunks_exact(width).map(|row| [row[2 * table], row[2 * table + 1]]).collect();
            let centres = place(&points);
            for (code, centre) in centres.iter().enumerate() {
                codec.x[table * TABLE + code] = centre[0];
                codec.y[table * TABLE + code] = centre[1];
            }
        }
        let mut errors = chosen;
        for row in errors.chunks_exact_mut(width) {
            for table in 0..width / 2 {
                let code = table * TABLE + usize::from(codec.short(table, row[2 * table], row[2 * table + 1]));
                row[2 * table] -= codec.x[code];
                row[2 * table + 1] -= codec.y[code];
            }
        }
        codec.noise = mean_squares(&errors, width);
        codec
    }

    /// The nearest point of a table.
    #[inline]
    fn short(&self, table: usize, x: f32, y: f32) -> u8 {
        nearest(&self.x[table * TABLE..], &self.y[table * TABLE..], x, y)
    }

    /// Codes a row: `short` is `[width / 4]`, two codes a byte; `long` is `[width]`.
    pub(super) fn encode(&self, values: &[f32], short: &mut [u8], long: &mut [i8]) {
        for (pair, (values, short)) in values.chunks_exact(4).zip(short).enumerate() {
            *short = self.short(2 * pair, values[0], values[1]) | self.short(2 * pair + 1, values[2], values[3]) << 4;
        }
        for ((long, value), step) in long.iter_mut().zip(values).zip(&self.step) {
            *long = (value / step).round().clamp(-LONG_MAX, LONG_MAX) as i8;
        }
    }

    /// The squared distance of `values` from what their short codes say.
    pub(super) fn short_error(&self, values: &[f32], short: &[u8]) -> f32 {
        let codes = short.iter().flat_map(|byte| [byte & 15, byte >> 4]).enumerate();
        let pairs = values.chunks_exact(2).zip(codes);
        let squares = pairs.map(|(pair, (table, code))| {
            let at = table * TABLE + usize::from(code);
            (pair[0] - self.x[at]).powi(2) + (pair[1] - self.y[at]).powi(2)
        });
        squares.sum()
    }

    /// Bytes of a block of 32 rows' short codes.
    pub(super) fn block_bytes(&self) -> usize {
        block_bytes(self.width)
    }
}

/// Puts a row's short codes at its place of a block.
pub(super) fn put_short(short: &[u8], place: usize, block: &mut [u8]) {
    for (run, code) in block.chunks_exact_mut(BLOCK_ROWS).zip(short) {
        run[place] = *code;
    }
}

/// At most [`TRAINING_ROWS`] of the rows.
fn choose(rows: &[f32], width: usize, seed: u64) -> Vec<f32> {
    let count = rows.len() / width;
    if count <= TRAINING_ROWS {
        return rows.to_vec();
    }
    // Another stream than the one that chose the cells' first rows: those lie nearest to their cells' means.
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(STREAM);
    let chosen = sample(&mut rng, count, TRAINING_ROWS);
    chosen.iter().flat_map(|row| rows[row * width..(row + 1) * width].iter().copied()).collect()
}

fn mean_squares(rows: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; width];
    for row in rows.chunks_exact(width) {
        sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v).powi(2));
    }
    let count = (rows.len() / width).max(1) as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

/// Steps that reach a little beyond the largest size seen; a component that is always zero gets a tiny one.
fn steps(rows: &[f32], width: usize) -> Vec<f32> {
    let mut largest = vec![0.0f32; width];
    for row in rows.chunks_exact(width) {
        largest.iter_mut().zip(row).for_each(|(max, v)| *max = max.max(v.abs()));
    }
    let least = largest.iter().copied().fold(1e-6, f32::max) * 1e-3;
    largest.into_iter().map(|max| max.max(least) * 1.1 / LONG_MAX).collect()
}

#[inline]
fn nearest(xs: &[f32], ys: &[f32], x: f32, y: f32) -> u8 {
    let mut distances = [0.0f32; TABLE];
    for ((distance, a), b) in distances.iter_mut().zip(xs).zip(ys) {
        *distance = (a - x) * (a - x) + (b - y) * (b - y);
    }
    let mut best = 0;
    for code in 1..TABLE {
        if distances[code] < distances[best] {
            best = code;
        }
    }
    best as u8
}

/// 16 centres of `points`: spread over them by rank along the stronger component, then moved to the middle of what is
/// nearest to them.
fn place(points: &[[f32; 2]]) -> [[f32; 2]; TABLE] {
    let mut centres = [[0.0f32; 2]; TABLE];
    if points.is_empty() {
        return centres;
    }
    let size = |axis: usize| points.iter().map(|p| f64::from(p[axis]).powi(2)).sum::<f64>();
    let (strong, weak) = if size(0) >= size(1) { (0, 1) } else { (1, 0) };
    // Where the weaker one matters, four by four; else sixteen along the stronger.
    let columns = if size(weak) * 16.0 > size(strong) { 4 } else { TABLE };
    let mut sorted = points.to_vec();
    sorted.sort_unstable_by(|a, b| a[strong].total_cmp(&b[strong]).then(a[weak].total_cmp(&b[weak])));
    let cut = |len: usize, part: usize, parts: usize| (len * (2 * part + 1) / (2 * parts)).min(len.saturating_sub(1));
    for column in 0..columns {
        let (first, end) = (sorted.len() * column / columns, (sorted.len() * (column + 1) / columns).max(1));
        let slice = &mut sorted[first.min(end - 1)..end];
        slice.sort_unstable_by(|a, b| a[weak].total_cmp(&b[weak]).then(a[strong].total_cmp(&b[strong])));
        let rows = TABLE / columns;
        for row in 0..rows {
            centres[column * rows + row] = slice[cut(slice.len(), row, rows)];
        }
    }
    for _ in 0..ROUNDS {
        let (xs, ys) = (centres.map(|c| c[0]), centres.map(|c| c[1]));
        let mut sums = [[0.0f64; 3]; TABLE];
        for point in points {
            let sum = &mut sums[usize::from(nearest(&xs, &ys, point[0], point[1]))];
            *sum = [sum[0] + f64::from(point[0]), sum[1] + f64::from(point[1]), sum[2] + 1.0];
        }
        for (centre, sum) in centres.iter_mut().zip(sums).filter(|(_, sum)| sum[2] > 0.0) {
            *centre = [(sum[0] / sum[2]) as f32, (sum[1] / sum[2]) as f32];
        }
    }
    centres
}

/// A query as the codes are scored with it. Reused from query to query.
#[derive(Debug, Default)]
pub(super) struct Probe {
    /// The turned query, `[width]`.
    pub(super) query: Vec<f32>,
    /// `[tables][16]`, for `Kernels::scan`.
    pub(super) tables: Vec<u8>,
    /// The dot product of query and short code is `low + step * sum of entries`.
    pub(super) low: f32,
    /// See `low`.
    pub(super) step: f32,
    /// `[width]`, for `Kernels::dot_codes`.
    pub(super) long: Vec<i16>,
    /// The dot product of query and long code is `long_step` times the kernel's.
    pub(super) long_step: f32,
    /// Standard deviation of the query's dot product with what is coded.
    pub(super) spread: f32,
    /// Standard deviation of the short codes' error in it.
    pub(super) noise: f32,
    entries: Vec<f32>,
}

impl Probe {
    /// Makes the tables for `self.query`, which is as wide as the codec.
    pub(super) fn prepare(&mut self, codec: &Codec, kernels: Loops) {
        self.entries.resize(codec.x.len(), 0.0);
        self.tables.resize(codec.x.len(), 0);
        self.long.resize(codec.width, 0);
        kernels.entries(&codec.x, &codec.y, &self.query, &mut self.entries);
        let mut range = 0.0f32;
        self.low = 0.0;
        let (entries, _) = self.entries.as_chunks_mut::<TABLE>();
        for table in entries.iter_mut() {
            let least = table.iter().copied().fold(f32::MAX, f32::min);
            table.iter_mut().for_each(|v| *v -= least);
            range = table.iter().copied().fold(range, f32::max);
            self.low += least;
        }
        self.step = (range / f32::from(MAX_ENTRY)).max(f32::MIN_POSITIVE);
        let per_step = 1.0 / self.step;
        for (entry, value) in self.tables.iter_mut().zip(&self.entries) {
            *entry = ((value * per_step + 0.5) as u8).min(MAX_ENTRY);
        }
        let weighted = || self.query.iter().zip(&codec.step).map(|(q, step)| q * step);
        let largest = weighted().fold(0.0f32, |max, v| max.max(v.abs()));
        self.long_step = (largest / QUERY_MAX).max(f32::MIN_POSITIVE);
        let per_step = 1.0 / self.long_step;
        for (long, value) in self.long.iter_mut().zip(self.query.iter().zip(&codec.step).map(|(q, step)| q * step)) {
            *long = (value * per_step).round() as i16;
        }
        // Tables stand in the order of what they have to tell; those at the end that tell nothing need no look.
        let telling = self.tables.chunks_exact(2 * TABLE).rposition(|pair| pair.iter().any(|entry| *entry > 0));
        self.tables.truncate(2 * TABLE * (telling.unwrap_or(0) + 1));
        let deviation = |variance: &[f32]| {
            let sum: f32 = self.query.iter().zip(variance).map(|(q, v)| q * q * v).sum();
            sum.max(0.0).sqrt()
        };
        self.spread = deviation(&codec.spread);
        self.noise = deviation(&codec.noise);
    }

    /// The least sum of entries whose short code may stand for a dot product of `value`.
    #[inline]
    pub(super) fn threshold(&self, value: f32) -> u16 {
        // A conversion from float to integer saturates.
        ((value - self.low) / self.step).ceil() as u16
    }
}
