//! The result of an evaluation.

use std::collections::BTreeMap;

/// A figure with the central 95 % of its bootstrap distribution over listeners.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// 2.5th percentile.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

/// One metric of one system.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct MetricReport {
    /// Name with its cut-off, e.g. `ndcg@20`.
    pub name: &'static str,
    /// Mean over moments.
    #[serde(flatten)]
    pub estimate: Estimate,
}

/// One system over all moments.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SystemReport {
    /// Its name.
    pub name: String,
    /// In the order of computation; a system without the two-tower source lacks that source's recall.
    pub metrics: Vec<MetricReport>,
    /// Share of the catalogue that was served at least once.
    pub coverage: f64,
    /// Gini coefficient of how often each track of the catalogue was served.
    pub gini: f64,
    /// Answers by rung: anything but the expected one means that the pipeline was not whole.
    pub rungs: BTreeMap<&'static str, u64>,
    /// Degradations by `stage: reason`.
    pub degraded: BTreeMap<String, u64>,
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
}
