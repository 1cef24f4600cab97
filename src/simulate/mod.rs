//! The closed loop: listeners of the synthetic world are served by the real pipeline, in process, day after day, and what
//! they do with it is what the next answer knows. Policies are configurations; each meets the same listeners.

mod chart;
mod day;
mod report;
mod run;
mod table;

pub use chart::day_chart;
pub use day::{Day, MEASURES, Measure};
pub use report::{Comparison, Measured, PolicyReport, SimulationReport, summarise};
pub use run::{Plan, Policy, SimulateError, run};
pub use table::text_table;
