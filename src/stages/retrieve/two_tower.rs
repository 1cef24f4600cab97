use std::sync::Arc;

use super::index_fault;
use super::tower_queries::TowerQueries;
use crate::config::QueryShares;
use crate::domain::{ItemVectors, RequestContext, Retrieved, Source, TrackIx, UnitVector, by_score};
use crate::index::{RowFilter, VectorIndex, dot};
use crate::pipeline::{CandidateFilter, Deadline, Note, Retriever, StageError};

/// The tracks nearest to the user vector and, with parts of the quota, to the seeds, the session and the long-term taste
/// (`QueryShares`); a track that several find counts with the best similarity.
///
/// Filters that may remove most of a catalogue look at rows inside the search, so that what they let through fills the
/// quota. Narrow searches cost less than a wide one, and what two find is not made up for: with more than one direction there
/// may be fewer candidates than the quota.
pub struct TwoTower {
    index: Box<dyn VectorIndex>,
    vectors: Arc<ItemVectors>,
    queries: TowerQueries,
    found: Vec<Retrieved>,
    filters: Vec<Box<dyn CandidateFilter>>,
}

/// Filters with the request that they look at.
struct Wanted<'a> {
    filters: &'a mut [Box<dyn CandidateFilter>],
    context: &'a RequestContext,
}

impl RowFilter for Wanted<'_> {
    fn mark(&mut self, tracks: &[TrackIx], removed: &mut [bool]) {
        self.filters.iter_mut().for_each(|filter| filter.mark(self.context, tracks, removed));
    }

    fn only(&self) -> Option<&[TrackIx]> {
        self.filters.iter().filter_map(|filter| filter.only(self.context)).min_by_key(|only| only.len())
    }
}

impl TwoTower {
    /// Searches `index`, which is over `vectors`, for what `filters` let through: those that judge a track by itself, at
    /// little cost a call.
    pub fn new(
        index: Box<dyn VectorIndex>,
        vectors: Arc<ItemVectors>,
        shares: QueryShares,
        filters: Vec<Box<dyn CandidateFilter>>,
    ) -> Self {
        Self { index, queries: TowerQueries::new(Arc::clone(&vectors), shares), vectors, found: Vec::new(), filters }
    }
}

impl Retriever for TwoTower {
    fn name(&self) -> &'static str {
        "two_tower"
    }

    fn source(&self) -> Source {
        Source::TwoTower
    }

    fn retrieve(
        &mut self,
        context: &RequestContext,
        quota: usize,
        deadline: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), StageError> {
        let user = context.user_vector.as_ref().ok_or(StageError::Absent("no user vector"))?;
        let mut wanted = Wanted { filters: &mut self.filters, context };
        let (index, found, vectors) = (&mut self.index, &mut self.found, &self.vectors);
        let search = |query: &UnitVector, part, own_scores: bool| {
            found.clear();
            index.search_where(query, part, Some(&mut wanted), deadline, found)?;
            if !own_scores {
                let towards = user.as_slice();
                found.iter_mut().for_each(|hit| hit.score = dot(vectors.row(hit.track.at()), towards));
            }
            merge(out, found);
            Ok(())
        };
        self.queries.ask(user, context, quota, search).map_err(index_fault)
    }

    fn notes(&self) -> &[Note] {
        self.queries.notes()
    }
}

/// Adds `more` to `out`: each track once, with its better score, best first.
fn merge(out: &mut Vec<Retrieved>, more: &[Retrieved]) {
    let first = out.is_empty();
    out.extend_from_slice(more);
    if first {
        return;
    }
    out.sort_unstable_by(|a, b| a.track.cmp(&b.track).then(by_score(a.score, b.score)));
    out.dedup_by_key(|hit| hit.track);
    out.sort_unstable_by(|a, b| by_score(a.score, b.score).then(a.track.cmp(&b.track)));
}

#[cfg(test)]
mod tests {
    use super::super::testing::{hits, rows, taste};
    use super::*;
    use crate::domain::{Request, SessionState};
    use crate::index::{ExactIndex, testing};
    use crate::stages::fixtures::request;

