//! `[signals]`.

use super::{CompletionConfig, FeedbackConfig};

/// `[signals]`: how a play is graded (`features::signals`).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignalConfig {
    /// A skip before this is a strong negative, ms played. Default 10,000, range 0..60,000.
    pub early_skip_ms: u32,
    /// A play longer than this is positive whatever ended it, ms. Default 30,000, range 1,000..600,000.
    pub positive_ms: u32,
    /// What an early skip's penalty is multiplied by at each later play. Default 0.85, range 0..1.
    pub skip_decay: f32,
    /// Time in which the penalty of a skip halves, minutes. Default 30, range 1..1,440.
    pub skip_half_life_min: f32,
    /// Part of an artist's penalty that a completed play of the artist takes back. Default 0.5, range 0..1.
    pub forgive: f32,
    /// Half-life of long-term affinities, days. Default 60, range 1..3,650.
    pub affinity_half_life_days: f32,
    /// How the share of completed plays of a track is learnt.
    pub completion: CompletionConfig,
    /// Which plays count for others than their listener.
    pub feedback: FeedbackConfig,
}

impl Default for SignalConfig {
    fn default() -> Self {
        Self {
            early_skip_ms: 10_000,
            positive_ms: 30_000,
            skip_decay: 0.85,
            skip_half_life_min: 30.0,
            forgive: 0.5,
            affinity_half_life_days: 60.0,
            completion: CompletionConfig::default(),
            feedback: FeedbackConfig::default(),
        }
    }
}
