//! Observers: metrics, what was served, the trace of every answer, what drifts, and the rows of the feature log.

mod drift;
mod exposure;
mod features;
mod metrics;
mod recall;
mod served;
mod trace;

pub use drift::{DriftObserver, LaneSpread};
pub use exposure::ExposureObserver;
pub use features::{FeatureObserver, FeatureSink};
pub use metrics::MetricsObserver;
pub use recall::RecallObserver;
pub use served::ServedObserver;
pub use trace::{CatalogueMoment, Trace, TraceObserver, TraceStore};
