//! The result of an evaluation.

use std::collections::BTreeMap;

use super::calibration::Decile;
use super::pairs::{PairReport, pairs};
use super::slices::SliceReport;
use crate::statistics::Estimate;

/// One metric of one system.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct MetricReport {
    /// Name with its cut-off, e.g. `ndcg@20`.
    pub name: &'static str,
    /// Mean over moments; of `coverage@20` and `gini@20` the figure of all lists together.
    #[serde(flatten)]
    pub estimate: Estimate,
}

/// The dials of a system's requests, each 0..1.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct Dials {
    /// Spread of a list.
    pub diversity: f32,
    /// Weight of the unheard.
    pub discovery: f32,
}

/// One system over all moments.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SystemReport {
    /// Its name.
    pub name: String,
    /// Its requests' dials.
    pub dials: Dials,
    /// In the order of computation; a system without the two-tower source lacks that source's recall.
    pub metrics: Vec<MetricReport>,
    /// Answers by rung: anything but the expected one means that the pipeline was not whole.
    pub rungs: BTreeMap<&'static str, u64>,
    /// Degradations by `stage: reason`.
    pub degraded: BTreeMap<String, u64>,
    /// Sums by listener, for paired comparisons.
    #[serde(skip)]
    pub by_listener: ByListener,
}

/// What the means of a system are made of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ByListener {
    /// Moments of each listener.
    pub rows: Vec<u32>,
    /// Sums over a listener's moments, of each metric.
    pub sums: Vec<(&'static str, Vec<f64>)>,
}

impl SystemReport {
    /// A metric by its name.
    pub fn metric(&self, name: &str) -> Option<Estimate> {
        self.metrics.iter().find(|metric| metric.name == name).map(|metric| metric.estimate)
    }
}

/// How well one head of the ranker separates the classes.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct HeadReport {
    /// The task.
    pub task: &'static str,
    /// `played`: rows really played; `sampled`: those and candidates that were not played, as in `ranker.parquet`.
    pub against: &'static str,
    /// Area under the ROC curve; absent where only one class occurs.
    pub auc: Option<Estimate>,
    /// Mean negative log likelihood; absent for `sampled`, whose share of positives is not the world's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_loss: Option<Estimate>,
    /// Expected calibration error over 15 equally filled bins; absent as `log_loss` is. The interval is of resampled
    /// errors, which lie above an error near 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ece: Option<Estimate>,
    /// Stated against observed by tenths, highest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deciles: Vec<Decile>,
    /// Rows of the positive class.
    pub positives: usize,
    /// Rows of the negative class.
    pub negatives: usize,
    /// Why there is no figure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
}

/// The result of an evaluation, deterministic for data, bundle and seed.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct EvalReport {
    /// Moments that could have been evaluated.
    pub moments_in_test: u64,
    /// Moments that were.
    pub moments: u64,
    /// Listeners they belong to.
    pub users: usize,
    /// Begin of the test period, Unix ms.
    pub test_from_ms: i64,
    /// Seed of sampling and resampling.
    pub seed: u64,
    /// Systems in the order given.
    pub systems: Vec<SystemReport>,
    /// The ranker's heads; empty without a ranker.
    pub heads: Vec<HeadReport>,
    /// The first system in parts of the moments.
    pub slices: Vec<SliceReport>,
    /// The first system against each other one, moment by moment.
    pub pairs: Vec<PairReport>,
}

/// Two evaluations that cannot be compared moment by moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the bundles were not asked at the same moments ({0} and {1}): they do not know the same tracks")]
pub struct OtherMoments(u64, u64);

impl EvalReport {
    /// The names of all metrics of all systems, each once, in the order of their first.
    pub fn metric_names(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for metric in self.systems.iter().flat_map(|system| &system.metrics) {
            if !names.contains(&metric.name) {
                names.push(metric.name);
            }
        }
        names
    }

    /// Takes the first system of another evaluation in after the own first one, as `name`, and compares the two.
    ///
    /// # Errors
    /// If the other one saw other moments.
    pub fn compare(&mut self, other: Self, name: &str, resamples: usize) -> Result<(), OtherMoments> {
        let seed = self.seed;
        let rows = |report: &Self| report.systems.first().map(|system| system.by_listener.rows.clone());
        if rows(self) != rows(&other) {
            return Err(OtherMoments(self.moments, other.moments));
        }
        if let Some(system) = other.systems.into_iter().next() {
            self.systems.insert(1.min(self.systems.len()), SystemReport { name: name.to_owned(), ..system });
        }
        self.pairs = pairs(&self.systems, resamples, seed);
        Ok(())
    }
}
