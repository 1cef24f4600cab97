//! Rows that are added while lanes search.
//!
//! A row goes to the cell whose mean is nearest in direction, is coded as the cell's own rows are, and is scanned after
//! them. A row that the codes do not describe (a direction that the build never saw) is kept as it is and scored at every
//! search.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwapOption, Guard};

use super::codec::put_short;
use super::file::Flat;
use super::kernels::{BLOCK_ROWS, fastest};
use crate::domain::{Appended, TrackIx};
use crate::index::IndexError;
use crate::index::exact::check_dimension;

/// Rows of one part of a cell: adding one copies at most these.
const PART_ROWS: usize = 8 * BLOCK_ROWS;
/// How many times its mean the squared error of a short code may be. Of rows like those that were built, one in a hundred at
/// most is beyond it.
const SHORT_ERROR: f32 = 5.0;
/// How far a long code may be from its row, in lengths of the row.
const LONG_ERROR: f32 = 0.05;

/// All rows that were added to one index.
#[derive(Debug)]
pub(super) struct Live {
    /// `[cells]`, newest part first.
    cells: Box<[ArcSwapOption<Part>]>,
    /// Rows that no cell describes, with their vectors along the axes.
    strays: Appended<(TrackIx, Vec<f32>)>,
    rows: AtomicUsize,
    writer: Mutex<()>,
}

/// Rows of a cell. Never changed: adding to it makes another.
#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    /// Blocks of short codes.
    pub(super) short: Vec<u8>,
    /// `[blocks * 32, width]`.
    pub(super) long: Vec<i8>,
    /// `[blocks * 32]`; the first `rows` count.
    pub(super) ids: Vec<u32>,
    pub(super) rows: usize,
    pub(super) next: Option<Arc<Part>>,
}

impl Live {
    /// Nothing is added yet to an index of `cells` cells. 8 bytes a cell.
    pub(super) fn new(cells: usize) -> Self {
        Self {
            cells: (0..cells).map(|_| ArcSwapOption::empty()).collect(),
            strays: Appended::default(),
            rows: AtomicUsize::new(0),
            writer: Mutex::new(()),
        }
    }

    /// Number of added rows.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.rows.load(Ordering::Acquire)
    }

    /// The newest part of a cell, which knows the others.
    #[inline]
    pub(super) fn newest(&self, cell: usize) -> Guard<Option<Arc<Part>>> {
        self.cells[cell].load()
    }

    /// The rows that are scored at every search, with their vectors along the axes.
    pub(super) fn strays(&self) -> &Appended<(TrackIx, Vec<f32>)> {
        &self.strays
    }

    /// Adds a row; searches that begin after the return find it. `O(cells)`.
    ///
    /// # Errors
    /// A vector of another dimension.
    pub(super) fn add(&self, flat: &Flat, track: TrackIx, vector: &[f32]) -> Result<(), IndexError> {
        check_dimension(vector, flat.shape.dim)?;
        let mut turned = vec![0.0; flat.shape.width()];
        fastest().dot_rows(&flat.axes, vector, &mut turned);
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        match nearest_cell(flat, &turned).and_then(|cell| Some((cell, code(flat, cell, &turned)?))) {
            Some((cell, (short, long))) => {
                let part = self.cells[cell].load_full();
                self.cells[cell].store(Some(Arc::new(grown(part, flat, track, &short, &long))));
            }
            None => {
                self.strays.push((track, turned));
            }
        }
        self.rows.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

/// The cell whose mean has the direction nearest to a row's.
fn nearest_cell(flat: &Flat, turned: &[f32]) -> Option<usize> {
    let mut products = vec![0.0; flat.shape.cells];
    fastest().dot_rows(flat.means(), turned, &mut products);
    // Rows have length 1, so a mean is as much shorter as its cell is wide.
    let cosines = products.iter().zip(flat.sizes()).map(|(dot, size)| dot / (1.0 - size * size).max(1e-6).sqrt());
    cosines.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(cell, _)| cell)
}

/// A row's codes in a cell; nothing where they do not describe it.
fn code(flat: &Flat, cell: usize, turned: &[f32]) -> Option<(Vec<u8>, Vec<i8>)> {
    let (width, codec, size) = (turned.len(), &flat.codec, flat.sizes()[cell]);
    let mean = &flat.means()[cell * width..(cell + 1) * width];
    let left: Vec<f32> = turned.iter().zip(mean).map(|(value, mean)| (value - mean) / size).collect();
    let (mut short, mut long) = (vec![0; width / 4], vec![0; width]);
    codec.encode(&left, &mut short, &mut long);
    let coded = long.iter().zip(&codec.step).map(|(code, step)| f32::from(*code) * step);
    let long_error: f32 = coded.zip(&left).map(|(coded, left)| (coded - left).powi(2)).sum();
    let expected: f32 = codec.noise.iter().sum();
    let fits = long_error.sqrt() * size <= LONG_ERROR && codec.short_error(&left, &short) <= SHORT_ERROR * expected;
    fits.then_some((short, long))
}

/// The parts of a cell with one more row.
fn grown(part: Option<Arc<Part>>, flat: &Flat, track: TrackIx, short: &[u8], long: &[i8]) -> Part {
    let mut part = match part {
        Some(part) if part.rows < PART_ROWS => (*part).clone(),
        full => Part { next: full, ..Part::default() },
    };
    let (bytes, width, place) = (flat.codec.block_bytes(), long.len(), part.rows % BLOCK_ROWS);
    if place == 0 {
        part.short.resize(part.short.len() + bytes, 0);
        part.long.resize(part.long.len() + BLOCK_ROWS * width, 0);
        part.ids.resize(part.ids.len() + BLOCK_ROWS, u32::MAX);
    }
    let block = part.short.len() - bytes;
    put_short(short, place, &mut part.short[block..]);
    part.long[part.rows * width..(part.rows + 1) * width].copy_from_slice(long);
    part.ids[part.rows] = track.0;
    part.rows += 1;
    part
}
