//! Synthetic sets of vectors with user-like queries.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::domain::{ItemVectors, UnitVector, VectorError};

/// Rows of a cluster of [`SetKind::Clustered`], on average.
const CLUSTER: usize = 200;
/// Directions that [`SetKind::Smooth`] extends in.
const INTRINSIC: usize = 24;
/// Queries of a set.
const QUERIES: usize = 1_000;

/// How the vectors of a set lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetKind {
    /// Around one centre in 200 rows.
    Clustered,
    /// A cloud of 24 dimensions in a space of more.
    Smooth,
    /// All directions alike.
    Uniform,
    /// Smooth, with one direction ten times as strong as the others.
    Anisotropic,
    /// Clustered; half of the rows are around one centre.
    OneArtist,
    /// Clustered; every vector stands there four times.
    Duplicates,
}

impl SetKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Clustered, Self::Smooth, Self::Uniform, Self::Anisotropic, Self::OneArtist, Self::Duplicates];

    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clustered => "clustered",
            Self::Smooth => "smooth",
            Self::Uniform => "uniform",
            Self::Anisotropic => "anisotropic",
            Self::OneArtist => "one_artist",
            Self::Duplicates => "duplicates",
        }
    }
}

impl std::str::FromStr for SetKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| format!("is none of {}", known()))
    }
}

/// Vectors and queries.
pub struct Set {
    /// The vectors.
    pub vectors: ItemVectors,
    /// The queries: each the mean of three rows with some noise, as the vector of a listener of those is.
    pub queries: Vec<UnitVector>,
}

impl Set {
    /// Makes one of `rows` vectors of dimension `dim`. The same seed gives the same set.
    ///
    /// # Errors
    /// No rows or no dimensions.
    pub fn new(kind: SetKind, rows: usize, dim: usize, seed: u64) -> Result<Self, VectorError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let centres: Vec<Vec<f32>> = (0..rows.div_ceil(CLUSTER)).map(|_| normal(&mut rng, dim)).collect();
        let axes: Vec<Vec<f32>> = (0..INTRINSIC).map(|_| normal(&mut rng, dim)).collect();
        let mut data: Vec<f32> = Vec::with_capacity(rows * dim);
        for row in 0..rows {
            let vector = match kind {
                SetKind::Uniform => normal(&mut rng, dim),
                SetKind::Smooth | SetKind::Anisotropic => {
                    let mut weights = normal(&mut rng, INTRINSIC);
                    weights[0] *= if kind == SetKind::Anisotropic { 10.0 } else { 1.0 };
                    let mut sum = vec![0.0; dim];
                    for (axis, weight) in axes.iter().zip(weights) {
                        sum.iter_mut().zip(axis).for_each(|(s, a)| *s += weight * a);
                    }
                    sum
                }
                SetKind::Duplicates if row % 4 != 0 => data[(row - 1) * dim..row * dim].to_vec(),
                SetKind::Clustered | SetKind::OneArtist | SetKind::Duplicates => {
                    let all = kind == SetKind::OneArtist && rng.random::<bool>();
                    let centre = if all { 0 } else { rng.random_range(0..centres.len()) };
                    centres[centre].iter().zip(normal(&mut rng, dim)).map(|(c, n)| c + 0.7 * n).collect()
                }
            };
            data.extend_from_slice(UnitVector::new(vector, dim)?.as_slice());
        }
        let vectors = ItemVectors::from_raw(data, dim)?;
        let queries = (0..QUERIES).map(|_| query(&vectors, &mut rng)).collect::<Result<_, _>>()?;
        Ok(Self { vectors, queries })
    }
}

fn normal(rng: &mut impl Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| rng.sample::<f32, _>(StandardNormal)).collect()
}

fn query(vectors: &ItemVectors, rng: &mut impl Rng) -> Result<UnitVector, VectorError> {
    let mut sum: Vec<f32> = normal(rng, vectors.dim()).iter().map(|n| 0.02 * n).collect();
    for _ in 0..3 {
        let near = vectors.row(rng.random_range(0..vectors.len().max(1)));
        sum.iter_mut().zip(near).for_each(|(s, v)| *s += v);
    }
    UnitVector::new(sum, vectors.dim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    #[test]
    fn every_kind_is_made_and_a_seed_makes_it_again() {
        for kind in SetKind::ALL {
            let set = Set::new(kind, 500, 32, 3).unwrap();
            assert_eq!((set.vectors.len(), set.vectors.dim(), set.queries.len()), (500, 32, QUERIES));
            assert_eq!(set.vectors.as_slice(), Set::new(kind, 500, 32, 3).unwrap().vectors.as_slice());
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!(SetKind::from_str("dense").unwrap_err().contains("clustered, smooth"));
    }
}
