//! Where vectors come from when an index is built.

use super::IndexError;
use crate::domain::ItemVectors;

/// Rows handed over at a time.
const ROWS_A_CHUNK: usize = 8_192;

/// What is done with rows that were read: the number of the first one, and the rows, row-major.
pub type Visit<'a> = &'a mut dyn FnMut(usize, &[f32]) -> Result<(), IndexError>;

/// Vectors that can be read from the first to the last, more than once.
pub trait VectorSource {
    /// Number of vectors.
    fn rows(&self) -> usize;

    /// Their dimension.
    fn dim(&self) -> usize;

    /// Hands all of them over in order, some at a time.
    ///
    /// # Errors
    /// They cannot be read, or `visit` fails.
    fn read(&mut self, visit: Visit<'_>) -> Result<(), IndexError>;
}

impl VectorSource for &ItemVectors {
    fn rows(&self) -> usize {
        self.len()
    }

    fn dim(&self) -> usize {
        ItemVectors::dim(self)
    }

    fn read(&mut self, visit: Visit<'_>) -> Result<(), IndexError> {
        let chunks = self.as_slice().chunks(ROWS_A_CHUNK * ItemVectors::dim(self));
        chunks.enumerate().try_for_each(|(chunk, rows)| visit(chunk * ROWS_A_CHUNK, rows))
    }
}
