//! The feature log: the very rows that the ranker saw, kept as Parquet until their outcome is known. Three tables, each
//! by the hour of its answers (`docs/formats.md`): `answers`, `candidates` and `items`. A *part* is one file of each under
//! one name; its answers come last, so that whoever finds an answer finds its rows.

mod compact;
mod log;
mod part;
mod publisher;
mod read;
mod rows;
mod tables;
#[cfg(test)]
mod tests;

pub use compact::{Compacted, compact};
pub use log::{FeatureLog, Served};
pub use part::{ClosedPart, Part, PartSummary};
pub use read::{LoggedGroup, LoggedPart, RankedRow, parts};
pub use tables::{AnswerRow, CandidateBatch, ItemRow};
