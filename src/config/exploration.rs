//! `[exploration]` and `[signals.completion]`.

/// `[exploration]`: places of a list that are given to tracks of which little is known.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExplorationConfig {
    /// Places that explore, from 1. Default 7 and 15, each in 1..100; none = exploration is off.
    pub positions: Vec<usize>,
    /// Places that explore as well while new tracks get less than `floor`. Default 11 and 19, each in 1..100.
    pub more_positions: Vec<usize>,
    /// A track with fewer plays, the bundle's and those since, is new. Default 20, range 0..1,000,000.
    pub new_plays: u32,
    /// Share of what is served that new tracks should have. Default 0.05, range 0..1; at most `ceiling`.
    pub floor: f32,
    /// Share from which on no place explores. Default 0.2, range 0..1.
    pub ceiling: f32,
    /// Served tracks over which that share is taken. Default 20,000, range 100..10,000,000.
    pub window: usize,
}

impl Default for ExplorationConfig {
    fn default() -> Self {
        Self {
            positions: vec![7, 15],
            more_positions: vec![11, 19],
            new_plays: 20,
            floor: 0.05,
            ceiling: 0.2,
            window: 20_000,
        }
    }
}

/// `[signals.completion]`: the Beta posteriors of completed plays (`features::Completions`).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompletionConfig {
    /// Half-life of a play, days. Default 30, range 1..3,650.
    pub half_life_days: f32,
    /// Plays that what is known of all tracks counts like for a genre. Default 50, range 0.1..100,000.
    pub all_plays: f32,
    /// Plays that what is known of a genre counts like for an artist. Default 20, range 0.1..100,000.
    pub genre_plays: f32,
    /// Plays that what is known of an artist counts like for a track. Default 4, range 0.1..100,000.
    pub artist_plays: f32,
    /// Times shown from which on a track is warm. Default 100, range 1..1,000,000.
    pub warm_impressions: u32,
    /// Width of the 90 % interval up to which it is warm earlier. Default 0.15, range 0..1.
    pub warm_width: f32,
}

impl Default for CompletionConfig {
    fn default() -> Self {
        Self {
            half_life_days: 30.0,
            all_plays: 50.0,
            genre_plays: 20.0,
            artist_plays: 4.0,
            warm_impressions: 100,
            warm_width: 0.15,
        }
    }
}