    fn two_tower(vectors: &Arc<ItemVectors>) -> TwoTower {
        TwoTower::new(
            Box::new(ExactIndex::new(Arc::clone(vectors))),
            Arc::clone(vectors),
            QueryShares::default(),
            Vec::new(),
        )
    }

    #[test]
    fn without_a_user_vector_it_is_absent() {
        let vectors = Arc::new(testing::random(10, 4, 3, 0.5, 1));
        let context = crate::stages::fixtures::context(request(), Default::default(), Default::default());
        let absent = two_tower(&vectors).retrieve(&context, 5, &Deadline::never(), &mut Vec::new());
        assert!(matches!(absent, Err(StageError::Absent(_))));
        let other_space = taste(request(), testing::query(8, 1));
        let failed = two_tower(&vectors).retrieve(&other_space, 5, &Deadline::never(), &mut Vec::new());
        assert!(matches!(failed, Err(StageError::Failed(_))));
    }

    #[test]
    fn seeds_get_half_of_the_quota() {
        let vectors = Arc::new(testing::random(500, 8, 20, 0.5, 3));
        let user = testing::query(8, 1);
        let alone = hits(&mut two_tower(&vectors), &taste(request(), user.clone()), 20);
        let seeded = Request { seed_tracks: vec![TrackIx(7)], ..request() };
        let both = hits(&mut two_tower(&vectors), &taste(seeded, user.clone()), 20);
        assert!(rows(&alone)[..10].iter().all(|row| rows(&both).contains(row)));
        assert!(rows(&both).contains(&7) && both.len() <= 20 && both.len() > 10);
        let near_seed = both.iter().filter(|hit| dot(vectors.row(hit.track.at()), vectors.row(7)) > 0.8).count();
        assert!(near_seed >= 5, "{near_seed}");
    }

    #[test]
    fn what_the_session_finds_is_scored_by_the_user_vector() {
        let vectors = Arc::new(testing::random(500, 8, 20, 0.5, 3));
        let user = testing::query(8, 1);
        let session = SessionState { liked_direction: vectors.row(9).to_vec(), ..SessionState::default() };
        let mut context = taste(request(), user.clone());
        context.session = Arc::new(session);
        let shares = QueryShares { seeds: 0.0, session: 0.5, ..QueryShares::default() };
        let index = Box::new(ExactIndex::new(Arc::clone(&vectors)));
        let found = hits(&mut TwoTower::new(index, Arc::clone(&vectors), shares, Vec::new()), &context, 20);
        assert!(rows(&found).contains(&9) && found.len() > 10);
        assert!(found.iter().all(|hit| (hit.score - dot(vectors.row(hit.track.at()), user.as_slice())).abs() < 1e-5));
    }

    #[test]
    fn opposite_seeds_are_no_direction() {
        let vectors = Arc::new(ItemVectors::from_raw(vec![1.0, 0.0, -1.0, 0.0, 0.0, 1.0], 2).unwrap());
        let seeded = Request { seed_tracks: vec![TrackIx(0), TrackIx(1)], ..request() };
        let user = UnitVector::new(vec![0.0, 1.0], 2).unwrap();
        assert_eq!(rows(&hits(&mut two_tower(&vectors), &taste(seeded, user), 3)), [2, 0, 1]);
    }

    #[test]
    fn what_filters_remove_does_not_use_up_the_quota() {
        use crate::stages::filter::Explicit;
        use crate::stages::fixtures::catalogue;
        let vectors = Arc::new(testing::random(400, 8, 20, 0.5, 3));
        let clean = Explicit::new(catalogue(400, |row, track| track.explicit = row % 20 != 0));
        let mut stage = two_tower(&vectors);
        stage.filters.push(Box::new(clean));
        let asked = Request { allow_explicit: false, ..request() };
        let found = rows(&hits(&mut stage, &taste(asked, testing::query(8, 1)), 15));
        assert!(found.len() == 15 && found.iter().all(|row| row % 20 == 0), "{found:?}");
    }
}
