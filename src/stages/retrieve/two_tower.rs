use std::sync::Arc;

use super::index_fault;
use crate::domain::{ItemVectors, RequestContext, Retrieved, Source, TrackIx, UnitVector, by_score};
use crate::index::{RowFilter, VectorIndex};
use crate::pipeline::{CandidateFilter, Deadline, Retriever, StageError};

/// The tracks nearest to the user vector. When the request names seed tracks, half of the quota goes to those nearest to
/// the mean of the seeds and the current track; a track that both find counts with the better similarity.
///
/// Filters that may remove most of a catalogue look at rows inside the search, so that what they let through fills the
/// quota. Two narrow searches cost less than a wide one, and what both find is not made up for: with seeds there may be fewer
/// candidates than the quota.
pub struct TwoTower {
    index: Box<dyn VectorIndex>,
    vectors: Arc<ItemVectors>,
    sum: Vec<f32>,
    /// Buffer of the seeds' direction.
    seeds: Option<UnitVector>,
    second: Vec<Retrieved>,
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
    pub fn new(index: Box<dyn VectorIndex>, vectors: Arc<ItemVectors>, filters: Vec<Box<dyn CandidateFilter>>) -> Self {
        let sum = vec![1.0; vectors.dim()];
        let seeds = UnitVector::new(sum.clone(), vectors.dim()).ok();
        Self { index, vectors, sum, seeds, second: Vec::new(), filters }
    }

    /// Sets `self.seeds` to the direction of the seeds' mean; `false` where there is none.
    fn read_seeds(&mut self, context: &RequestContext) -> bool {
        if context.request.seed_tracks.is_empty() {
            return false;
        }
        self.sum.fill(0.0);
        for track in context.request.seed_tracks.iter().chain(&context.request.current_track) {
            self.sum.iter_mut().zip(self.vectors.row(track.at())).for_each(|(sum, v)| *sum += v);
        }
        // Seeds that point in opposite directions have no mean direction: then the user vector stands alone.
        self.seeds.as_mut().is_some_and(|seeds| seeds.set(&self.sum).is_ok())
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
        let for_seeds = if self.read_seeds(context) { quota / 2 } else { 0 };
        let mut wanted = Wanted { filters: &mut self.filters, context };
        self.index.search_where(user, quota - for_seeds, Some(&mut wanted), deadline, out).map_err(index_fault)?;
        if let (Some(seeds), 1..) = (&self.seeds, for_seeds) {
            self.second.clear();
            let second = &mut self.second;
            self.index.search_where(seeds, for_seeds, Some(&mut wanted), deadline, second).map_err(index_fault)?;
            merge(out, &self.second);
        }
        Ok(())
    }
}

/// Adds `more` to `out`: each track once, with its better score, best first.
fn merge(out: &mut Vec<Retrieved>, more: &[Retrieved]) {
    out.extend_from_slice(more);
    out.sort_unstable_by(|a, b| a.track.cmp(&b.track).then(by_score(a.score, b.score)));
    out.dedup_by_key(|hit| hit.track);
    out.sort_unstable_by(|a, b| by_score(a.score, b.score).then(a.track.cmp(&b.track)));
}

#[cfg(test)]
mod tests {
    use super::super::testing::{hits, rows, taste};
    use super::*;
    use crate::domain::Request;
    use crate::index::{ExactIndex, dot, testing};
    use crate::stages::fixtures::request;

    fn two_tower(vectors: &Arc<ItemVectors>) -> TwoTower {
        TwoTower::new(Box::new(ExactIndex::new(Arc::clone(vectors))), Arc::clone(vectors), Vec::new())
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
