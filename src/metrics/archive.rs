//! Metrics of the export to an archive.

use prometheus::{IntCounter, IntGauge};

use super::define::metrics;

metrics! {
    /// Of `events.export`; all 0 without it.
    ArchiveMetrics {
        /// Events that the server exported.
        events: IntCounter = counter("segue_archive_events_total"),
        /// Files that it wrote for them.
        files: IntCounter = counter("segue_archive_files_total"),
        /// Offsets that the event log no longer had when they were to be exported.
        missing: IntCounter = counter("segue_archive_missing_total"),
        /// Exports that failed; the next one goes on where the last finished.
        failures: IntCounter = counter("segue_archive_failures_total"),
        /// Entries of the event log that are not exported yet; grows while the archive is away.
        unexported: IntGauge = gauge("segue_archive_unexported"),
    }
}
