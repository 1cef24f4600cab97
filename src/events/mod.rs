//! Events on their way in: validation, the duplicate window, the log, the live state.

mod ingest;
mod log;
mod objects;
mod raw;
mod validate;

pub use ingest::{EventOutcome, Ingest};
pub use log::{EventLog, EventLogError, MemoryLog};
pub use objects::optional_object;
pub use raw::{RawContext, RawEvent};
pub use validate::{Clock, validate};
