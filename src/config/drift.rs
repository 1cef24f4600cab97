//! `[drift]` and `[retrain]`.

use std::path::PathBuf;

/// `[drift]`: how requests differ from what the bundle was trained on; needs a bundle that holds a reference.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DriftConfig {
    /// Ranked candidates of each answer that are counted, beside the user's row. Default 8, range 0..1,000; 0 = off.
    pub candidates: usize,
    /// Time over which is counted, and over which `segue drift` takes the AUC of the ranker, minutes. Default 1,440, range
    /// 10..43,200. Less than a day differs from training by the hour alone.
    pub window_min: u64,
}

impl Default for DriftConfig {
    fn default() -> Self {
        Self { candidates: 8, window_min: 1_440 }
    }
}

/// `[retrain]`: when `segue drift watch` asks for a new ranker, and how. A condition begins when a figure passes its threshold
/// and ends when it is back by its margin; in between it is what it was.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrainConfig {
    /// The AUC of the head `complete` over what was played: below it, with all of its 95 % interval, the ranker is out of date.
    /// Default 0, range 0..1; 0 = never.
    pub auc_below: f64,
    /// Margin over `auc_below` that the AUC must reach again. Default 0.01, range 0..1.
    pub auc_margin: f64,
    /// Population stability index of a head's probabilities above which they have shifted. Default 0.25, range 0..100; 0 =
    /// never.
    pub psi_above: f64,
    /// Margin below `psi_above` that it must fall to. Default 0.05, range 0..100.
    pub psi_margin: f64,
    /// How long a condition must hold, minutes. Default 120, range 0..43,200.
    pub hold_min: u64,
    /// Time after a trigger in which there is no other, hours. Default 24, range 0..8,760.
    pub cool_down_h: u64,
    /// A file that is written when it triggers, with the reason and the figures as JSON. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// An address (`http://host:port/path`) that the same is posted to. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// A command of the shell that is run, with the path of the same in `SEGUE_RETRAIN`. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

impl Default for RetrainConfig {
    fn default() -> Self {
        Self {
            auc_below: 0.0,
            auc_margin: 0.01,
            psi_above: 0.25,
            psi_margin: 0.05,
            hold_min: 120,
            cool_down_h: 24,
            file: None,
            webhook: None,
            command: None,
        }
    }
}
