//! A synthetic world: a believable catalogue, and listeners who play, skip, return and tire of it.
//!
//! Nothing in it is recorded from real people. It has the structure a recommender must find (artists near genres, tastes
//! near artists, albums played in order, moods by the hour) and the behaviour it must survive (skips, pauses, repeats,
//! satiation, churn). The same configuration gives the same files, byte for byte.

mod audio;
mod behaviour;
mod catalogue;
mod config;
mod crowd;
mod event;
mod generate;
mod listener;
mod names;
mod session;

pub use config::{WorldConfig, WorldError};
pub use crowd::{Asking, Crowd, Heard};
pub use generate::{WorldSummary, generate};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Latent dimensions of taste.
const LATENT: usize = 8;

/// A point in the space of taste.
type Latent = [f32; LATENT];

/// The random stream of one thing in the world: any thing can be made again without the others.
fn stream(seed: u64, kind: u64, index: u64) -> ChaCha8Rng {
    let mut mixed = seed ^ kind.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ index.wrapping_mul(0xD1B5_4A32_D192_ED03);
    mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ChaCha8Rng::seed_from_u64(mixed ^ (mixed >> 29))
}

/// Cosine of two points; 0 for a point at the origin.
fn cosine(a: &Latent, b: &Latent) -> f32 {
    let dot: f32 = a.iter().zip(b).map(|(x, y)| x * y).sum();
    let norm = |v: &Latent| v.iter().map(|x| x * x).sum::<f32>().sqrt();
    let scale = norm(a) * norm(b);
    if scale > 0.0 { dot / scale } else { 0.0 }
}

#[cfg(test)]
mod tests;
