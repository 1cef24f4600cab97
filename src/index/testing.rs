//! Vectors for tests.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::domain::{ItemVectors, UnitVector};

/// `rows` unit vectors around `clusters` random centres, `spread` wide; a spread of 0 makes them equal within a cluster.
pub(crate) fn random(rows: usize, dim: usize, clusters: usize, spread: f32, seed: u64) -> ItemVectors {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let centres: Vec<Vec<f32>> = (0..clusters).map(|_| direction(&mut rng, dim)).collect();
    let mut data = Vec::with_capacity(rows * dim);
    for _ in 0..rows {
        let centre = &centres[rng.random_range(0..clusters)];
        let noise = direction(&mut rng, dim);
        let row = centre.iter().zip(noise).map(|(c, n)| c + spread * n).collect();
        data.extend_from_slice(UnitVector::new(row, dim).unwrap().as_slice());
    }
    ItemVectors::from_raw(data, dim).unwrap()
}

/// One random unit vector.
pub(crate) fn query(dim: usize, seed: u64) -> UnitVector {
    UnitVector::new(direction(&mut ChaCha8Rng::seed_from_u64(seed), dim), dim).unwrap()
}

fn direction(rng: &mut ChaCha8Rng, dim: usize) -> Vec<f32> {
    let row: Vec<f32> = (0..dim).map(|_| rng.random_range(-1.0f32..1.0)).collect();
    UnitVector::new(row, dim).unwrap().as_slice().to_vec()
}
