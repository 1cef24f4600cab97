//! `[feature_log]`.

use std::path::PathBuf;

/// `[feature_log]`: the rows that the ranker saw, kept until their outcome is known.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureLogConfig {
    /// Where the log goes: a directory, made when there is something to write, or `s3://bucket/prefix` (`docs/stores.md`).
    /// Absent: nothing is logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// Share of the ranked candidates not served that are logged beside those that were. Default 0.05, range 0..1.
    pub unserved_share: f32,
    /// Answers that may wait to be written; beyond it they go unlogged and are counted. Default 1,024, range 1..65,536. An
    /// answer of 70 logged candidates takes about 30 KB.
    pub queue: usize,
    /// Time after which a file is completed, s: a crash costs the rows of that time at most. Default 300, range 1..86,400.
    pub part_s: u64,
    /// Candidates after which it is completed earlier. Default 4,000,000, range 1..1,000,000,000.
    pub part_rows: u64,
    /// How long after an answer a play of it may end to count as its outcome, minutes of event time. Default 120, range
    /// 1..10,080.
    pub wait_min: u64,
}

impl Default for FeatureLogConfig {
    fn default() -> Self {
        Self { dir: None, unserved_share: 0.05, queue: 1_024, part_s: 300, part_rows: 4_000_000, wait_min: 120 }
    }
}
