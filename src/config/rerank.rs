//! `[rerank]`.

/// How `diversity` is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiversityMethod {
    /// Greedy MAP inference of a determinantal point process: a list that covers much.
    Dpp,
    /// Maximal marginal relevance: no two tracks alike.
    Mmr,
}

/// `[rerank]`: how the list is put together from the ranking.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RerankConfig {
    /// How `diversity` is met. Default `dpp`.
    pub diversity: DiversityMethod,
    /// What sound counts in how alike two tracks are; the rest is their embeddings. Default 0.3, range 0..1.
    pub audio_share: f32,
    /// Most tracks of an artist in any `knobs.artist_window` consecutive places. Default 1, range 1..50.
    pub artist_most: usize,
    /// Most tracks of an album in any `album_window` consecutive places. Default 2, range 1..50.
    pub album_most: usize,
    /// Places of that window. Default 12, range 1..100; 1 = off.
    pub album_window: usize,
    /// A recording comes once in as many places. Default 100, range 1..100; 1 = off.
    pub recording_window: usize,
    /// Whether lists are ordered so that each track flows from the one before. Default true.
    pub transitions: bool,
    /// Surfaces whose lists stay in rank order. Default `search`, `chart` and `shelf`.
    pub rank_order_surfaces: Vec<String>,
    /// Beginnings of the list that the search for an order keeps. Default 8, range 1..1,024.
    pub beam_width: usize,
    /// What moving a track by a place costs, in transitions that break. Default 0.02, range 0..1.
    pub transition_hold: f32,
    /// How what the listener has heard lately is held back.
    pub satiation: SatiationConfig,
}

impl Default for RerankConfig {
    fn default() -> Self {
        Self {
            diversity: DiversityMethod::Dpp,
            audio_share: 0.3,
            artist_most: 1,
            album_most: 2,
            album_window: 12,
            recording_window: 100,
            transitions: true,
            rank_order_surfaces: ["search", "chart", "shelf"].map(str::to_owned).to_vec(),
            beam_width: 8,
            transition_hold: 0.02,
            satiation: SatiationConfig::default(),
        }
    }
}

/// `[rerank.satiation]`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SatiationConfig {
    /// What a track that the listener is tired of loses at most. Default 0.2, range 0..5; 0 = off.
    pub strength: f32,
    /// Time in which a play wears off by half, hours. Default 24, range 0.1..8,760.
    pub half_life_h: f32,
    /// Part of that time for a favourite: always completed, or liked. Default 0.25, range 0.1..1.
    pub favourite: f32,
}

impl Default for SatiationConfig {
    fn default() -> Self {
        Self { strength: 0.2, half_life_h: 24.0, favourite: 0.25 }
    }
}
