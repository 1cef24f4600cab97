//! What to generate.

use crate::tables::TableError;

/// Size, time and seed of a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorldConfig {
    /// Tracks in the catalogue, 10..=50,000,000. About 20 bytes of memory each.
    pub tracks: u32,
    /// Listeners, 1..=5,000,000. About 1 KB of memory each.
    pub listeners: u32,
    /// Days of listening, 1..=730.
    pub days: u32,
    /// Last day, exclusive, as days since 1970-01-01; 731..=100,000.
    pub end_day: i32,
    /// Seed of everything.
    pub seed: u64,
}

impl Default for WorldConfig {
    /// The demo's world: 5,000 tracks, 2,000 listeners, the 60 days before 2026-11-01.
    fn default() -> Self {
        Self { tracks: 5_000, listeners: 2_000, days: 60, end_day: 20_758, seed: 7 }
    }
}

/// Why no world was made.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A number is out of range.
    #[error("{field} = {value} is not in {range}")]
    Range {
        /// Which.
        field: &'static str,
        /// What was given.
        value: i64,
        /// What is allowed.
        range: &'static str,
    },
    /// The output directory cannot be made.
    #[error("{0}")]
    Directory(String),
    /// A table cannot be written.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl WorldConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// The first field out of range.
    pub fn check(&self) -> Result<(), WorldError> {
        let checks = [
            ("tracks", i64::from(self.tracks), 10, 50_000_000, "10..=50000000"),
            ("listeners", i64::from(self.listeners), 1, 5_000_000, "1..=5000000"),
            ("days", i64::from(self.days), 1, 730, "1..=730"),
            ("end_day", i64::from(self.end_day), 731, 100_000, "731..=100000"),
        ];
        match checks.into_iter().find(|(_, value, low, high, _)| value < low || value > high) {
            Some((field, value, _, _, range)) => Err(WorldError::Range { field, value, range }),
            None => Ok(()),
        }
    }

    /// First day of listening.
    pub(super) fn start_day(&self) -> i32 {
        self.end_day - self.days as i32
    }
}
