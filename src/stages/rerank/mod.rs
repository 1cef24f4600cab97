//! Re-rankers, in wiring order: skip penalty, popularity penalty, diversity, artist separation. None of them touches a list that the
//! caller brought (`POST /v1/rank`): that one is answered in rank order.

mod artist_separation;
mod diversity;
mod popularity_penalty;
mod skip_penalty;

pub use artist_separation::ArtistSeparation;
pub use diversity::Diversity;
pub use popularity_penalty::PopularityPenalty;
pub use skip_penalty::SkipPenalty;
