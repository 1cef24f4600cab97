//! The macro that makes a metric's doc comment its help text, and the constructors it calls.

use prometheus::core::Collector;
use prometheus::proto::MetricType;
use prometheus::{
    CounterVec, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use super::Described;

/// Defines a struct of metrics. Each field is `name: Type = constructor("metric_name", arguments)`; its doc comment is
/// both the documentation and the help text that a scrape returns.
macro_rules! metrics {
    (
        $(#[$meta:meta])*
        $name:ident {
            $($(#[doc = $help:literal])+ $field:ident: $kind:ty = $make:ident($metric:literal $(, $arg:expr)*)),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        pub struct $name { $($(#[doc = $help])+ pub $field: $kind),+ }

        impl $name {
            /// Makes the metrics and registers them.
            ///
            /// # Errors
            /// A name that is taken in this registry.
            pub fn register(registry: &prometheus::Registry) -> Result<Self, prometheus::Error> {
                Ok(Self {
                    $($field: $crate::metrics::define::$make(
                        registry, $metric, concat!($($help),+).trim(), $($arg),*
                    )?),+
                })
            }

            /// What each of them is.
            pub fn described(&self) -> Vec<$crate::metrics::Described> {
                vec![$($crate::metrics::define::described(&self.$field)),+]
            }
        }
    };
}
pub(super) use metrics;

/// Reads it off the metric itself, so also of one with labels that nothing has used yet.
pub(super) fn described(metric: &impl Collector) -> Described {
    let labels = metric.desc().iter().flat_map(|about| about.variable_labels.clone()).collect();
    let families = metric.collect();
    let family = families.first();
    Described {
        name: family.map(|family| family.name().to_owned()).unwrap_or_default(),
        help: family.map(|family| family.help().to_owned()).unwrap_or_default(),
        kind: family.map_or(MetricType::UNTYPED, prometheus::proto::MetricFamily::get_field_type),
        labels,
    }
}

type Made<T> = Result<T, prometheus::Error>;

fn registered<T: Collector + Clone + 'static>(registry: &Registry, made: Made<T>) -> Made<T> {
    let metric = made?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

pub(super) fn counter(registry: &Registry, name: &str, help: &str) -> Made<IntCounter> {
    registered(registry, IntCounter::new(name, help))
}

pub(super) fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Made<IntCounterVec> {
    registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

pub(super) fn float_counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Made<CounterVec> {
    registered(registry, CounterVec::new(Opts::new(name, help), labels))
}

pub(super) fn gauge(registry: &Registry, name: &str, help: &str) -> Made<IntGauge> {
    registered(registry, IntGauge::new(name, help))
}

pub(super) fn float_gauge(registry: &Registry, name: &str, help: &str) -> Made<Gauge> {
    registered(registry, Gauge::new(name, help))
}

pub(super) fn float_gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Made<GaugeVec> {
    registered(registry, GaugeVec::new(Opts::new(name, help), labels))
}

pub(super) fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Made<IntGaugeVec> {
    registered(registry, IntGaugeVec::new(Opts::new(name, help), labels))
}

pub(super) fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> Made<HistogramVec> {
    registered(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
}
