//! Building: three passes over the vectors, which need not fit in memory.
//!
//! 1. *Sample*: the axes and the cells' directions are learnt from some of the rows.
//! 2. *Assign*: every row finds its cell; the mean and size of each cell follow.
//! 3. *Encode*: every row is coded into its slot.

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

use super::cells::{directions, for_each_row};
use super::codec::{self, Codec};
use super::file::{Flat, reserve};
use super::finder::{Finder, Search};
use super::kernels::{BLOCK_ROWS, fastest};
use super::layout::{Section, Shape};
use super::rotation;
use crate::index::{IndexError, VectorSource};

/// Seed of builds that ask for none.
const SEED: u64 = 1;
/// Rows of the sample a cell, and at least.
const SAMPLE_A_CELL: usize = 64;
const LEAST_SAMPLE: usize = 32_768;
/// A cell with more than this many times the mean is told as several, so that none holds a search up.
const SWOLLEN: usize = 4;
/// Smallest size of a cell: of rows that are all equal.
const LEAST_SIZE: f32 = 1e-4;

/// What to build.
#[derive(Debug, Clone, PartialEq)]
pub struct FlatConfig {
    /// Rows of a cell, on average.
    pub cell_rows: usize,
    /// Seed of sample and cells. The same seed and vectors give the same file, whatever the number of threads.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
}

impl FlatConfig {
    /// Cells of `cell_rows` rows, the project's seed, a thread a core.
    pub fn new(cell_rows: usize) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { cell_rows, seed: SEED, threads }
    }
}

/// How far a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildProgress {
    /// `sample`, `cells`, `assign`, `encode` or `insert`.
    pub step: &'static str,
    /// Rows (of `cells`: rounds) done.
    pub done: u64,
    /// Of so many.
    pub total: u64,
}

/// The rows of each cell, as they will stand in the file.
struct Plan {
    shape: Shape,
    /// Row to slot.
    slots: Vec<u32>,
    /// Row to cell.
    cells: Vec<u32>,
    means: Vec<f32>,
    sizes: Vec<f32>,
    firsts: Vec<u32>,
    counts: Vec<u32>,
    /// The first of this plan's cells that a cell of the finder became.
    became: Vec<u32>,
}

/// Builds an index of all rows of `source`.
///
/// # Errors
/// A dimension or number of rows that is out of range, rows that cannot be read, memory that is not there.
pub(super) fn build(
    source: &mut dyn VectorSource,
    config: &FlatConfig,
    progress: &mut dyn FnMut(BuildProgress),
) -> Result<Flat, IndexError> {
    let (rows, dim) = (source.rows(), source.dim());
    let refuse = |fault: &str| IndexError::Parameter(format!("{rows} vectors of dimension {dim}: {fault}"));
    let empty = Shape { dim, rows: 0, cells: 0, blocks: 0 };
    Shape { rows, cells: rows.min(1), blocks: rows.div_ceil(BLOCK_ROWS), ..empty }.check().map_err(refuse)?;
    let width = empty.width();
    let cells = rows.div_ceil(config.cell_rows.max(1));
    let sampled = read_sample(source, cells, config.seed, progress)?;
    let axes = rotation::axes(&sampled, dim, width);
    if rows == 0 {
        return Flat::new(empty, axes, Codec::train(&[], width, config.seed));
    }
    let turned = turn(&sampled, dim, &axes);
    drop(sampled);
    let finder = {
        let mut round = 0;
        let tick = || {
            round += 1;
            progress(BuildProgress { step: "cells", done: round, total: super::cells::ROUNDS as u64 });
        };
        Finder::new(&directions(&turned, width, cells, config.seed, config.threads, tick), width, config.seed)
    };
    let plan = assign(source, empty, &axes, &finder, config, progress)?;
    let codec = Codec::train(&left(&turned, width, &finder, &plan), width, config.seed);
    drop(turned);
    encode(source, plan, axes, codec, config, progress)
}

