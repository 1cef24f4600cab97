//! `[trace]`.

/// `[trace]`: answers that are kept with how they came about, for `GET /v1/recommendations/{id}/trace`, explanations and
/// replays.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceConfig {
    /// Memory for the newest answers, MiB; the least recently used go first. Default 64, range 0..65,536; 0 = none.
    pub recent_mib: u64,
    /// How long they are kept, s. Default 3,600, range 1..604,800.
    pub recent_s: u64,
    /// One answer in so many is kept longer. Default 100, range 0..1,000,000,000; 0 = none.
    pub sample_every: u64,
    /// Memory for those, MiB. Default 64, range 0..65,536; 0 = none.
    pub sampled_mib: u64,
    /// How long they are kept, hours. Default 168, range 1..8,760.
    pub sampled_h: u64,
    /// Whether session and profile are kept as the request read them, so that it can be replayed. Default true.
    pub state: bool,
}

impl Default for TraceConfig {
    fn default() -> Self {
        Self { recent_mib: 64, recent_s: 3_600, sample_every: 100, sampled_mib: 64, sampled_h: 168, state: true }
    }
}

impl TraceConfig {
    /// Whether any answer is kept.
    pub fn is_on(&self) -> bool {
        self.recent_mib > 0 || (self.sample_every > 0 && self.sampled_mib > 0)
    }
}
