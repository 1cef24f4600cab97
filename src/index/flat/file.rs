//! The file: written whole beside its place and moved there, read by mapping it.

use std::collections::TryReserveError;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, Write};
use std::ops::Range;
use std::path::Path;

use memmap2::{Advice, Mmap};

use super::codec::Codec;
use super::kernels::{BLOCK_ROWS, TABLE};
use super::layout::{CHECKED, Section, Shape};
use crate::domain::ItemVectors;
use crate::index::{IndexError, dot, fault};

/// Name of the file in a bundle.
pub const FLAT_FILE: &str = "index.flat";

const MAGIC: &[u8; 8] = b"SEGUEFLT";
const VERSION: u32 = 1;
/// Bytes of the header that say something. The last four are the checksum of all that stands before the body.
const HEADER: usize = 64;
/// Cells that are compared with the vectors, and how far a row may be from its code: another row is several times as far.
const COMPARED_CELLS: usize = 64;
const COMPARED_DISTANCE: f32 = 0.2;
/// Where the checksums stand.
const SUMS: usize = 4_096;
/// Where a file is written before it takes its name.
const PARTIAL: &str = "partial";

/// An index as it stands in its file: the numbers that all of it is read with, and the sections.
#[derive(Debug)]
pub(super) struct Flat {
    pub(super) shape: Shape,
    pub(super) axes: Vec<f32>,
    pub(super) codec: Codec,
    places: [Range<usize>; Section::ALL.len()],
    body: Body,
}

/// The body's bytes, aligned for all of its numbers.
#[derive(Debug)]
enum Body {
    Mapped { map: Mmap, start: usize },
    Built(Vec<u64>),
}

impl Body {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped { map, start } => &map[*start..],
            Self::Built(words) => bytemuck::cast_slice(words),
        }
    }
}