/// Some rows, as they are; all of them where there are few.
fn read_sample(
    source: &mut dyn VectorSource,
    cells: usize,
    seed: u64,
    progress: &mut dyn FnMut(BuildProgress),
) -> Result<Vec<f32>, IndexError> {
    let (rows, dim) = (source.rows(), source.dim());
    let wanted = rows.min((cells * SAMPLE_A_CELL).max(LEAST_SAMPLE));
    let mut chosen = sample(&mut ChaCha8Rng::seed_from_u64(seed), rows, wanted).into_vec();
    chosen.sort_unstable();
    let mut chosen = chosen.into_iter().peekable();
    let mut all = Vec::with_capacity(wanted * dim);
    source.read(&mut |first, vectors| {
        let end = first + vectors.len() / dim;
        check_rows(first, vectors, dim)?;
        while let Some(row) = chosen.next_if(|row| *row < end) {
            all.extend_from_slice(&vectors[(row - first) * dim..(row - first + 1) * dim]);
        }
        progress(BuildProgress { step: "sample", done: end as u64, total: rows as u64 });
        Ok(())
    })?;
    Ok(all)
}

/// Whether every row is finite and of length 1: all that is coded is read as that.
fn check_rows(first: usize, vectors: &[f32], dim: usize) -> Result<(), IndexError> {
    for (row, vector) in (first..).zip(vectors.chunks_exact(dim)) {
        let norm = vector.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        // Not a number fails both comparisons.
        if !(norm > 0.999 && norm < 1.001) {
            return Err(IndexError::Parameter(format!("row {row} has length {norm}, expected 1")));
        }
    }
    Ok(())
}

/// The rows along the axes.
fn turn(rows: &[f32], dim: usize, axes: &[f32]) -> Vec<f32> {
    let (kernels, width) = (fastest(), axes.len() / dim);
    let mut turned = vec![0.0; rows.len() / dim * width];
    for (row, turned) in rows.chunks_exact(dim).zip(turned.chunks_exact_mut(width)) {
        kernels.dot_rows(axes, row, turned);
    }
    turned
}

/// Every row's cell and slot, and what the cells are.
fn assign(
    source: &mut dyn VectorSource,
    empty: Shape,
    axes: &[f32],
    finder: &Finder,
    config: &FlatConfig,
    progress: &mut dyn FnMut(BuildProgress),
) -> Result<Plan, IndexError> {
    let (rows, dim, width) = (source.rows(), empty.dim, empty.width());
    let mut cells = reserve(0u32, rows)?;
    let mut sums = vec![0.0f64; finder.count() * width];
    let mut counts = vec![0u32; finder.count()];
    source.read(&mut |first, vectors| {
        let end = first + vectors.len() / dim;
        let turned = turn(vectors, dim, axes);
        let cells = &mut cells[first..end];
        for_each_row(&turned, width, cells, config.threads, Search::default, |search, row, cell| {
            *cell = finder.nearest(row, search);
        });
        for (row, cell) in turned.chunks_exact(width).zip(cells) {
            let cell = *cell as usize;
            counts[cell] += 1;
            sums[cell * width..(cell + 1) * width].iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v));
        }
        progress(BuildProgress { step: "assign", done: end as u64, total: rows as u64 });
        Ok(())
    })?;
    lay_out(Shape { rows, ..empty }, cells, &sums, &counts)
}

/// Lays the cells out one after the other: empty ones go, swollen ones become several with one mean.
fn lay_out(shape: Shape, mut cells: Vec<u32>, sums: &[f64], counts: &[u32]) -> Result<Plan, IndexError> {
    let width = shape.width();
    let filled = counts.iter().filter(|count| **count > 0).count();
    let most = (shape.rows.div_ceil(filled.max(1)) * SWOLLEN).next_multiple_of(BLOCK_ROWS);
    let mut plan = Plan {
        shape,
        slots: reserve(0u32, shape.rows)?,
        cells: Vec::new(),
        means: Vec::new(),
        sizes: Vec::new(),
        firsts: Vec::new(),
        counts: Vec::new(),
        became: Vec::with_capacity(counts.len()),
    };
    let mut blocks = 0;
    for (count, sum) in counts.iter().zip(sums.chunks_exact(width)) {
        plan.became.push(plan.counts.len() as u32);
        let mean: Vec<f64> = sum.iter().map(|v| v / f64::from(*count).max(1.0)).collect();
        // Rows have length 1, so their mean squared distance from the mean is what the mean lacks of it.
        let size = (1.0 - mean.iter().map(|v| v * v).sum::<f64>()).max(0.0).sqrt() as f32;
        let mut left = *count as usize;
        while left > 0 {
            let part = left.min(most);
            plan.means.extend(mean.iter().map(|v| *v as f32));
            plan.sizes.push(size.max(LEAST_SIZE));
            plan.firsts.push(blocks as u32);
            plan.counts.push(part as u32);
            blocks += part.div_ceil(BLOCK_ROWS);
            left -= part;
        }
    }
    plan.shape = Shape { cells: plan.counts.len(), blocks, ..shape };
    let mut placed = vec![0usize; counts.len()];
    for (row, cell) in cells.iter_mut().enumerate() {
        let place = &mut placed[*cell as usize];
        let part = plan.became[*cell as usize] as usize + *place / most;
        plan.slots[row] = plan.firsts[part] * BLOCK_ROWS as u32 + (*place % most) as u32;
        *place += 1;
        *cell = part as u32;
    }
    plan.cells = cells;
    plan.shape.check().map_err(|fault| IndexError::Parameter(fault.into()))?;
    Ok(plan)
}

