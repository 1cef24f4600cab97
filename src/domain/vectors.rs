//! Vectors of the shared embedding space.

use std::sync::Arc;

use memmap2::Mmap;

use super::Appended;

/// Why a slice is not a vector of the space.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum VectorError {
    /// The length differs from the space's dimension.
    #[error("dimension {got}, expected {expected}")]
    Dimension {
        /// What came.
        got: usize,
        /// What the space has.
        expected: usize,
    },
    /// A component is NaN or infinite.
    #[error("component {0} is not finite")]
    NotFinite(usize),
    /// The norm is zero or so small that the direction means nothing.
    #[error("norm {0} is too small to have a direction")]
    Zero(f32),
    /// The norm is not 1 (only from [`ItemVectors::from_raw`], which does not repair).
    #[error("row {row} has norm {norm}, expected 1")]
    NotUnit {
        /// Row of the matrix.
        row: usize,
        /// Its norm.
        norm: f32,
    },
}

/// A finite vector of length 1: the only way into an index. Panics in index libraries on NaN or long vectors end here.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitVector(Vec<f32>);

impl UnitVector {
    /// Checks `values` against the space's dimension and scales them to length 1. `O(dim)`, reuses the allocation.
    pub fn new(mut values: Vec<f32>, dim: usize) -> Result<Self, VectorError> {
        normalise(&mut values, dim)?;
        Ok(Self(values))
    }

    /// The components, `[dim]`.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// Copies `values` in place of these ones, with the checks of [`UnitVector::new`] and no allocation.
    /// On error the old value stays.
    pub fn set(&mut self, values: &[f32]) -> Result<(), VectorError> {
        check(values, self.0.len())?;
        self.0.copy_from_slice(values);
        let dim = self.0.len();
        normalise(&mut self.0, dim)
    }
}

fn check(values: &[f32], dim: usize) -> Result<f32, VectorError> {
    if values.len() != dim {
        return Err(VectorError::Dimension { got: values.len(), expected: dim });
    }
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        return Err(VectorError::NotFinite(at));
    }
    let norm = (values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>()).sqrt() as f32;
    if norm < 1e-6 || !norm.is_finite() { Err(VectorError::Zero(norm)) } else { Ok(norm) }
}

fn normalise(values: &mut [f32], dim: usize) -> Result<(), VectorError> {
    let norm = check(values, dim)?;
    if (norm - 1.0).abs() > 1e-6 {
        values.iter_mut().for_each(|v| *v /= norm);
    }
    Ok(())
}

/// The item vectors of a bundle, row-major `[rows, dim]`, every row of length 1; row = [`crate::domain::TrackIx`]. Rows can
/// be added behind those of the bundle.
#[derive(Debug, Clone)]
pub struct ItemVectors {
    dim: usize,
    matrix: Matrix,
    added: Appended<UnitVector>,
}

/// The bundle's rows.
#[derive(Debug, Clone)]
enum Matrix {
    Owned(Vec<f32>),
    /// A file and where its numbers begin. They stay on disk until they are read, and leave memory when it is short.
    Mapped(Arc<Mmap>, usize),
}

impl Matrix {
    #[inline]
    fn as_slice(&self) -> &[f32] {
        match self {
            Self::Owned(data) => data,
            Self::Mapped(map, start) => bytemuck::cast_slice(&map[*start..]),
        }
    }
}

impl ItemVectors {
    /// Wraps a row-major matrix; every row must be finite and of length 1 within 1e-3.
    pub fn from_raw(data: Vec<f32>, dim: usize) -> Result<Self, VectorError> {
        Self::new(Matrix::Owned(data), dim)
    }

    /// The same over the numbers of a file from byte `start` on, a multiple of 4, in this machine's byte order. Reads all of
    /// it once.
    pub fn from_map(map: Mmap, start: usize, dim: usize) -> Result<Self, VectorError> {
        let bytes = map.len().saturating_sub(start);
        if !start.is_multiple_of(4) || !bytes.is_multiple_of(4) {
            return Err(VectorError::Dimension { got: bytes, expected: dim });
        }
        Self::new(Matrix::Mapped(Arc::new(map), start), dim)
    }

    fn new(matrix: Matrix, dim: usize) -> Result<Self, VectorError> {
        let data = matrix.as_slice();
        if dim == 0 || !data.len().is_multiple_of(dim) {
            return Err(VectorError::Dimension { got: data.len(), expected: dim });
        }
        for (row, values) in data.chunks_exact(dim).enumerate() {
            let norm = check(values, dim)?;
            if (norm - 1.0).abs() > 1e-3 {
                return Err(VectorError::NotUnit { row, norm });
            }
        }
        Ok(Self { dim, matrix, added: Appended::default() })
    }

    /// No vectors at all: for state that is replayed before there are any.
    pub fn none() -> Self {
        Self { dim: 1, matrix: Matrix::Owned(Vec::new()), added: Appended::default() }
    }

    /// Dimension of the space.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of vectors, with those that were added.
    #[inline]
    pub fn len(&self) -> usize {
        self.built() + self.added.len()
    }

    /// Number of the bundle's vectors.
    #[inline]
    pub fn built(&self) -> usize {
        self.as_slice().len() / self.dim
    }

    /// Whether there is no vector.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The vector of one row. Panics if the row is out of range; rows come from the same bundle.
    #[inline]
    pub fn row(&self, row: usize) -> &[f32] {
        let start = row * self.dim;
        match self.as_slice().get(start..start + self.dim) {
            Some(values) => values,
            None => self.added[row - self.built()].as_slice(),
        }
    }

    /// The bundle's matrix, row-major.
    #[inline]
    pub fn as_slice(&self) -> &[f32] {
        self.matrix.as_slice()
    }

    /// Adds a row while others read, and returns its number. Only one thread at a time may add.
    ///
    /// # Errors
    /// Another dimension.
    pub fn add(&self, vector: UnitVector) -> Result<usize, VectorError> {
        check(vector.as_slice(), self.dim)?;
        Ok(self.built() + self.added.push(vector))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_vector_is_the_only_way_in() {
        assert!(matches!(UnitVector::new(vec![1.0], 2), Err(VectorError::Dimension { .. })));
        assert_eq!(UnitVector::new(vec![1.0, f32::NAN], 2), Err(VectorError::NotFinite(1)));
        assert_eq!(UnitVector::new(vec![0.0, 0.0], 2), Err(VectorError::Zero(0.0)));
        assert_eq!(UnitVector::new(vec![3.0, 4.0], 2).unwrap().as_slice(), [0.6, 0.8]);
        let mut kept = UnitVector::new(vec![3.0, 4.0], 2).unwrap();
        assert!(kept.set(&[f32::INFINITY, 0.0]).is_err());
        assert_eq!(kept.as_slice(), [0.6, 0.8]);
        assert!(ItemVectors::from_raw(vec![1.0, 1.0], 2).is_err());
    }

    #[test]
    fn rows_are_added_behind_the_matrix() {
        let vectors = ItemVectors::from_raw(vec![0.6, 0.8], 2).unwrap();
        let added = UnitVector::new(vec![0.0, -2.0], 2).unwrap();
        assert_eq!(vectors.add(added), Ok(1));
        assert_eq!(
            (vectors.len(), vectors.built(), vectors.row(0), vectors.row(1)),
            (2, 1, &[0.6, 0.8][..], &[0.0, -1.0][..])
        );
        assert!(vectors.add(UnitVector::new(vec![1.0], 1).unwrap()).is_err() && vectors.len() == 2);
    }
}
