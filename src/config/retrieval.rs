//! Where candidates come from.

/// `[retrieval]`: candidates a source may propose, before merging. Range of each 0..10,000; 0 = off.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrievalConfig {
    /// User vector against the index. Default 700.
    pub two_tower: usize,
    /// Most played, market then global. Default 150.
    pub popular: usize,
    /// Other tracks of the session's and the seeds' artists. Default 150.
    pub session_artists: usize,
    /// What followed the session's last tracks in other sessions. Default 150.
    pub sequential_rules: usize,
    /// What the listener has played before, latest first. Default 100.
    pub own_tracks: usize,
    /// New releases near the listener's taste. Default 50.
    pub fresh: usize,
    /// Little-heard tracks near the listener's taste. Default 50.
    pub exploration: usize,
    /// How old a fresh track may be, days before the bundle's date. Default 30, range 1..3,650.
    pub fresh_days: u32,
    /// What is asked of the index beside the user vector.
    pub queries: QueryShares,
}

impl Default for RetrievalConfig {
    fn default() -> Self {
        Self {
            two_tower: 700,
            popular: 150,
            session_artists: 150,
            sequential_rules: 150,
            own_tracks: 100,
            fresh: 50,
            exploration: 50,
            fresh_days: 30,
            queries: QueryShares::default(),
        }
    }
}

/// `[retrieval.queries]`: parts of the `two_tower` quota that go to other directions than the user vector, where a request
/// has them. Range of each 0..0.5; together at most 0.9, so that the user vector is always asked.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueryShares {
    /// The mean of the request's seed tracks. Default 0.5.
    pub seeds: f32,
    /// The mean of what was played and liked in the session. Default 0.
    pub session: f32,
    /// The mean of what the profile remembers. Default 0.
    pub long_term: f32,
    /// The least of `long_term` after three skips in a row: the profile's other interests. Default 0.3; 0 = no more than
    /// `long_term`.
    pub after_skips: f32,
}

impl Default for QueryShares {
    fn default() -> Self {
        Self { seeds: 0.5, session: 0.0, long_term: 0.0, after_skips: 0.3 }
    }
}
