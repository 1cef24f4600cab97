//! What may be turned while the server runs.

/// Weights of the blend `score = complete * P(play > 30 s) - skip * P(early skip) + like * P(like)`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BlendWeights {
    /// Weight of the probability of a play longer than 30 s. Default 1, range 0..10.
    pub complete: f32,
    /// Weight of the probability of an early skip, subtracted. Default 0.6, range 0..10.
    pub skip: f32,
    /// Weight of the probability of a like. Default 0.3, range 0..10.
    pub like: f32,
}

impl Default for BlendWeights {
    fn default() -> Self {
        Self { complete: 1.0, skip: 0.6, like: 0.3 }
    }
}

/// Everything that re-ranking reads per request and an operator may change at run time.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Knobs {
    /// Weights of the task probabilities.
    pub blend: BlendWeights,
    /// Strength of the popularity penalty at `discovery` = 1. Default 0.3, range 0..5. At `discovery` = 0 there is none.
    pub popularity_penalty: f32,
    /// Strength of the penalty of what this session skipped early: by the same artist, or alike. Default 0.2, range 0..5.
    pub skip_penalty: f32,
    /// At most `rerank.artist_most` tracks (1) of an artist in any `artist_window` consecutive places. Default 4, range 1..50; 1 = off.
    pub artist_window: usize,
    /// Whether places go to tracks of which little is known (`exploration.positions`). Default true.
    #[serde(default = "on")]
    pub explore: bool,
}

fn on() -> bool {
    true
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            blend: BlendWeights::default(),
            popularity_penalty: 0.3,
            skip_penalty: 0.2,
            artist_window: 4,
            explore: true,
        }
    }
}
