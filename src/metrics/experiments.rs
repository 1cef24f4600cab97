//! Metrics of experiments.

use prometheus::IntCounterVec;

use super::define::metrics;

metrics! {
    /// Per answer; labels are the names in the configuration.
    ExperimentMetrics {
        /// Answers past the point where an experiment's arms part, by experiment and arm.
        answers: IntCounterVec = counters("segue_experiment_answers_total", &["experiment", "arm"]),
    }
}