/// What is left of the sample's rows after their cells' means, in units of the cells' sizes.
fn left(turned: &[f32], width: usize, finder: &Finder, plan: &Plan) -> Vec<f32> {
    let mut search = Search::default();
    let mut all = vec![0.0; turned.len()];
    for (row, out) in turned.chunks_exact(width).zip(all.chunks_exact_mut(width)) {
        plan.subtract(plan.became[finder.nearest(row, &mut search) as usize] as usize, row, out);
    }
    all
}

impl Plan {
    /// What is left of a row after its cell's mean, in units of the cell's size.
    fn subtract(&self, cell: usize, row: &[f32], out: &mut [f32]) {
        let width = row.len();
        let (mean, size) = (&self.means[cell * width..(cell + 1) * width], self.sizes[cell]);
        for ((out, value), mean) in out.iter_mut().zip(row).zip(mean) {
            *out = (value - mean) / size;
        }
    }
}

/// A row as it stands in the file.
#[derive(Clone, Default)]
struct Coded {
    short: Vec<u8>,
    long: Vec<i8>,
}

/// Codes every row into its slot.
fn encode(
    source: &mut dyn VectorSource,
    plan: Plan,
    axes: Vec<f32>,
    codec: Codec,
    config: &FlatConfig,
    progress: &mut dyn FnMut(BuildProgress),
) -> Result<Flat, IndexError> {
    let (shape, width, dim) = (plan.shape, plan.shape.width(), plan.shape.dim);
    let mut flat = Flat::new(shape, axes.clone(), codec.clone())?;
    flat.fill(Section::Means, |all: &mut [f32]| all.copy_from_slice(&plan.means));
    flat.fill(Section::Sizes, |all: &mut [f32]| all.copy_from_slice(&plan.sizes));
    flat.fill(Section::Firsts, |all: &mut [u32]| all.copy_from_slice(&plan.firsts));
    flat.fill(Section::Counts, |all: &mut [u32]| all.copy_from_slice(&plan.counts));
    flat.fill(Section::Ids, |all: &mut [u32]| {
        all.fill(u32::MAX);
        plan.slots.iter().enumerate().for_each(|(row, slot)| all[*slot as usize] = row as u32);
    });
    let mut coded: Vec<Coded> = Vec::new();
    source.read(&mut |first, vectors| {
        let turned = turn(vectors, dim, &axes);
        let rows = vectors.len() / dim;
        let mut places: Vec<(usize, Coded)> =
            (first..first + rows).map(|row| (row, coded.pop().unwrap_or_default())).collect();
        for_each_row(
            &turned,
            width,
            &mut places,
            config.threads,
            || vec![0.0; width],
            |values, row, (at, coded)| {
                plan.subtract(plan.cells[*at] as usize, row, values);
                coded.short.resize(width / 4, 0);
                coded.long.resize(width, 0);
                codec.encode(values, &mut coded.short, &mut coded.long);
            },
        );
        flat.fill(Section::Short, |all: &mut [u8]| {
            for (row, coded) in &places {
                let slot = plan.slots[*row] as usize;
                let block = &mut all[slot / BLOCK_ROWS * codec.block_bytes()..];
                codec::put_short(&coded.short, slot % BLOCK_ROWS, block);
            }
        });
        flat.fill(Section::Long, |all: &mut [i8]| {
            for (row, coded) in &places {
                let slot = plan.slots[*row] as usize;
                all[slot * width..(slot + 1) * width].copy_from_slice(&coded.long);
            }
        });
        progress(BuildProgress { step: "encode", done: (first + rows) as u64, total: shape.rows as u64 });
        coded.extend(places.into_iter().map(|(_, coded)| coded));
        Ok(())
    })?;
    Ok(flat)
}
