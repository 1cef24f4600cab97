//! Observers: metrics, what was served, and the trace of every answer.

mod metrics;
mod recall;
mod served;
mod trace;

pub use metrics::MetricsObserver;
pub use recall::RecallObserver;
pub use served::ServedObserver;
pub use trace::{DEFAULT_TRACE_BYTES, Trace, TraceObserver, TraceStore};
