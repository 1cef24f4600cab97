//! Metrics of events and of changes to the catalogue.

use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge};

use super::define::metrics;

/// Bounds of lags, seconds: what comes at once, what a client batches, what comes from offline use.
const LAGS: &[f64] = &[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0];

metrics! {
    /// Per event of `POST /v1/events`, of the log behind it, and per takedown.
    EventMetrics {
        /// Events by what became of them: accepted, duplicate, rejected.
        received: IntCounterVec = counters("segue_events_received_total", &["status"]),
        /// Entries that the event log made durable.
        log_entries: IntCounter = counter("segue_events_log_entries_total"),
        /// Commits of the event log; entries by commits is what one sync of the disk carried.
        log_commits: IntCounter = counter("segue_events_log_commits_total"),
        /// Commits that failed, as on a full disk; their callers were told to come again.
        log_failures: IntCounter = counter("segue_events_log_failures_total"),
        /// Entries that were in the event log and are no more, because a file was damaged.
        log_lost: IntCounter = counter("segue_events_log_lost_total"),
        /// Times that a file of the event log was found damaged.
        log_damaged: IntCounter = counter("segue_events_log_damaged_total"),
        /// Bytes of the event log when its old segments were last looked at.
        log_bytes: IntGauge = gauge("segue_events_log_bytes"),
        /// Entries that had to leave the event log for its size before they were exported.
        log_unexported: IntCounter = counter("segue_events_log_unexported_total"),
        /// Events of clients whose clock was off and was corrected.
        clock_corrected: IntCounter = counter("segue_events_clock_corrected_total"),
        /// Events older than state.allowed_lateness_s before their listener's newest.
        late: IntCounter = counter("segue_events_late_total"),
        /// Ends of plays and impressions that count for their listener alone, because no answer was proven to have proposed them:
        /// unnamed, forged, expired, not_served. 0 without signals.feedback.secret_file.
        unproven: IntCounterVec = counters("segue_events_unproven_total", &["reason"]),
        /// Events that went to the dead letters, by where they were met: request, log, stream.
        dead_letters: IntCounterVec = counters("segue_events_dead_letters_total", &["origin"]),
        /// Time from an event until features show it, by where it came from: request, stream.
        lag: HistogramVec = histograms("segue_events_lag_seconds", &["origin"], LAGS),
        /// Dead letters that went by size or age, or could not be kept.
        dead_letters_dropped: IntCounter = counter("segue_events_dead_letters_dropped_total"),
        /// Events that the start put back into the live state.
        replayed: IntGauge = gauge("segue_events_replayed"),
        /// Tracks taken down while running.
        takedowns: IntCounter = counter("segue_catalogue_takedowns_total"),
    }
}

metrics! {
    /// Of the stream between nodes; all 0 without one.
    StreamMetrics {
        /// Entries of this node that the stream has acknowledged.
        sent: IntCounter = counter("segue_stream_sent_total"),
        /// Entries of the event log that are still to be sent or passed over; grows while the cluster is away.
        unsent: IntGauge = gauge("segue_stream_unsent"),
        /// Events of other nodes that were taken into the event log.
        taken: IntCounter = counter("segue_stream_taken_total"),
        /// Events of other nodes that were known already and dropped.
        repeated: IntCounter = counter("segue_stream_repeated_total"),
        /// Records that the stream's retention removed before this node had read them: lost here.
        evicted: IntCounter = counter("segue_stream_evicted_total"),
        /// Failures of the connection or the cluster; each is followed by another try.
        failures: IntCounter = counter("segue_stream_failures_total"),
    }
}
