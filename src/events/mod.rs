//! Events on their way in: validation, the duplicate window, the log, the live state; and back from the log into it.

mod batch;
mod beside;
mod embedded;
#[cfg(feature = "fluvio")]
pub mod fluvio;
mod in_flight;
mod ingest;
mod log;
mod notes;
mod objects;
mod order;
mod raw;
mod recover;
mod stream;
mod validate;

pub use batch::{Batch, Malformed};
pub use beside::{Beside, LiveState};
pub use embedded::{DeadLetters, EmbeddedLog, KeptLetter, Letter, Look, Opened, Origin, Step, look, read_step, scan};
pub use ingest::{EventOutcome, Ingest};
pub use log::{Entry, EventLog, EventLogError, MemoryLog};
pub use notes::Notes;
pub use objects::optional_object;
pub use raw::{RawContext, RawEvent};
pub use recover::{Ground, Replayed, recover};
pub use stream::{Absorbed, Foreign, Outbox, Position, Unsent};
pub use validate::{Clock, validate};