impl Flat {
    /// A new one in memory, empty but for axes and codec; `fill` writes the rest.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(super) fn new(shape: Shape, axes: Vec<f32>, codec: Codec) -> Result<Self, IndexError> {
        let body = Body::Built(reserve(0, shape.body() / 8)?);
        let mut flat = Self { shape, axes: Vec::new(), codec, places: Section::ALL.map(|at| shape.place(at)), body };
        flat.fill::<f32>(Section::Axes, |all| all.copy_from_slice(&axes));
        let numbers =
            [&flat.codec.x[..], &flat.codec.y, &flat.codec.step, &flat.codec.spread, &flat.codec.noise].concat();
        flat.fill::<f32>(Section::Codec, |all| all.copy_from_slice(&numbers));
        flat.axes = axes;
        Ok(flat)
    }

    /// Lets `write` at a section of one that is being built.
    pub(super) fn fill<T: bytemuck::Pod>(&mut self, section: Section, write: impl FnOnce(&mut [T])) {
        let place = self.shape.place(section);
        if let Body::Built(words) = &mut self.body {
            write(bytemuck::cast_slice_mut(&mut bytemuck::cast_slice_mut::<u64, u8>(words)[place]));
        }
    }

    fn section<T: bytemuck::Pod>(&self, section: Section) -> &[T] {
        bytemuck::cast_slice(&self.body.bytes()[self.places[section as usize].clone()])
    }

    pub(super) fn means(&self) -> &[f32] {
        self.section(Section::Means)
    }

    pub(super) fn sizes(&self) -> &[f32] {
        self.section(Section::Sizes)
    }

    pub(super) fn firsts(&self) -> &[u32] {
        self.section(Section::Firsts)
    }

    pub(super) fn counts(&self) -> &[u32] {
        self.section(Section::Counts)
    }

    pub(super) fn ids(&self) -> &[u32] {
        self.section(Section::Ids)
    }

    pub(super) fn short(&self) -> &[u8] {
        self.section(Section::Short)
    }

    pub(super) fn long(&self) -> &[i8] {
        self.section(Section::Long)
    }

    /// Bytes that searches read.
    pub(super) fn resident_bytes(&self) -> usize {
        self.shape.body()
    }

    /// Touches every page that searches read, so that the first ones do not wait for the disk.
    pub(super) fn warm(&self) {
        let sum = |bytes: &[u8]| bytes.iter().step_by(4_096).fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        std::hint::black_box(sum(self.body.bytes()));
    }

    /// Writes the file to `path`: beside its place first, made durable, then renamed.
    ///
    /// # Errors
    /// [`IndexError::File`]; nothing is left of what was written.
    pub(super) fn save(&self, path: &Path) -> Result<(), IndexError> {
        let partial = path.with_extension(PARTIAL);
        let written = self.write(&partial).and_then(|()| fs::rename(&partial, path));
        written.map_err(|error| {
            // What could not be written may be what cannot be removed; the first fault is the one to tell.
            let _ = fs::remove_file(&partial);
            fault(path, format!("cannot be written: {error}"))
        })
    }

    fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut file = BufWriter::with_capacity(CHECKED, File::create(path)?);
        let body = &self.body.bytes()[..self.shape.body()];
        let mut head = vec![0; self.shape.body_start()];
        head[..8].copy_from_slice(MAGIC);
        head[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let numbers = [self.shape.dim, self.shape.rows, self.shape.cells, self.shape.blocks];
        for (at, number) in numbers.into_iter().enumerate() {
            head[16 + 8 * at..24 + 8 * at].copy_from_slice(&(number as u64).to_le_bytes());
        }
        for (sum, block) in head[SUMS..].chunks_exact_mut(4).zip(body.chunks(CHECKED)) {
            sum.copy_from_slice(&crc32fast::hash(block).to_le_bytes());
        }
        let sum = crc32fast::hash(&head);
        head[HEADER - 4..HEADER].copy_from_slice(&sum.to_le_bytes());
        file.write_all(&head)?;
        file.write_all(body)?;
        file.into_inner()?.sync_all()
    }

    /// Opens a file: header, length, every checksum and every number that a search relies on are checked, then it is
    /// mapped. Reads the file once; memory is that of the pages that searches touch.
    ///
    /// # Errors
    /// [`IndexError::File`], with the block that is damaged.
    pub(super) fn open(path: &Path) -> Result<Self, IndexError> {
        let refuse = |message: String| fault(path, message);
        let mut file = File::open(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        let shape = verify(&mut file).map_err(refuse)?;
        // SAFETY: the file is part of a bundle, which is never changed once written (`ARCHITECTURE.md`): new versions are
        // written beside it and renamed.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| refuse(format!("cannot be mapped: {error}")))?;
        if map.len() != shape.body_start() + shape.body() {
            return Err(refuse("changed while it was opened".into()));
        }
        // Advice only: where the kernel has no huge pages for files, small ones serve.
        let _ = map.advise(Advice::HugePage);
        let body = Body::Mapped { map, start: shape.body_start() };
        let places = Section::ALL.map(|at| shape.place(at));
        let mut flat = Self { shape, axes: Vec::new(), codec: Codec::default(), places, body };
        flat.axes = flat.section(Section::Axes).to_vec();
        flat.codec = codec(flat.section(Section::Codec), shape.width());
        flat.check().map_err(|message| refuse(message.into()))?;
        Ok(flat)
    }

    /// Why this is no index of `vectors`: another size, or a row among some that its code does not resemble.
    pub(super) fn differs_from(&self, vectors: &ItemVectors) -> Option<String> {
        let Shape { dim, rows, .. } = self.shape;
        if (rows, dim) != (vectors.built(), vectors.dim()) {
            let (len, of) = (vectors.built(), vectors.dim());
            return Some(format!("holds {rows} rows of dimension {dim}, the vectors are {len} of {of}"));
        }
        let step = self.shape.cells.div_ceil(COMPARED_CELLS).max(1);
        let differs = |cell: &usize| {
            let slot = self.firsts()[*cell] as usize * BLOCK_ROWS;
            self.distance(*cell, slot, vectors.row(self.ids()[slot] as usize)) > COMPARED_DISTANCE
        };
        let cell = (0..self.shape.cells).step_by(step).find(differs)?;
        let row = self.ids()[self.firsts()[cell] as usize * BLOCK_ROWS];
        Some(format!("is of other vectors: row {row} differs; build the bundle again"))
    }

    /// How far a vector is from what a slot's long code says.
    fn distance(&self, cell: usize, slot: usize, vector: &[f32]) -> f32 {
        let width = self.shape.width();
        let (mean, size) = (&self.means()[cell * width..(cell + 1) * width], self.sizes()[cell]);
        let codes = &self.long()[slot * width..(slot + 1) * width];
        let coded = codes.iter().zip(&self.codec.step).zip(mean).map(|((c, step), m)| m + f32::from(*c) * step * size);
        let turned = self.axes.chunks_exact(self.shape.dim).map(|axis| dot(axis, vector));
        coded.zip(turned).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
    }

    /// Checks all that a search relies on. `O(slots)`.
    fn check(&self) -> Result<(), &'static str> {
        let small = [self.axes.as_slice(), self.section(Section::Codec), self.means(), self.sizes()];
        if !small.iter().all(|numbers| numbers.iter().all(|v| v.is_finite())) {
            return Err("a number is not finite");
        }
        if self.codec.step.iter().any(|step| *step <= 0.0) || self.sizes().iter().any(|size| *size <= 0.0) {
            return Err("a step or a size is not positive");
        }
        let mut seen = vec![false; self.shape.rows];
        let mut next = 0;
        for (first, count) in self.firsts().iter().zip(self.counts()) {
            let blocks = (*count as usize).div_ceil(BLOCK_ROWS);
            if *first as usize != next || blocks == 0 || next + blocks > self.shape.blocks {
                return Err("cells do not follow each other");
            }
            let slot = next * BLOCK_ROWS;
            for id in &self.ids()[slot..slot + *count as usize] {
                if std::mem::replace(seen.get_mut(*id as usize).ok_or("a row does not exist")?, true) {
                    return Err("a row stands twice");
                }
            }
            next += blocks;
        }
        if next != self.shape.blocks || !seen.iter().all(|seen| *seen) {
            return Err("a row or a block is missing");
        }
        Ok(())
    }
}

