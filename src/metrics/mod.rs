//! What `/metrics` shows. One struct an area; the doc comment of a field is its help text. A [`Metrics`] owns a registry
//! of its own, so every test and every server starts from zero. Labels are closed sets: never a user, a session or a track.

mod archive;
mod bundles;
mod define;
mod drift;
mod events;
mod experiments;
mod exploration;
mod feature_log;
mod http;
mod node;
mod stages;

use prometheus::{Registry, TextEncoder};

pub use archive::ArchiveMetrics;
pub use bundles::BundleMetrics;
pub use drift::DriftMetrics;
pub use events::{EventMetrics, StreamMetrics};
pub use experiments::ExperimentMetrics;
pub use exploration::ExplorationMetrics;
pub use feature_log::FeatureLogMetrics;
pub use http::HttpMetrics;
pub use node::NodeMetrics;
pub use stages::{AnswerMetrics, StageMetrics};

/// Content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// What a metric is: all that a dashboard is drawn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its name; a histogram's series have `_bucket`, `_sum` and `_count` behind it.
    pub name: String,
    /// The help text.
    pub help: String,
    /// Counter, gauge or histogram.
    pub kind: prometheus::proto::MetricType,
    /// Names of its labels.
    pub labels: Vec<String>,
}

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
    /// Of experiments.
    pub experiments: ExperimentMetrics,
    /// Of exploration.
    pub exploration: ExplorationMetrics,
    /// Of the feature log.
    pub feature_log: FeatureLogMetrics,
    /// Of the export to an archive.
    pub archive: ArchiveMetrics,
    /// Of the stream between nodes.
    pub stream: StreamMetrics,
    /// Of swaps of the bundle.
    pub bundles: BundleMetrics,
    /// Of what is unlike training.
    pub drift: DriftMetrics,
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
            experiments: ExperimentMetrics::register(&registry)?,
            exploration: ExplorationMetrics::register(&registry)?,
            feature_log: FeatureLogMetrics::register(&registry)?,
            archive: ArchiveMetrics::register(&registry)?,
            stream: StreamMetrics::register(&registry)?,
            bundles: BundleMetrics::register(&registry)?,
            drift: DriftMetrics::register(&registry)?,
            node: NodeMetrics::register(&registry)?,
            registry,
        };
        metrics.node.started();
        Ok(metrics)
    }

    /// Every metric, also those that [`Metrics::render`] leaves out because no label of theirs has been used.
    pub fn described(&self) -> Vec<Described> {
        [
            self.stages.described(),
            self.answers.described(),
            self.http.described(),
            self.events.described(),
            self.experiments.described(),
            self.exploration.described(),
            self.feature_log.described(),
            self.stream.described(),
            self.archive.described(),
            self.bundles.described(),
            self.drift.described(),
            self.node.described(),
        ]
        .concat()
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
        for Described { name, help, kind, .. } in metrics.described() {
            let counter = kind == prometheus::proto::MetricType::COUNTER;
            assert!(name.starts_with("segue_"), "{name}");
            assert_eq!(name.ends_with("_total"), counter, "{name}");
            assert!(help.ends_with('.') && !help.contains("  "), "{help}");
        }
    }

    #[test]
    fn every_registered_metric_is_described() {
        let metrics = Metrics::new().unwrap();
        let described = metrics.described();
        for family in metrics.registry.gather() {
            let kinds: Vec<_> = described.iter().filter(|one| one.name == family.name()).map(|one| one.kind).collect();
            assert_eq!(kinds, [family.get_field_type()], "{}: add its struct to Metrics::described", family.name());
        }
    }

    /// Every label with what bounds its values. One that a client or the catalogue could fill has no place here: each
    /// value is a series that Prometheus keeps.
    #[test]
    fn labels_are_closed_sets() {
        let bounds = [
            ("route", "patterns of the router"),
            ("status", "statuses of HTTP"),
            ("stage", "components of the wiring"),
            ("outcome", "how a stage, a swap of the bundle or a request with a key ended"),
            ("client", "clients with keys in the configuration"),
            ("note", "names of the stages' notes"),
            ("rung", "the ladder"),
            ("criticality", "what requests may say of themselves"),
            ("reason", "why something was removed or degraded"),
            ("source", "retrievers"),
            ("track", "new, known: no id"),
            ("origin", "where an event came from"),
            ("head", "heads of the ranker"),
            ("feature", "columns of the feature schema"),
            ("experiment", "experiments of the configuration"),
            ("arm", "arms of the configuration"),
            ("engine", "engines of the index"),
            ("version", "of the binary, of the bundle in force"),
        ];
        for Described { name, labels, .. } in Metrics::new().unwrap().described() {
            for label in labels {
                let bounded = bounds.iter().any(|(bounded, _)| *bounded == label);
                assert!(bounded, "{name}: nothing is known to bound the label `{label}`");
            }
        }
    }
}
