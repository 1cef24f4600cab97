//! Events on their way in: validation, the duplicate window, the log, the live state; and back from the log into it.

mod embedded;
mod in_flight;
mod ingest;
mod log;
mod objects;
mod order;
mod raw;
mod recover;
mod validate;

pub use embedded::{EmbeddedLog, Look, Opened, look, scan};
pub use ingest::{EventOutcome, Ingest};
pub use log::{Entry, EventLog, EventLogError, MemoryLog};
pub use objects::optional_object;
pub use raw::{RawContext, RawEvent};
pub use recover::{Ground, Replayed, recover};
pub use validate::{Clock, validate};
