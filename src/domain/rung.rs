//! The fallback ladder.

/// How good an answer is: the rung of the ladder it was served from, best first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// Everything ran.
    Full,
    /// Everything ran over a smaller pool, because of load.
    Reduced,
    /// Retrieval ran; the ranker was late, down or absent, so retrieval order stands.
    RetrievalOrder,
    /// The listener's own favourites.
    UserTop,
    /// The most played tracks of the market.
    MarketTop,
    /// The 50 tracks built into the bundle.
    GlobalTop,
}

impl Rung {
    /// All rungs, best first.
    pub const ALL: [Self; 6] =
        [Self::Full, Self::Reduced, Self::RetrievalOrder, Self::UserTop, Self::MarketTop, Self::GlobalTop];

    /// The name on the wire and in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Reduced => "reduced",
            Self::RetrievalOrder => "retrieval_order",
            Self::UserTop => "user_top",
            Self::MarketTop => "market_top",
            Self::GlobalTop => "global_top",
        }
    }
}

/// One thing that went less than well on the way to an answer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Degradation {
    /// The stage's name.
    pub stage: &'static str,
    /// A closed, low-cardinality reason: `failed`, `late`, `overload`, `absent`, `contract`, `empty`, `relaxed`,
    /// `short`.
    pub reason: &'static str,
}
