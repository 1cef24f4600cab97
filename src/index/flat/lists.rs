//! The search through the cells: best first, until those left are expected to hold hardly a hit (`agenda`).

use std::sync::Arc;

use super::agenda::{Agenda, CellTable};
use super::codec::Probe;
use super::file::Flat;
use super::finder::push_marked;
use super::kernels::{BLOCK_ROWS, Loops, fastest};
use super::live::{Live, Part};
use crate::domain::{Retrieved, TrackIx, UnitVector};
use crate::index::exact::check_dimension;
use crate::index::{Gate, IndexError, RowFilter, TopK, VectorIndex, dot};
use crate::pipeline::Deadline;

/// Cells scanned between two looks at the clock.
const CELLS_A_CHECK: usize = 16;

/// Cells between the one that is scanned and the one whose codes are asked for.
const AHEAD: usize = 2;

/// A row is looked at when its short code is at most this many standard deviations of its error below the k-th best
/// score. At 2.5 one in 160 of those at the bar is overlooked.
const ROW_MARGIN: f32 = 2.5;

/// One lane's searches of a flat file.
pub(super) struct Lists {
    flat: Arc<Flat>,
    table: Arc<CellTable>,
    live: Arc<Live>,
    miss: f32,
    kernels: Loops,
    probe: Probe,
    products: Vec<f32>,
    agenda: Agenda,
    masks: Vec<u32>,
    slots: Vec<u32>,
    dots: Vec<i32>,
    best: TopK,
    gate: Gate,
    any_live: bool,
    /// Rows that the filter was asked for, and that it let through.
    asked: usize,
    let_through: usize,
}

impl Lists {
    pub(super) fn new(flat: Arc<Flat>, table: Arc<CellTable>, live: Arc<Live>, miss: f32) -> Self {
        Self {
            flat,
            table,
            live,
            miss,
            kernels: fastest(),
            probe: Probe::default(),
            products: Vec::new(),
            agenda: Agenda::default(),
            masks: Vec::new(),
            slots: Vec::new(),
            dots: Vec::new(),
            best: TopK::default(),
            gate: Gate::default(),
            any_live: false,
            asked: 0,
            let_through: 0,
        }
    }

    /// Scans cells, best first, until those left are expected to hold no more than `miss * k` hits. Of expected hits the
    /// filter lets through the share that it has let through so far.
    fn scan(&mut self, k: usize, filter: &mut Option<&mut dyn RowFilter>, deadline: &Deadline) {
        let flat = Arc::clone(&self.flat);
        self.products.resize(flat.shape.cells, 0.0);
        self.kernels.dot_rows(flat.means(), &self.probe.query, &mut self.products);
        let budget = self.miss * k as f32;
        self.agenda.start(&self.table, self.probe.spread);
        (self.asked, self.let_through) = (0, 0);
        let mut scanned = 0;
        loop {
            let bar = self.best.bar();
            let known = bar > f32::MIN;
            let budget = budget * self.asked as f32 / self.let_through.max(1) as f32;
            let bar_and_budget = known.then_some((bar, budget));
            let planned = self.agenda.plan(&self.table, &self.products, bar_and_budget, self.kernels);
            if planned == 0 {
                break;
            }
            // Half of what is planned raises the bar, and with it goes some of the other half.
            let now = if known { planned.min((planned / 2).max(16)) } else { planned };
            let mut done = 0;
            for at in 0..now {
                self.fetch_ahead(&flat, at);
                let cell = self.agenda.cells[at] as usize;
                self.scan_cell(&flat, cell, filter);
                done += 1;
                scanned += flat.counts()[cell] as usize;
                if !known && scanned >= 2 * k && self.best.bar() > f32::MIN {
                    break;
                }
                if done % CELLS_A_CHECK == 0 && deadline.passed() {
                    return;
                }
            }
            self.agenda.done(done);
        }
    }

    /// Asks for the first codes of a cell that is to be scanned soon, and of what was added to it.
    fn fetch_ahead(&self, flat: &Flat, at: usize) {
        let bytes = flat.codec.block_bytes();
        if let Some(cell) = self.agenda.cells.get(at + AHEAD) {
            let cell = *cell as usize;
            let first = flat.firsts()[cell] as usize * bytes;
            self.kernels.fetch(flat.short()[first..].as_ptr(), bytes);
            if self.any_live
                && let Some(part) = &*self.live.newest(cell)
            {
                self.kernels.fetch(part.short.as_ptr(), part.short.len());
                self.kernels.fetch(part.ids.as_ptr().cast(), size_of_val(part.ids.as_slice()));
            }
        }
        if self.any_live
            && let Some(cell) = self.agenda.cells.get(at + 2 * AHEAD)
            && let Some(part) = &*self.live.newest(*cell as usize)
        {
            self.kernels.fetch(std::ptr::from_ref::<Part>(part).cast(), size_of::<Part>());
        }
    }

