//! Metrics of drift.

use prometheus::{GaugeVec, IntGauge};

use super::define::metrics;

metrics! {
    /// How the requests of the last `drift.window_min` differ from the training rows of the bundle in force; without a
    /// reference in the bundle, or with too few answers, only the count is there.
    DriftMetrics {
        /// Answers that were counted in the window.
        answers: IntGauge = gauge("segue_drift_answers"),
        /// Population stability index of a head's probabilities against training; above 0.25 they have shifted.
        head_psi: GaugeVec = float_gauges("segue_drift_head_psi", &["head"]),
        /// Relative entropy of a head's probabilities from training, nats.
        head_kl: GaugeVec = float_gauges("segue_drift_head_kl", &["head"]),
        /// Mean probability that a head gives to candidates.
        head_mean: GaugeVec = float_gauges("segue_drift_head_mean", &["head"]),
        /// The same in training.
        head_trained_mean: GaugeVec = float_gauges("segue_drift_head_trained_mean", &["head"]),
        /// Population stability index of an input of the ranker against training.
        feature_psi: GaugeVec = float_gauges("segue_drift_feature_psi", &["feature"]),
        /// Relative entropy of an input of the ranker from training, nats.
        feature_kl: GaugeVec = float_gauges("segue_drift_feature_kl", &["feature"]),
    }
}
