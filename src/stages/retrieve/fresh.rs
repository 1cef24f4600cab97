use std::sync::Arc;

use super::ROWS_A_CHECK;
use crate::domain::{Catalogue, ItemVectors, RequestContext, Retrieved, Source, TrackIx};
use crate::index::{TopK, dot};
use crate::pipeline::{Deadline, Retriever, StageError};

/// Tracks released in the last `fresh_days` before the bundle's day: nearest to the user vector first or, without one,
/// newest first. `O(fresh tracks x dim)`; the list is made once and shared by clones.
#[derive(Debug)]
pub struct Fresh {
    vectors: Arc<ItemVectors>,
    /// Newest first, ties by row: track and part of the window left, 0..1.
    tracks: Arc<[(TrackIx, f32)]>,
    best: TopK,
}

impl Fresh {
    /// Lists the fresh tracks of a bundle made on day `bundle_day` (days since 1970-01-01); later releases are not out yet.
    pub fn new(catalogue: &Catalogue, vectors: Arc<ItemVectors>, bundle_day: i32, fresh_days: u32) -> Self {
        let age = |row: usize, day: i32| (i64::from(bundle_day) - i64::from(day), row as u32);
        let days = catalogue.tracks().iter().enumerate().filter_map(|(row, track)| Some(age(row, track.release_day?)));
        let mut ages: Vec<_> = days.filter(|(age, _)| (0..=i64::from(fresh_days)).contains(age)).collect();
        ages.sort_unstable();
        let left = |age: i64| 1.0 - age as f32 / (fresh_days as f32 + 1.0);
        let tracks = ages.into_iter().map(|(age, row)| (TrackIx(row), left(age))).collect();
        Self { vectors, tracks, best: TopK::default() }
    }
}

impl Clone for Fresh {
    /// Shares the list; the scratch memory is new.
    fn clone(&self) -> Self {
        Self { vectors: Arc::clone(&self.vectors), tracks: Arc::clone(&self.tracks), best: TopK::default() }
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
        deadline: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), StageError> {
        let Some(user) = &context.user_vector else {
            out.extend(self.tracks.iter().take(quota).map(|(track, left)| Retrieved { track: *track, score: *left }));
            return Ok(());
        };
        self.best.start(quota.min(self.tracks.len()));
        for block in self.tracks.chunks(ROWS_A_CHECK) {
            for (track, _) in block {
                self.best.offer(*track, dot(self.vectors.row(track.at()), user.as_slice()));
            }
            if deadline.passed() {
                break;
            }
        }
        self.best.finish(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{hits, rows, taste};
    use super::*;
    use crate::domain::{SessionState, UnitVector, UserProfile};
    use crate::stages::fixtures::{catalogue, context, request};

    #[test]
    fn lists_what_came_out_in_the_window() {
        let days = [Some(70), Some(100), Some(101), None, Some(95), Some(69), Some(100)];
        let catalogue = catalogue(days.len(), |row, track| track.release_day = days[row]);
        let angles = (0..days.len()).map(|row| row as f32 * 0.2);
        let vectors = ItemVectors::from_raw(angles.flat_map(|a| [a.cos(), a.sin()]).collect(), 2).unwrap();
        let stage = Fresh::new(&catalogue, Arc::new(vectors), 100, 30);
        let unknown = context(request(), SessionState::default(), UserProfile::default());
        assert_eq!(rows(&hits(&mut stage.clone(), &unknown, 10)), [1, 6, 4, 0]);
        assert_eq!(rows(&hits(&mut stage.clone(), &unknown, 3)), [1, 6, 4]);
        let known = taste(request(), UnitVector::new(vec![1.0, 0.0], 2).unwrap());
        assert_eq!(rows(&hits(&mut stage.clone(), &known, 10)), [0, 1, 4, 6]);
        assert_eq!(rows(&hits(&mut stage.clone(), &known, 2)), [0, 1]);
    }
}
