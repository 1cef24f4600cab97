//! Real listening histories, turned into the canonical tables (`docs/import.md` says what each format becomes).
//!
//! A reader of one format yields plays. What is wrong with a row is counted and sampled, never dropped in silence. Plays
//! are kept as compact rows with numbered strings, cut into sessions, given an end, and written as events in time order.
//! The same input gives the same tables, byte for byte.

mod about;
mod cell;
mod columnar;
mod delimited;
mod emit;
mod ending;
mod error;
mod estimate;
mod fields;
mod format;
mod inputs;
mod intake;
mod lastfm;
mod lines;
mod listenbrainz;
mod mapping;
mod names;
mod play;
mod report;
mod run;
mod sessions;
mod settle;
mod spotify;
mod store;
mod thirty_music;
mod times;

pub use error::ImportError;
pub use format::Format;
pub use report::{LeftOut, Report, Sample};
pub use run::{Phase, Plan, run};

/// Name of the report in the output directory.
pub const REPORT_FILE: &str = "import-report.json";

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
