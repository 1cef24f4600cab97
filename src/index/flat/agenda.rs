//! Which cells to scan next, and when to stop.
//!
//! Along a query's direction the rows of a cell spread about its mean, and how far is known: the cell's size times the
//! query's spread. So the expected number of a cell's rows above the k-th best score is its rows times the tail of a
//! normal distribution. Cells are scanned in the order of that number, and a search ends when what is left of it falls to
//! the share of hits that may be missed: few cells where vectors cluster, many where they do not.

use super::kernels::Loops;

/// Steps of the order: an eighth of a factor of two each.
const STEPS: usize = 256;
const STEPS_A_DOUBLING: f32 = 8.0;
/// Logarithm (base 2) of the expected hits at step 0.
const TOP: f32 = 12.0;
/// Share of the budget that cells may hold, all together, which are not looked at again.
const HOPELESS: f32 = 0.02;
/// Standard deviations above the mean that the first guess of the k-th best score takes of the best cell.
const GUESS: f32 = 1.5;

/// What an agenda must know of an index's cells.
#[derive(Debug, Default)]
pub(super) struct CellTable {
    /// `[cells]`: 1 / size.
    pub(super) inverse_sizes: Vec<f32>,
    /// `[cells]`: logarithm, base 2, of the rows.
    pub(super) log_counts: Vec<f32>,
}

impl CellTable {
    pub(super) fn new(sizes: &[f32], counts: &[u32]) -> Self {
        let log = |count: &u32| (*count as f32).max(1.0).log2();
        Self {
            inverse_sizes: sizes.iter().map(|size| 1.0 / size).collect(),
            log_counts: counts.iter().map(log).collect(),
        }
    }
}

/// The step of a cell's expected hits: `z` is how many standard deviations its mean lies below the k-th best score, and
/// `log_count` the logarithm of its rows. The tail of the normal distribution is exp(-0.3842 z^2 - 0.7640 z - 0.6964)
/// (López-Benítez and Casadevall 2011); below its middle the square is left out, which keeps the order.
#[inline(always)]
pub(super) fn step(z: f32, log_count: f32) -> u8 {
    let square = z.max(0.0) * z;
    let tail = (-0.3842 * square - 0.7640 * z - 0.6964) * std::f32::consts::LOG2_E;
    // A conversion from float to integer saturates.
    ((TOP - tail - log_count) * STEPS_A_DOUBLING) as u8
}

/// Expected hits of a cell of a step.
fn hits(step: usize) -> f32 {
    (TOP - (step as f32 + 0.5) / STEPS_A_DOUBLING).exp2()
}

/// The cells that have not been scanned.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// Best first, once planned.
    pub(super) cells: Vec<u32>,
    buffer: Vec<u32>,
    steps: Vec<u8>,
    inverse_spread: f32,
}

impl Agenda {
    /// All cells, in no order. `spread`: standard deviation along the query of rows of a cell of size 1.
    pub(super) fn start(&mut self, table: &CellTable, spread: f32) {
        self.cells.clear();
        self.cells.extend(0..table.log_counts.len() as u32);
        self.inverse_spread = 1.0 / spread.max(1e-9);
    }

    /// Puts the cells that are left in the order of their expected hits above the bar, and returns how many of them to scan
    /// before the others are expected to hold no more than the budget. Without a bar that is all. `means`: the cells' dot
    /// products with the query. `O(cells)`.
    ///
    /// The bar only rises, so expectations only fall: those of cells that are hopeless now need no second look.
    pub(super) fn plan(
        &mut self,
        table: &CellTable,
        means: &[f32],
        bar_and_budget: Option<(f32, f32)>,
        kernels: Loops,
    ) -> usize {
        let (level, budget) = bar_and_budget.unwrap_or_else(|| (self.guess(table, means), -1.0));
        self.steps.resize(means.len(), 0);
        kernels.steps(table, means, level, self.inverse_spread, &mut self.steps);
        let mut ends = [0u32; STEPS + 1];
        for cell in &self.cells {
            ends[usize::from(self.steps[*cell as usize]) + 1] += 1;
        }
        let (mut wanted, mut hopeful) = (self.cells.len(), self.cells.len());
        let mut missed = 0.0;
        for step in (0..STEPS).rev() {
            let cells = ends[step + 1] as usize;
            missed += cells as f32 * hits(step);
            if missed > budget {
                break;
            }
            wanted -= cells;
            if missed < budget * HOPELESS {
                hopeful -= cells;
            }
        }
        for step in 0..STEPS {
            ends[step + 1] += ends[step];
        }
        self.buffer.resize(self.cells.len(), 0);
        for cell in &self.cells {
            let end = &mut ends[usize::from(self.steps[*cell as usize])];
            self.buffer[*end as usize] = *cell;
            *end += 1;
        }
        std::mem::swap(&mut self.cells, &mut self.buffer);
        self.cells.truncate(hopeful);
        wanted
    }

    /// What the best cell's better rows may score.
    fn guess(&self, table: &CellTable, means: &[f32]) -> f32 {
        let reach = GUESS / self.inverse_spread;
        means.iter().zip(&table.inverse_sizes).fold(f32::MIN, |best, (mean, size)| best.max(mean + reach / size))
    }

    /// The first `count` cells have been scanned.
    pub(super) fn done(&mut self, count: usize) {
        self.cells.drain(..count);
    }
}
