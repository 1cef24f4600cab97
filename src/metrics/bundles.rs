//! Metrics of swaps of the bundle.

use prometheus::{Gauge, IntCounterVec, IntGauge};

use super::define::metrics;

metrics! {
    /// Bundles that were put in the place of others.
    BundleMetrics {
        /// Swaps of the bundle by what became of them: activated, overridden (the guardrail), rolled_back, refused, failed.
        swaps: IntCounterVec = counters("segue_bundle_swaps_total", &["outcome"]),
        /// When another bundle was put in place last, seconds since 1970-01-01 UTC; 0 before.
        last_swap: Gauge = float_gauge("segue_bundle_last_swap_time_seconds"),
        /// 1 while another bundle is served than should be, because that did not load at the start.
        fell_back: IntGauge = gauge("segue_bundle_fell_back"),
    }
}
