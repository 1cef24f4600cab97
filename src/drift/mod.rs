//! Whether the ranker still fits what happens, out of the logs: its AUC over time on what was played, its calibration, and how
//! candidates differ from its training; and when to ask for a new one (`docs/drift.md`).

mod action;
mod chart;
mod collect;
mod compare;
mod report;
mod table;
#[cfg(test)]
mod tests;
mod trigger;

pub use action::{ActionError, Told, act, write};
pub use chart::drift_chart;
pub use collect::{Collected, Play, Range, collect};
pub use compare::{HeadComparison, compare};
pub use report::{DriftReport, HeadPoint, Point, Settings, report};
pub use table::text_table;
pub use trigger::{Fired, Reading, Reason, Trigger};
