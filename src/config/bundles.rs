//! `[bundles]` and `[guardrail]`.

use std::path::PathBuf;

/// `[bundles]`: bundles that can be activated while the server runs.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BundlesConfig {
    /// The directory whose sub-directories can be activated by name. Absent: none can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// Least share of the exact hits that the index of a bundle must find in its self-test. Default 0.9, range 0..1.
    pub least_recall: f32,
}

impl Default for BundlesConfig {
    fn default() -> Self {
        Self { dir: None, least_recall: 0.9 }
    }
}

/// `[guardrail]`: how far a bundle may differ from the one whose place it takes.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardrailConfig {
    /// Most kept requests that both bundles are asked again, the latest first. Default 500, range 0..10,000; 0 = none.
    pub requests: usize,
    /// Share of the first 20 places of a list, on average, that may have other tracks. Default 0.6, range 0..1.
    pub most_turnover: f32,
    /// Offline metrics of the manifests' `[training]` that are compared, the higher the better.
    pub metrics: Vec<String>,
    /// How much of such a metric may be lost, as a share of it. Default 0.05, range 0..1.
    pub most_loss: f32,
}

impl Default for GuardrailConfig {
    fn default() -> Self {
        let metrics = ["ranker_ndcg_at_20", "towers_recall_at_100"].map(str::to_owned).to_vec();
        Self { requests: 500, most_turnover: 0.6, metrics, most_loss: 0.05 }
    }
}
