//! Metrics of the HTTP server.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounter, IntCounterVec};

use super::define::metrics;

/// 0.5 ms to 2.5 s.
const REQUEST_BUCKETS: [f64; 13] =
    [0.5e-3, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 150e-3, 200e-3, 500e-3, 1.0, 2.5];

metrics! {
    /// Per HTTP request; the label `route` is the pattern (`/v1/tracks/{id}`), never a path.
    HttpMetrics {
        /// Requests answered, by route pattern and status.
        requests: IntCounterVec = counters("segue_http_requests_total", &["route", "status"]),
        /// Time from a request's arrival to its answer, seconds.
        seconds: HistogramVec = histograms("segue_http_request_duration_seconds", &["route"], &REQUEST_BUCKETS),
        /// Requests refused because of load, by criticality (`sheddable`, `default`, `critical`).
        refused: IntCounterVec = counters("segue_http_overload_refused_total", &["criticality"]),
        /// Requests with a known API key, by its client and how it went: admitted, forbidden, rate_limited.
        clients: IntCounterVec = counters("segue_http_client_requests_total", &["client", "outcome"]),
        /// Requests refused because they showed no API key, or none that is known.
        unauthorized: IntCounter = counter("segue_http_unauthorized_total"),
    }
}

impl HttpMetrics {
    /// Takes note of one answered request. Two hash look-ups.
    pub fn record(&self, route: &str, status: &str, took: Duration) {
        self.requests.with_label_values(&[route, status]).inc();
        self.seconds.with_label_values(&[route]).observe(took.as_secs_f64());
    }
}
