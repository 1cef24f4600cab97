//! What came of an experiment (`docs/experiments.md`): the feature log says who was exposed to which arm and when, the archive of
//! events what they did then and before. The listener is the unit of everything.

mod chart;
mod error;
mod exposed;
mod listener;
mod measures;
mod page;
mod report;
#[cfg(test)]
mod report_tests;
mod table;

pub use chart::change_chart;
pub use error::ExperimentError;
pub use exposed::{Exposed, Exposure, exposed};
pub use listener::{Lived, lived};
pub use measures::{MEASURES, Measure};
pub use page::html_page;
pub use report::{ArmReport, Change, ExperimentReport, Guard, MeasureReport, Settings, report};
pub use table::text_table;
