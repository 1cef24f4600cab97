//! Where everything stands in the file.
//!
//! Little-endian. A header of 4,096 bytes, the checksums (CRC-32, one a mebibyte of the body), then the body: the sections
//! of [`Section`], each from a multiple of 4,096 bytes on, with zeros between. All positions follow from the four numbers
//! of [`Shape`], so the header holds no position that could lie.

use std::ops::Range;

use super::kernels::{BLOCK_ROWS, TABLE, block_bytes};

/// Sections and header start at multiples of this: a page.
const PAGE: usize = 4_096;
/// Bytes that one checksum covers.
pub(super) const CHECKED: usize = 1 << 20;
/// Largest dimension: integer sums of long codes fit in 31 bits.
pub(super) const MAX_DIM: usize = 1_024;

/// What a file holds how much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Components of a vector.
    pub(super) dim: usize,
    /// Vectors.
    pub(super) rows: usize,
    /// Cells.
    pub(super) cells: usize,
    /// Blocks of 32 slots; a cell begins with a block, so the last of each may be part empty.
    pub(super) blocks: usize,
}

/// The parts of the body, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// `f32 [width, dim]`: the axes that vectors are coded along.
    Axes,
    /// `f32`: short points x and y `[width / 2, 16]`, then step, spread and noise `[width]`.
    Codec,
    /// `f32 [cells, width]`: the mean of each cell, along the axes.
    Means,
    /// `f32 [cells]`: root of the mean squared distance of a cell's rows from its mean.
    Sizes,
    /// `u32 [cells]`: first block.
    Firsts,
    /// `u32 [cells]`: rows.
    Counts,
    /// `u32 [slots]`: the row in each slot, `u32::MAX` in an empty one.
    Ids,
    /// `u8 [blocks]`: short codes, 32 rows side by side.
    Short,
    /// `i8 [slots, width]`: long codes.
    Long,
}

impl Section {
    pub(super) const ALL: [Self; 9] = [
        Self::Axes,
        Self::Codec,
        Self::Means,
        Self::Sizes,
        Self::Firsts,
        Self::Counts,
        Self::Ids,
        Self::Short,
        Self::Long,
    ];

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Axes => "axes",
            Self::Codec => "codec",
            Self::Means => "cell means",
            Self::Sizes => "cell sizes",
            Self::Firsts => "cell places",
            Self::Counts => "cell counts",
            Self::Ids => "rows",
            Self::Short => "short codes",
            Self::Long => "long codes",
        }
    }
}

/// Components of a coded vector of this dimension.
pub(super) fn width(dim: usize) -> usize {
    dim.next_multiple_of(4)
}

impl Shape {
    /// Components of a coded vector.
    pub(super) fn width(self) -> usize {
        width(self.dim)
    }

    /// Places for rows.
    pub(super) fn slots(self) -> usize {
        self.blocks * BLOCK_ROWS
    }

    /// Bytes of a section. The numbers are bounded by `check`, so nothing overflows.
    fn bytes(self, section: Section) -> usize {
        let width = self.width();
        match section {
            Section::Axes => 4 * width * self.dim,
            Section::Codec => 4 * (width * TABLE + 3 * width),
            Section::Means => 4 * self.cells * width,
            Section::Sizes | Section::Firsts | Section::Counts => 4 * self.cells,
            Section::Ids => 4 * self.slots(),
            Section::Short => self.blocks * block_bytes(width),
            Section::Long => self.slots() * width,
        }
    }

    /// Where a section stands in the body.
    pub(super) fn place(self, section: Section) -> Range<usize> {
        let mut start = 0;
        for at in Section::ALL {
            let bytes = self.bytes(at);
            if at == section {
                return start..start + bytes;
            }
            start = (start + bytes).next_multiple_of(PAGE);
        }
        start..start
    }

    /// Bytes of the body.
    pub(super) fn body(self) -> usize {
        self.place(Section::Long).end.next_multiple_of(PAGE)
    }

    /// Where the body starts in the file.
    pub(super) fn body_start(self) -> usize {
        PAGE + (4 * self.body().div_ceil(CHECKED)).next_multiple_of(PAGE)
    }

    /// The section that a byte of the body belongs to.
    pub(super) fn section_at(self, byte: usize) -> Section {
        let begun = |section: &&Section| self.place(**section).start <= byte;
        Section::ALL.iter().take_while(begun).last().copied().unwrap_or(Section::Axes)
    }

    /// Whether the numbers are possible at all.
    ///
    /// # Errors
    /// Which is not.
    pub(super) fn check(self) -> Result<(), &'static str> {
        if self.dim == 0 || self.dim > MAX_DIM {
            return Err("the dimension is not in 1..1024");
        }
        // Slots are numbered by u32, and u32::MAX is no row.
        if self.rows >= u32::MAX as usize || self.blocks > u32::MAX as usize / BLOCK_ROWS {
            return Err("there are too many rows");
        }
        if self.cells > self.blocks || self.slots() < self.rows || (self.rows == 0) != (self.cells == 0) {
            return Err("cells, blocks and rows do not fit together");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_follow_each_other_on_whole_pages() {
        let shape = Shape { dim: 61, rows: 1_000, cells: 7, blocks: 40 };
        assert_eq!(shape.check(), Ok(()));
        let mut end = 0;
        for section in Section::ALL {
            let place = shape.place(section);
            assert!(place.start >= end && place.start < end + PAGE && place.start.is_multiple_of(PAGE), "{section:?}");
            assert!(!place.is_empty() && shape.section_at(place.end - 1) == section);
            end = place.end;
        }
        assert_eq!(shape.place(Section::Short).len(), 40 * 32 * 16);
        assert_eq!(shape.place(Section::Long).len(), 40 * 32 * 64);
        assert!(shape.body() >= end && shape.body_start() == 2 * PAGE);
    }

    #[test]
    fn impossible_numbers_are_refused() {
        let shape = Shape { dim: 64, rows: 100, cells: 2, blocks: 4 };
        for wrong in [
            Shape { dim: 0, ..shape },
            Shape { dim: 1_025, ..shape },
            Shape { rows: 129, ..shape },
            Shape { rows: 0, ..shape },
            Shape { cells: 5, ..shape },
            Shape { blocks: 1 << 27, ..shape },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
