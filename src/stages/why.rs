//! Why a track is, or is not, in an answer. Pure: read from what a rehearsal recorded.

use crate::domain::{ItemVectors, RemovalReason, Rung, TrackIx};
use crate::index::dot;
use crate::pipeline::{Deadline, Detail, Watched};

/// Rows that are compared between two looks at the deadline.
const ROWS_A_LOOK: usize = 4_096;

/// Why a track is, or is not, in an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Why {
    /// It is in it, at this place from 1.
    Served(usize),
    /// No retriever proposed it, and no filter would have removed it.
    NotRetrieved,
    /// This filter removed it, or would have.
    Filtered(RemovalReason),
    /// The ranking put it at this place, from 1, below the list, and no re-ranker brought it up.
    Ranked(usize),
    /// It stood in the list until this stage.
    Displaced(&'static str),
    /// The answer came from a rung below the funnel, which had no place for it.
    BelowFunnel(Rung),
}

impl Why {
    /// Reads what became of a watched track. `limit`: places of the list.
    pub fn of(watched: &Watched, detail: &Detail, rung: Rung, limit: usize) -> Self {
        if let Some(place) = watched.place {
            return Self::Served(place as usize);
        }
        if let Some(filter) = watched.removed {
            return Self::Filtered(filter);
        }
        let Some(way) = &watched.way else {
            return if rung > Rung::RetrievalOrder { Self::BelowFunnel(rung) } else { Self::NotRetrieved };
        };
        let listed = |at: usize| way.steps[at].place.is_some_and(|place| place as usize <= limit);
        // The last stage before which it stood in the list.
        let lost = (1..way.steps.len()).rev().find(|at| listed(at - 1) && !listed(*at));
        match (lost, way.steps.first().and_then(|step| step.place)) {
            (Some(at), _) => Self::Displaced(detail.stages[at]),
            (None, Some(place)) => Self::Ranked(place as usize),
            (None, None) => Self::NotRetrieved,
        }
    }
}

/// How near a track is to a listener.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Similarity {
    /// Cosine of the user vector and the track's.
    pub cosine: f32,
    /// Its rank among all tracks by that, from 1; absent where the deadline passed before all were compared.
    pub rank: Option<usize>,
    /// All tracks.
    pub of: usize,
}

impl Similarity {
    /// Compares a track with all others: exact, `O(tracks * dim)`. `None` for a row without a vector.
    pub fn of(user: &[f32], vectors: &ItemVectors, track: TrackIx, deadline: &Deadline) -> Option<Self> {
        let of = vectors.len();
        if track.at() >= of {
            return None;
        }
        let cosine = dot(user, vectors.row(track.at()));
        let mut better = 0;
        for from in (0..of).step_by(ROWS_A_LOOK) {
            if deadline.passed() {
                return Some(Self { cosine, rank: None, of });
            }
            let rows = from..of.min(from + ROWS_A_LOOK);
            // Ties go to the lower row, as in every list.
            better += rows.filter(|row| (dot(user, vectors.row(*row)), track.at()) > (cosine, *row)).count();
        }
        Some(Self { cosine, rank: Some(better + 1), of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{ExactIndex, VectorIndex, testing};
    use crate::pipeline::{Step, Way, Width};
    use std::sync::Arc;

    fn detail() -> Detail {
        Detail {
            width: Width::Full,
            removed: vec![],
            stages: vec!["mmoe", "dpp", "separation"],
            ways: vec![],
            watched: vec![],
            posteriors: Default::default(),
        }
    }

    fn way(places: [u32; 3]) -> Option<Way> {
        let step = |place| Step { place: Some(place).filter(|place| *place > 0), score: 0.0 };
        Some(Way { steps: places.map(step).to_vec(), ..Way::default() })
    }

    #[test]
    fn tells_every_outcome() {
        let why = |watched: Watched| Why::of(&watched, &detail(), Rung::Full, 10);
        let seen = |way| Watched { retrieved: true, way, ..Watched::default() };
        assert_eq!(why(Watched { place: Some(3), ..seen(way([5, 4, 3])) }), Why::Served(3));
        assert_eq!(why(seen(way([30, 20, 0]))), Why::Ranked(30));
        assert_eq!(why(seen(way([30, 8, 0]))), Why::Displaced("separation"));
        assert_eq!(why(seen(way([3, 12, 0]))), Why::Displaced("dpp"));
        assert_eq!(
            why(Watched { removed: Some(RemovalReason::Market), ..seen(None) }),
            Why::Filtered(RemovalReason::Market)
        );
        assert_eq!(why(Watched::default()), Why::NotRetrieved);
        let fallen = Why::of(&Watched::default(), &detail(), Rung::MarketTop, 10);
        assert_eq!(fallen, Why::BelowFunnel(Rung::MarketTop));
    }

    #[test]
    fn the_rank_is_that_of_an_exact_search() {
        let vectors = Arc::new(testing::random(300, 8, 5, 0.5, 7));
        let user = testing::query(8, 3);
        let mut hits = Vec::new();
        ExactIndex::new(Arc::clone(&vectors)).search(&user, 300, &Deadline::never(), &mut hits).unwrap();
        for (at, hit) in hits.iter().enumerate() {
            let found = Similarity::of(user.as_slice(), &vectors, hit.track, &Deadline::never()).unwrap();
            assert_eq!((found.rank, found.of), (Some(at + 1), 300));
        }
        let late = Similarity::of(user.as_slice(), &vectors, TrackIx(0), &Deadline::after_checks(0)).unwrap();
        assert_eq!(late.rank, None);
        assert_eq!(Similarity::of(user.as_slice(), &vectors, TrackIx(300), &Deadline::never()), None);
    }
}