/// `count` times `value`, or an error where there is no memory for it.
pub(super) fn reserve<T: Clone>(value: T, count: usize) -> Result<Vec<T>, IndexError> {
    let mut all = Vec::new();
    let full = |e: TryReserveError| IndexError::Parameter(format!("no memory for {count} numbers of an index: {e}"));
    all.try_reserve_exact(count).map_err(full)?;
    all.resize(count, value);
    Ok(all)
}

fn codec(numbers: &[f32], width: usize) -> Codec {
    let (x, rest) = numbers.split_at(width / 2 * TABLE);
    let (y, rest) = rest.split_at(width / 2 * TABLE);
    let [step, spread, noise] = [0, 1, 2].map(|at| rest[at * width..(at + 1) * width].to_vec());
    Codec { width, x: x.to_vec(), y: y.to_vec(), step, spread, noise }
}

/// Checks header, length and checksums. Nothing is allocated by a number that was not checked.
fn verify(file: &mut File) -> Result<Shape, String> {
    let length = file.metadata().map_err(|e| e.to_string())?.len();
    let mut header = [0u8; HEADER];
    file.read_exact(&mut header).map_err(|_| "ends within its header".to_owned())?;
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let number = |at: usize| usize::try_from(u64::from(word(at)) | u64::from(word(at + 4)) << 32).unwrap_or(usize::MAX);
    if !header.starts_with(MAGIC) {
        return Err("is not an index of Segue".into());
    }
    if word(8) != VERSION {
        return Err(format!("is of version {}, this build reads {VERSION}: build the bundle again", word(8)));
    }
    let shape = Shape { dim: number(16), rows: number(24), cells: number(32), blocks: number(40) };
    shape.check().map_err(|fault| format!("its header is damaged: {fault}"))?;
    let expected = (shape.body_start() + shape.body()) as u64;
    if length != expected {
        return Err(format!("has {length} bytes, its header says {expected}: it is cut or damaged"));
    }
    let mut head = vec![0u8; shape.body_start()];
    file.rewind().and_then(|()| file.read_exact(&mut head)).map_err(|e| e.to_string())?;
    head[HEADER - 4..HEADER].fill(0);
    if crc32fast::hash(&head) != word(HEADER - 4) {
        return Err("its header is damaged: the checksum differs".into());
    }
    let mut buffer = vec![0u8; CHECKED];
    for (block, sum) in head[SUMS..].chunks_exact(4).take(shape.body().div_ceil(CHECKED)).enumerate() {
        let start = block * CHECKED;
        let part = &mut buffer[..CHECKED.min(shape.body() - start)];
        file.read_exact(part).map_err(|e| e.to_string())?;
        if crc32fast::hash(part).to_le_bytes() != sum {
            let section = shape.section_at(start).name();
            let end = start + part.len();
            return Err(format!("block {block} ({section}, bytes {start}..{end} of the body) is damaged"));
        }
    }
    Ok(shape)
}
