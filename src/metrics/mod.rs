//! What `/metrics` shows. One struct an area; the doc comment of a field is its help text. A [`Metrics`] owns a registry
//! of its own, so every test and every server starts from zero. Labels are closed sets: never a user, a session or a track.

mod archive;
mod define;
mod events;
mod exploration;
mod feature_log;
mod http;
mod node;
mod stages;

use prometheus::{Registry, TextEncoder};

pub use archive::ArchiveMetrics;
pub use events::{EventMetrics, StreamMetrics};
pub use exploration::ExplorationMetrics;
pub use feature_log::FeatureLogMetrics;
pub use http::HttpMetrics;
pub use node::NodeMetrics;
pub use stages::{AnswerMetrics, StageMetrics};

/// Content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// All metrics of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Per stage of the pipeline.
    pub stages: StageMetrics,
    /// Per answer.
    pub answers: AnswerMetrics,
    /// Per HTTP request.
    pub http: HttpMetrics,
    /// Per event.
    pub events: EventMetrics,
    /// Of exploration.
    pub exploration: ExplorationMetrics,
    /// Of the feature log.
    pub feature_log: FeatureLogMetrics,
    /// Of the export to an archive.
    pub archive: ArchiveMetrics,
    /// Of the stream between nodes.
    pub stream: StreamMetrics,
    /// Lanes, state and what is loaded.
    pub node: NodeMetrics,
}

impl Metrics {
    /// Makes every metric in a fresh registry and notes the time as the process's start.
    ///
    /// # Errors
    /// Two metrics with one name: a programming error that the tests of this module find.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            stages: StageMetrics::register(&registry)?,
            answers: AnswerMetrics::register(&registry)?,
            http: HttpMetrics::register(&registry)?,
            events: EventMetrics::register(&registry)?,
            exploration: ExplorationMetrics::register(&registry)?,
            feature_log: FeatureLogMetrics::register(&registry)?,
            archive: ArchiveMetrics::register(&registry)?,
            stream: StreamMetrics::register(&registry)?,
            node: NodeMetrics::register(&registry)?,
            registry,
        };
        metrics.node.started();
        Ok(metrics)
    }

    /// The metrics in Prometheus' text format. Metrics with labels appear once a label has been used.
    ///
    /// # Errors
    /// A metric that cannot be encoded.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn renders_help_and_values() {
        let metrics = Metrics::new().unwrap();
        metrics.http.record("/v1/next-tracks", "200", Duration::from_millis(3));
        metrics.node.loaded("2026-11-20.3", "exact", 1_000);
        metrics.node.loaded("2026-11-21.1", "hnsw", 2_000);
        let text = metrics.render().unwrap();
        assert!(
            text.contains("# HELP segue_http_requests_total Requests answered, by route pattern and status."),
            "{text}"
        );
        assert!(text.contains(r#"segue_http_requests_total{route="/v1/next-tracks",status="200"} 1"#), "{text}");
        assert!(text.contains(r#"segue_bundle_info{engine="hnsw",version="2026-11-21.1"} 1"#), "{text}");
        assert!(!text.contains("2026-11-20.3"), "only the bundle in force is shown");
    }

    #[test]
    fn names_follow_the_rule() {
        let metrics = Metrics::new().unwrap();
        for family in metrics.registry.gather() {
            let counter = family.get_field_type() == prometheus::proto::MetricType::COUNTER;
            assert!(family.name().starts_with("segue_"), "{}", family.name());
            assert_eq!(family.name().ends_with("_total"), counter, "{}", family.name());
            assert!(family.help().ends_with('.') && !family.help().contains("  "), "{}", family.help());
        }
    }
}
