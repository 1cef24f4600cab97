use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::domain::{Catalogue, ItemVectors, RequestContext, Retrieved, Source, TrackIx};
use crate::features::day_of;
use crate::index::{TopK, dot};
use crate::pipeline::{Deadline, Retriever, StageError};

/// Most fresh tracks that one request looks at.
const LOOKED_AT: usize = 4_096;
/// Which of the request seed's random streams is this stage's.
const STREAM: u64 = 2;

/// Tracks released in the last `fresh_days` before the bundle's day, or since: nearest to the user vector first or,
/// without one, newest first. Of more than 4,096 each request looks at a run of as many, from a place that its seed draws:
/// the cost has a bound and over requests every release has its turn. The list is made once, with a copy of its vectors
/// side by side, and shared by clones; of the tracks that were added later the newest 4,096 are looked at.
#[derive(Debug)]
pub struct Fresh {
    /// Newest first, ties by row: track and part of the window left, 0..1.
    tracks: Arc<[(TrackIx, f32)]>,
    /// Vectors of `tracks`, row-major.
    own: Arc<[f32]>,
    catalogue: Arc<Catalogue>,
    vectors: Arc<ItemVectors>,
    window: Window,
    best: TopK,
}

/// Which releases are fresh, in days since 1970-01-01.
#[derive(Debug, Clone, Copy)]
struct Window {
    bundle_day: i32,
    fresh_days: u32,
}

impl Window {
    /// Days before the bundle's; negative after it.
    fn age(self, day: i32) -> i64 {
        i64::from(self.bundle_day) - i64::from(day)
    }

    /// Part of the window left.
    fn left(self, age: i64) -> f32 {
        1.0 - age.max(0) as f32 / (self.fresh_days as f32 + 1.0)
    }
}

impl Fresh {
    /// Lists the fresh tracks of a bundle made on day `bundle_day`; later releases in it are not out yet. Memory:
    /// `4 * dim` bytes a fresh track.
    pub fn new(catalogue: Arc<Catalogue>, vectors: Arc<ItemVectors>, bundle_day: i32, fresh_days: u32) -> Self {
        let window = Window { bundle_day, fresh_days };
        let age = |row: usize, day: i32| (window.age(day), row as u32);
        let days = catalogue.tracks().iter().enumerate().filter_map(|(row, track)| Some(age(row, track.release_day?)));
        let mut ages: Vec<_> = days.filter(|(age, _)| (0..=i64::from(fresh_days)).contains(age)).collect();
        ages.sort_unstable();
        let own = ages.iter().flat_map(|(_, row)| vectors.row(*row as usize).iter().copied()).collect();
        let tracks = ages.iter().map(|(age, row)| (TrackIx(*row), window.left(*age))).collect();
        Self { tracks, own, catalogue, vectors, window, best: TopK::default() }
    }

    /// The tracks that were added and are fresh and out on `today`, newest addition first.
    fn added(&self, today: i32) -> impl Iterator<Item = (TrackIx, f32)> {
        let day = |track: TrackIx| Some((track, self.catalogue.track(track).release_day?));
        let fresh = self.catalogue.added().rev().filter_map(day).filter(move |(_, day)| *day <= today);
        let aged = fresh.map(|(track, day)| (track, self.window.age(day)));
        let fresh = aged.filter(|(_, age)| *age <= i64::from(self.window.fresh_days));
        fresh.take(LOOKED_AT).map(|(track, age)| (track, self.window.left(age)))
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
        Self {
            tracks: Arc::clone(&self.tracks),
            own: Arc::clone(&self.own),
            catalogue: Arc::clone(&self.catalogue),
            vectors: Arc::clone(&self.vectors),
            window: self.window,
            best: TopK::default(),
        }
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
        let today = day_of(context.request.now_ms);
        let Some(user) = &context.user_vector else {
            let all = self.added(today).chain(self.tracks.iter().copied());
            out.extend(all.take(quota).map(|(track, score)| Retrieved { track, score }));
            return Ok(());
        };
        let (places, dim) = (self.looked_at(context.request.seed), self.vectors.dim());
        let mut best = std::mem::take(&mut self.best);
        best.start(quota.min(places.len() + self.catalogue.added().len()));
        let vectors = self.own[places.start * dim..places.end * dim].chunks_exact(dim);
        for ((track, _), vector) in self.tracks[places].iter().zip(vectors) {
            best.offer(*track, dot(vector, user.as_slice()));
        }
        for (track, _) in self.added(today) {
            best.offer(track, dot(self.vectors.row(track.at()), user.as_slice()));
        }
        best.finish(out);
        self.best = best;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{hits, rows, taste};
    use super::*;
    use crate::domain::{Request, SessionState, Track, UnitVector, UserProfile, bare_track};
    use crate::stages::fixtures::{catalogue, context, request};

    #[test]
    fn lists_what_came_out_in_the_window() {
        let days = [Some(70), Some(100), Some(101), None, Some(95), Some(69), Some(100)];
        let catalogue = catalogue(days.len(), |row, track| track.release_day = days[row]);
        let angles = (0..days.len()).map(|row| row as f32 * 0.2);
        let vectors = ItemVectors::from_raw(angles.flat_map(|a| [a.cos(), a.sin()]).collect(), 2).unwrap();
        let vectors = Arc::new(vectors);
        let stage = Fresh::new(Arc::clone(&catalogue), Arc::clone(&vectors), 100, 30);
        let unknown = context(request(), SessionState::default(), UserProfile::default());
        assert_eq!(rows(&hits(&mut stage.clone(), &unknown, 10)), [1, 6, 4, 0]);
        assert_eq!(rows(&hits(&mut stage.clone(), &unknown, 3)), [1, 6, 4]);
        let known = taste(request(), UnitVector::new(vec![1.0, 0.0], 2).unwrap());
        assert_eq!(rows(&hits(&mut stage.clone(), &known, 10)), [0, 1, 4, 6]);
        assert_eq!(rows(&hits(&mut stage.clone(), &known, 2)), [0, 1]);
        // Added later: long out, out since the bundle's day, not out yet.
        for (id, day) in [("old", 60), ("new", 130), ("future", 140)] {
            vectors.add(UnitVector::new(vec![1.0, 0.1], 2).unwrap()).unwrap();
            catalogue.add(Track { release_day: Some(day), ..bare_track(id, "a") }).unwrap();
        }
        let asked = || Request { now_ms: 131 * 86_400_000, ..request() };
        let unknown = context(asked(), SessionState::default(), UserProfile::default());
        assert_eq!(rows(&hits(&mut stage.clone(), &unknown, 3)), [8, 1, 6]);
        let known = taste(asked(), UnitVector::new(vec![1.0, 0.0], 2).unwrap());
        assert_eq!(rows(&hits(&mut stage.clone(), &known, 3)), [0, 8, 1]);
    }

    #[test]
    fn a_long_list_is_looked_at_in_runs_that_the_seed_draws() {
        let catalogue = catalogue(6_000, |_, track| track.release_day = Some(100));
        let vectors = ItemVectors::from_raw([1.0, 0.0].repeat(6_000), 2).unwrap();
        let stage = Fresh::new(catalogue, Arc::new(vectors), 100, 30);
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
