//! Metrics of exploration and of how widely the catalogue is served.

use prometheus::{Gauge, IntCounterVec, IntGauge};

use super::define::metrics;

metrics! {
    /// Per served track; gauges are set when a scrape comes.
    ExplorationMetrics {
        /// Tracks served, by whether they have fewer plays than `exploration.new_plays`: new, known.
        impressions: IntCounterVec = counters("segue_exploration_impressions_total", &["track"]),
        /// Share of new tracks among those served last, as many as `exploration.window`.
        new_share: Gauge = float_gauge("segue_exploration_new_share"),
        /// Tracks that turned from cold to warm since the start.
        promoted: IntGauge = gauge("segue_exploration_promoted"),
        /// Share of the catalogue that was served since the start.
        coverage: Gauge = float_gauge("segue_catalogue_coverage"),
        /// Share of all that was served since the start that went to the most served hundredth of the artists.
        top_artists: Gauge = float_gauge("segue_catalogue_top_artists_share"),
    }
}
