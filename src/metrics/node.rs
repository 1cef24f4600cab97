//! Metrics of the process: lanes, live state and what is loaded.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Gauge, IntCounter, IntGauge, IntGaugeVec};

use super::define::metrics;
use crate::pipeline::LaneFigures;

metrics! {
    /// The process; gauges of others' state are set when a scrape comes.
    NodeMetrics {
        /// Requests waiting for a lane.
        queue_length: IntGauge = gauge("segue_lanes_queue_length"),
        /// Requests let in and not yet answered.
        in_flight: IntGauge = gauge("segue_lanes_in_flight"),
        /// How many requests may be in flight now.
        limit: Gauge = float_gauge("segue_lanes_in_flight_limit"),
        /// 1 while the queue stands so long that the newest request goes first.
        newest_first: IntGauge = gauge("segue_lanes_newest_first"),
        /// Requests that were let in and given up because they waited too long, since the start.
        given_up: IntGauge = gauge("segue_lanes_given_up"),
        /// Lanes at work.
        lanes_busy: IntGauge = gauge("segue_lanes_busy"),
        /// Lanes in all.
        lanes: IntGauge = gauge("segue_lanes"),
        /// Live sessions in memory.
        sessions: IntGauge = gauge("segue_state_sessions"),
        /// Profiles in memory.
        profiles: IntGauge = gauge("segue_state_profiles"),
        /// Bytes of sessions and profiles that the disk does not hold yet; the event log does.
        state_changed: IntGauge = gauge("segue_state_changed_bytes"),
        /// Sessions and profiles that memory did not hold and that were looked for on disk, since the start.
        state_disk_reads: IntGauge = gauge("segue_state_disk_reads"),
        /// Sessions and profiles on disk, and files of them, that were found damaged since the start.
        state_damaged: IntGauge = gauge("segue_state_damaged"),
        /// Sessions and profiles that memory had no room for and no disk holds (`events.store = "memory"`), since the start.
        state_lost: IntGauge = gauge("segue_state_lost"),
        /// Always 1; the label is the version of the binary.
        build: IntGaugeVec = gauges("segue_build_info", &["version"]),
        /// Always 1; the labels are the bundle in force and its index engine.
        bundle: IntGaugeVec = gauges("segue_bundle_info", &["version", "engine"]),
        /// Tracks of the bundle in force.
        tracks: IntGauge = gauge("segue_bundle_tracks"),
        /// Tracks that came since the bundle was built.
        added: IntGauge = gauge("segue_catalogue_added"),
        /// Hits that exact searches found for probed requests; what the index found of them by this is its recall.
        probe_wanted: IntCounter = counter("segue_index_probe_wanted_total"),
        /// Of these, hits that the index found too.
        probe_found: IntCounter = counter("segue_index_probe_found_total"),
        /// Probes that were left out because one was being made.
        probes_dropped: IntCounter = counter("segue_index_probes_dropped_total"),
        /// When the process started, seconds since 1970-01-01 UTC.
        start: Gauge = float_gauge("segue_process_start_time_seconds"),
    }
}

impl NodeMetrics {
    pub(super) fn started(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.start.set(now.as_secs_f64());
        self.build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    }

    /// Takes over what lanes are doing.
    pub fn lanes(&self, figures: &LaneFigures) {
        self.queue_length.set(figures.queued as i64);
        self.lanes_busy.set(figures.busy as i64);
        self.in_flight.set(figures.in_flight as i64);
        self.limit.set(figures.limit);
        self.newest_first.set(i64::from(figures.newest_first));
        self.given_up.set(figures.given_up as i64);
    }

    /// Names the bundle in force in place of the one before.
    pub fn loaded(&self, version: &str, engine: &str, tracks: usize) {
        self.bundle.reset();
        self.bundle.with_label_values(&[version, engine]).set(1);
        self.tracks.set(tracks as i64);
    }
}
