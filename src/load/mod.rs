//! Load on a server over HTTP: an open loop whose requests are due by a schedule that no answer can delay, so that a server
//! that stalls is charged for every request that was due meanwhile (coordinated omission). Knows the wire, not the server.

mod arrivals;
mod capacity;
mod chart;
mod client;
mod crowd;
mod mix;
mod overload;
mod process;
mod record;
mod report;
mod run;
mod scrape;
mod soak;
mod table;
mod wire;
mod worker;

pub use arrivals::{Arrivals, Due, Phase, Schedule};
pub use capacity::{Bound, CapacityReport, Probe, measure, search};
pub use chart::{Panel, charts};
pub use client::{Client, Target};
pub use crowd::{Crowd, Listener, Play};
pub use mix::{Ask, Mix, MixPlan};
pub use overload::{Moment, OverloadReport, overload, timeline};
pub use process::{Usage, usage};
pub use record::{Kind, Outcome, Record, Sample, Slice};
pub use report::{Cost, PhaseReport, Quantiles, StageCost, phase_report};
pub use run::{Observed, Plan, recall, run};
pub use scrape::Scrape;
pub use soak::{Memory, SoakReport, soak};
pub use table::{capacity_table, overload_table, run_table, soak_table};

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The address of the server.
    #[error("target {0}: expected HOST:PORT or http://HOST:PORT")]
    Target(String),
    /// The listeners' file.
    #[error(transparent)]
    Table(#[from] crate::tables::TableError),
    /// A file without plays.
    #[error("{0}: no listener in it has a play with `played_ms`; give a file of canonical events (docs/formats.md)")]
    NoPlays(String),
    /// A number of the plan.
    #[error("{0}")]
    Plan(String),
    /// The server could not be talked to, or answered something else than was asked for.
    #[error("{target}: {fault}")]
    Server {
        /// The server's address.
        target: String,
        /// What it did.
        fault: String,
    },
    /// The machine.
    #[error("load generator: {0}")]
    Io(#[from] std::io::Error),
}
