//! `[signals.feedback]`.

use std::path::PathBuf;

/// `[signals.feedback]`: which plays count towards what others get to hear (`features::feedback`). A listener's own session and
/// profile take in every play.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedbackConfig {
    /// File with the secret that signs the ids of answers, or several, one a line, of which the first signs. With it only plays
    /// count that an answer to their listener had proposed. Absent: every play may count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// How long after an answer its plays count, hours. Default 24, range 1..720.
    pub valid_h: u64,
    /// Plays of a listener that count in a day (UTC). Default 500, range 0..10,000; 0 = all.
    pub plays_per_day: u32,
    /// Plays of one track by a listener that count in a day (UTC). Default 1, range 0..10,000; 0 = all.
    pub track_plays_per_day: u32,
    /// Different tracks that a listener must have played to count fully; with fewer, plays count by their share of it. Default 20,
    /// range 0..1,000; 0 = everybody counts fully.
    pub trust_tracks: u32,
}

impl Default for FeedbackConfig {
    fn default() -> Self {
        Self { secret_file: None, valid_h: 24, plays_per_day: 500, track_plays_per_day: 1, trust_tracks: 20 }
    }
}

impl FeedbackConfig {
    /// Every play of everybody counts fully.
    pub fn off() -> Self {
        Self { plays_per_day: 0, track_plays_per_day: 0, trust_tracks: 0, ..Self::default() }
    }
}
