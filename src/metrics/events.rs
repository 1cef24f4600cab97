//! Metrics of events and of changes to the catalogue.

use prometheus::{IntCounter, IntCounterVec};

use super::define::metrics;

metrics! {
    /// Per event of `POST /v1/events`, and per takedown.
    EventMetrics {
        /// Events by what became of them: accepted, duplicate, rejected.
        received: IntCounterVec = counters("segue_events_received_total", &["status"]),
        /// Tracks taken down while running.
        takedowns: IntCounter = counter("segue_catalogue_takedowns_total"),
    }
}
