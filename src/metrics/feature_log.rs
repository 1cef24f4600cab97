//! Metrics of the feature log.

use prometheus::IntCounter;

use super::define::metrics;

metrics! {
    /// Per answer that the feature log is given.
    FeatureLogMetrics {
        /// Answers that are in the feature log.
        answers: IntCounter = counter("segue_feature_log_answers_total"),
        /// Candidates of them.
        rows: IntCounter = counter("segue_feature_log_rows_total"),
        /// Bytes of the feature log's finished files.
        bytes: IntCounter = counter("segue_feature_log_bytes_total"),
        /// Answers that went unlogged because the channel to the writer was full.
        shed_queue: IntCounter = counter("segue_feature_log_shed_queue_total"),
        /// Answers that went unlogged because the store did not take them, as with a full disk.
        shed_store: IntCounter = counter("segue_feature_log_shed_store_total"),
    }
}