    /// Scans a cell's rows, and those that were added to it.
    fn scan_cell(&mut self, flat: &Flat, cell: usize, filter: &mut Option<&mut dyn RowFilter>) {
        let (mean, size) = (self.products[cell], flat.sizes()[cell]);
        let (first, rows) = (flat.firsts()[cell] as usize, flat.counts()[cell] as usize);
        let (slots, width) = (first * BLOCK_ROWS.., flat.shape.width());
        let built = Rows {
            short: &flat.short()[first * flat.codec.block_bytes()..],
            long: &flat.long()[slots.start * width..],
            ids: &flat.ids()[slots],
            rows,
        };
        self.scan_rows(&built, (mean, size), flat.codec.block_bytes(), filter);
        if self.any_live {
            let live = Arc::clone(&self.live);
            let newest = live.newest(cell);
            let mut next = newest.as_deref();
            while let Some(part) = next {
                let added = Rows { short: &part.short, long: &part.long, ids: &part.ids, rows: part.rows };
                self.scan_rows(&added, (mean, size), flat.codec.block_bytes(), filter);
                next = part.next.as_deref();
            }
        }
    }

    /// Scans rows of a cell whose mean has the dot product `mean` with the query.
    fn scan_rows(
        &mut self,
        part: &Rows<'_>,
        (mean, size): (f32, f32),
        bytes: usize,
        filter: &mut Option<&mut dyn RowFilter>,
    ) {
        let blocks = part.rows.div_ceil(BLOCK_ROWS);
        let least = (self.best.bar() - mean) / size - ROW_MARGIN * self.probe.noise;
        self.masks.resize(blocks, 0);
        let short = &part.short[..blocks * bytes];
        self.kernels.scan(short, bytes, &self.probe.tables, self.probe.threshold(least), &mut self.masks);
        if !part.rows.is_multiple_of(BLOCK_ROWS) {
            self.masks[blocks - 1] &= (1 << (part.rows % BLOCK_ROWS)) - 1;
        }
        self.slots.clear();
        for (block, mask) in self.masks.iter().enumerate() {
            push_marked(*mask, (block * BLOCK_ROWS) as u32, &mut self.slots);
        }
        self.asked += self.slots.len();
        if let Some(filter) = filter {
            let tracks = self.slots.iter().map(|slot| TrackIx(part.ids[*slot as usize]));
            let mut removed = self.gate.removed(tracks, &mut **filter).iter();
            self.slots.retain(|_| !removed.next().copied().unwrap_or(true));
        }
        self.let_through += self.slots.len();
        self.dots.resize(self.slots.len(), 0);
        self.kernels.dot_codes(part.long, &self.slots, &self.probe.long, &mut self.dots);
        let step = self.probe.long_step * size;
        for (slot, dot) in self.slots.iter().zip(&self.dots) {
            self.best.offer(TrackIx(part.ids[*slot as usize]), mean + *dot as f32 * step);
        }
    }

    /// Scans every cell's short codes for a query, and nothing else; the bytes that these are.
    pub(super) fn scan_codes(&mut self, query: &UnitVector) -> usize {
        let flat = Arc::clone(&self.flat);
        self.probe.query.resize(flat.shape.width(), 0.0);
        self.kernels.dot_rows(&flat.axes, query.as_slice(), &mut self.probe.query);
        self.probe.prepare(&flat.codec, self.kernels);
        let threshold = self.probe.threshold(self.probe.spread);
        self.masks.resize(flat.shape.blocks, 0);
        self.kernels.scan(flat.short(), flat.codec.block_bytes(), &self.probe.tables, threshold, &mut self.masks);
        std::hint::black_box(&self.masks);
        flat.short().len()
    }

    /// Scores the added rows that no cell describes.
    fn score_strays(&mut self, filter: &mut Option<&mut dyn RowFilter>) {
        let query = &self.probe.query;
        let scored = self.live.strays().iter().map(|(track, vector)| (*track, dot(vector, query)));
        self.gate.offer(scored, filter.as_deref_mut(), &mut self.best);
    }
}

/// Rows of one cell that stand side by side.
struct Rows<'a> {
    short: &'a [u8],
    long: &'a [i8],
    ids: &'a [u32],
    rows: usize,
}

impl VectorIndex for Lists {
    fn engine(&self) -> &'static str {
        "lists"
    }

    fn len(&self) -> usize {
        self.flat.shape.rows + self.live.len()
    }

    fn search_where(
        &mut self,
        query: &UnitVector,
        k: usize,
        mut filter: Option<&mut dyn RowFilter>,
        deadline: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), IndexError> {
        let (query, flat) = (query.as_slice(), Arc::clone(&self.flat));
        check_dimension(query, flat.shape.dim)?;
        let k = k.min(self.len());
        self.best.start(k);
        self.probe.query.resize(flat.shape.width(), 0.0);
        self.kernels.dot_rows(&flat.axes, query, &mut self.probe.query);
        self.probe.prepare(&flat.codec, self.kernels);
        self.any_live = self.live.len() > 0;
        self.scan(k, &mut filter, deadline);
        // Not before: some of them would make a bar that says little, and half of what it leaves would be scanned by it.
        if self.any_live {
            self.score_strays(&mut filter);
        }
        self.best.finish(out);
        Ok(())
    }
}
