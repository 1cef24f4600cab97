//! Re-rankers, in wiring order: skip penalty, satiation, popularity penalty, diversity (a determinantal point process or maximal
//! marginal relevance), exploration, separation, transitions. None of them touches a list that the caller brought (`POST /v1/rank`): that
//! one is answered in rank order.

mod beam;
mod diversity;
mod dpp;
mod explore;
#[cfg(test)]
mod fake_plays_tests;
mod flow;
mod greedy;
mod likeness;
mod mmr;
mod popularity_penalty;
mod satiation;
mod search;
mod separation;
mod skip_penalty;
mod thompson;
mod transitions;
mod windows;

pub use diversity::Diversity;
pub use dpp::Dpp;
pub use explore::{Explore, ExploreRules};
pub use greedy::Objective;
pub use likeness::Likeness;
pub use mmr::Mmr;
pub use popularity_penalty::PopularityPenalty;
pub use satiation::Satiation;
pub use separation::Separation;
pub use skip_penalty::SkipPenalty;
pub use transitions::{TransitionRules, Transitions};
pub use windows::{Rule, Windows};
