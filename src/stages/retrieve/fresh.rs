use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::domain::{Catalogue, ItemVectors, RequestContext, Retrieved, Source, TrackIx};
use crate::index::{TopK, dot};
use crate::pipeline::{Deadline, Retriever, StageError};

/// Most fresh tracks that one request looks at.
const LOOKED_AT: usize = 4_096;
/// Which of the request seed's random streams is this stage's.
const STREAM: u64 = 2;

/// Tracks released in the last `fresh_days` before the bundle's day: nearest to the user vector first or, without one,
/// newest first. Of more than 4,096 each request looks at a run of as many, from a place that its seed draws: the cost
/// has a bound and over requests every release has its turn. The list is made once, with a copy of its vectors side by
/// side, and shared by clones.
#[derive(Debug)]
pub struct Fresh {
    /// Newest first, ties by row: track and part of the window left, 0..1.
    tracks: Arc<[(TrackIx, f32)]>,
    /// Vectors of `tracks`, row-major.
    vectors: Arc<[f32]>,
    dim: usize,
    best: TopK,
}

impl Fresh {
    /// Lists the fresh tracks of a bundle made on day `bundle_day` (days since 1970-01-01); later releases are not out yet.
    /// Memory: `4 * dim` bytes a fresh track.
    pub fn new(catalogue: &Catalogue, vectors: &ItemVectors, bundle_day: i32, fresh_days: u32) -> Self {
        let age = |row: usize, day: i32| (i64::from(bundle_day) - i64::from(day), row as u32);
        let days = catalogue.tracks().iter().enumerate().filter_map(|(row, track)| Some(age(row, track.release_day?)));
        let mut ages: Vec<_> = days.filter(|(age, _)| (0..=i64::from(fresh_days)).contains(age)).collect();
        ages.sort_unstable();
        let left = |age: i64| 1.0 - age as f32 / (fresh_days as f32 + 1.0);
        let own = ages.iter().flat_map(|(_, row)| vectors.row(*row as usize).iter().copied()).collect();
        let tracks = ages.iter().map(|(age, row)| (TrackIx(*row), left(*age))).collect();
        Self { tracks, vectors: own, dim: vectors.dim(), best: TopK::default() }
    }

    /// The places that a request looks at.
    fn looked_at(&self, seed: u64) -> std::ops::Range<usize> {
        let surplus = self.tracks.len().saturating_sub(LOOKED_AT);
        if surplus == 0 {
            return 0..self.tracks.len();
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(STREAM);
        let first = rng.random_range(0..=surplus);
        first..first + LOOKED_AT
    }
}

impl Clone for Fresh {
    /// Shares the list; the scratch memory is new.
    fn clone(&self) -> Self {
        let (tracks, vectors) = (Arc::clone(&self.tracks), Arc::clone(&self.vectors));
        Self { tracks, vectors, dim: self.dim, best: TopK::default() }
    }
}

impl Retriever for Fresh {
    fn name(&self) -> &'static str {
        "fresh"
    }

    fn source(&self) -> Source {
        Source::Fresh
    }

    fn retrieve(
        &mut self,
        context: &RequestContext,
        quota: usize,
        _: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), StageError> {
        let Some(user) = &context.user_vector else {
            out.extend(self.tracks.iter().take(quota).map(|(track, left)| Retrieved { track: *track, score: *left }));
            return Ok(());
        };
        let places = self.looked_at(context.request.seed);
        self.best.start(quota.min(places.len()));
        let vectors = self.vectors[places.start * self.dim..places.end * self.dim].chunks_exact(self.dim);
        for ((track, _), vector) in self.tracks[places].iter().zip(vectors) {
            self.best.offer(*track, dot(vector, user.as_slice()));
        }
        self.best.finish(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{hits, rows, taste};
    use super::*;
    use crate::domain::{Request, SessionState, UnitVector, UserProfile};
    use crate::stages::fixtures::{catalogue, context, request};

    #[test]
    fn lists_what_came_out_in_the_window() {
        let days = [Some(70), Some(100), Some(101), None, Some(95), Some(69), Some(100)];
        let catalogue = catalogue(days.len(), |row, track| track.release_day = days[row]);
        let angles = (0..days.len()).map(|row| row as f32 * 0.2);
        let vectors = ItemVectors::from_raw(angles.flat_map(|a| [a.cos(), a.sin()]).collect(), 2).unwrap();
        let stage = Fresh::new(&catalogue, &vectors, 100, 30);
        let unknown = context(request(), SessionState::default(), UserProfile::default());
        assert_eq!(rows(&hits(&mut stage.clone(), &unknown, 10)), [1, 6, 4, 0]);
        assert_eq!(rows(&hits(&mut stage.clone(), &unknown, 3)), [1, 6, 4]);
        let known = taste(request(), UnitVector::new(vec![1.0, 0.0], 2).unwrap());
        assert_eq!(rows(&hits(&mut stage.clone(), &known, 10)), [0, 1, 4, 6]);
        assert_eq!(rows(&hits(&mut stage.clone(), &known, 2)), [0, 1]);
    }

    #[test]
    fn a_long_list_is_looked_at_in_runs_that_the_seed_draws() {
        let catalogue = catalogue(6_000, |_, track| track.release_day = Some(100));
        let vectors = ItemVectors::from_raw([1.0, 0.0].repeat(6_000), 2).unwrap();
        let stage = Fresh::new(&catalogue, &vectors, 100, 30);
        let found = |seed| {
            let asked = Request { seed, ..request() };
            let context = taste(asked, UnitVector::new(vec![1.0, 0.0], 2).unwrap());
            rows(&hits(&mut stage.clone(), &context, LOOKED_AT))
        };
        let (first, second) = (found(1), found(2));
        assert_eq!((first.len(), second.len(), found(1)), (LOOKED_AT, LOOKED_AT, first.clone()));
        assert!(first != second && first.is_sorted() && first.windows(2).all(|pair| pair[1] == pair[0] + 1));
    }
}
