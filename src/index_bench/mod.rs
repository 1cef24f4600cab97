//! Measuring the index: sets of vectors, files of vectors, recall beside time (`segue index`).

mod bandwidth;
mod chart;
mod files;
mod measure;
mod sets;

pub use bandwidth::{Bandwidth, bandwidth};
pub use chart::{Point, chart};
pub use files::{VectorFile, write_npy};
pub use measure::{Built, Measured, Plan, hardware, measure, table};
pub use sets::{Set, SetKind};
