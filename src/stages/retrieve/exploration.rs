use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::push_by_place;
use crate::domain::{Catalogue, ItemVectors, Popularity, RequestContext, Retrieved, Source, TrackIx, by_score};
use crate::index::{TopK, dot};
use crate::pipeline::{Deadline, Retriever, StageError, TrackSet};

/// Tracks drawn for one that is kept.
const DRAWN_A_PLACE: usize = 12;
/// Tracks drawn between two looks at the clock.
const DRAWS_A_CHECK: usize = 1_024;
/// Which of the request seed's random streams is this stage's.
const STREAM: u64 = 1;

/// Little-heard tracks near the listener's taste: of the less played half of the catalogue some are drawn by the
/// request's seed, and those nearest to the user vector are kept; without one, the first drawn. The same seed draws the
/// same tracks. `O(quota x dim)`, whatever the catalogue's size; the pool is made once and shared by clones. Tracks that
/// were added later belong to it.
#[derive(Debug)]
pub struct Exploration {
    catalogue: Arc<Catalogue>,
    vectors: Arc<ItemVectors>,
    pool: Arc<[TrackIx]>,
    drawn: TrackSet,
    best: TopK,
}

impl Exploration {
    /// Makes the pool: all tracks but the more played half. `O(n log n)`, 2 bytes a track of the catalogue.
    pub fn new(catalogue: Arc<Catalogue>, vectors: Arc<ItemVectors>, popularity: &Popularity) -> Self {
        let score = |track: &TrackIx| popularity.score.get(track.at()).copied().unwrap_or(0.0);
        let built = catalogue.tracks().len();
        let mut pool: Vec<TrackIx> = (0..built as u32).map(TrackIx).collect();
        pool.sort_unstable_by(|a, b| by_score(score(b), score(a)).then(a.cmp(b)));
        pool.truncate(built.div_ceil(2));
        Self { catalogue, vectors, pool: pool.into(), drawn: TrackSet::default(), best: TopK::default() }
    }

    /// Calls `visit` with distinct tracks of the pool: all of them where it holds no more than `draws`, else the results
    /// of `draws` draws. Ends early when `visit` returns `false`.
    fn draw(&mut self, seed: u64, draws: usize, mut visit: impl FnMut(&mut TopK, TrackIx) -> bool) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(STREAM);
        let built = self.catalogue.tracks().len();
        let all = self.pool.len() + self.catalogue.len() - built;
        let at = |place: usize| match self.pool.get(place) {
            Some(track) => *track,
            None => TrackIx((built + place - self.pool.len()) as u32),
        };
        if all <= draws {
            // From a drawn place on, so that the beginning of the pool is not always first.
            let first = if all == 0 { 0 } else { rng.random_range(0..all) };
            (first..all).chain(0..first).all(|place| visit(&mut self.best, at(place)));
            return;
        }
        self.drawn.clear();
        for _ in 0..draws {
            let track = at(rng.random_range(0..all));
            if self.drawn.insert(track) && !visit(&mut self.best, track) {
                return;
            }
        }
    }
}

impl Clone for Exploration {
    /// Shares the pool; the scratch memory is new.
    fn clone(&self) -> Self {
        Self {
            catalogue: Arc::clone(&self.catalogue),
            vectors: Arc::clone(&self.vectors),
            pool: Arc::clone(&self.pool),
            drawn: TrackSet::default(),
            best: TopK::default(),
        }
    }
}

impl Retriever for Exploration {
    fn name(&self) -> &'static str {
        "exploration"
    }

    fn source(&self) -> Source {
        Source::Exploration
    }

    fn retrieve(
        &mut self,
        context: &RequestContext,
        quota: usize,
        deadline: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), StageError> {
        let (seed, draws) = (context.request.seed, quota * DRAWN_A_PLACE);
        let Some(user) = &context.user_vector else {
            self.draw(seed, draws, |_, track| {
                push_by_place(out, track, quota);
                out.len() < quota
            });
            return Ok(());
        };
        let vectors = Arc::clone(&self.vectors);
        self.best.start(quota);
        let mut drawn = 0;
        self.draw(seed, draws, |best, track| {
            best.offer(track, dot(vectors.row(track.at()), user.as_slice()));
            drawn += 1;
            drawn % DRAWS_A_CHECK != 0 || !deadline.passed()
        });
        self.best.finish(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{hits, rows, taste};
    use super::*;
    use crate::domain::{Request, SessionState, UserProfile, bare_track};
    use crate::index::testing::{query, random};
    use crate::stages::fixtures::{catalogue, context, request};

    const TRACKS: usize = 400;

    fn stage() -> Exploration {
        let catalogue = catalogue(TRACKS, |_, _| {});
        let plays: Vec<f32> = (0..TRACKS).map(|row| (row % 2) as f32 * row as f32).collect();
        let popularity = Popularity::new(&catalogue, &plays, Vec::new());
        Exploration::new(catalogue, Arc::new(random(TRACKS, 8, 10, 0.8, 2)), &popularity)
    }

    #[test]
    fn draws_by_the_seed_from_the_less_played_half() {
        let mut stage = stage();
        let mut ask = |seed, quota| rows(&hits(&mut stage, &taste(Request { seed, ..request() }, query(8, 1)), quota));
        let few = ask(1, 4);
        assert!(few.len() == 4 && few.iter().all(|row| row % 2 == 0), "{few:?}");
        assert_ne!(few, ask(2, 4));
        // Once the whole pool is looked at, the seed has nothing to decide.
        assert_eq!(ask(1, 20), ask(2, 20));
    }

    #[test]
    fn what_was_added_later_may_be_drawn() {
        let mut stage = stage();
        for row in 0..TRACKS {
            stage.vectors.add(query(8, row as u64)).unwrap();
            stage.catalogue.add(bare_track(&format!("new{row}"), "a0")).unwrap();
        }
        let mut ask = |seed| rows(&hits(&mut stage, &taste(Request { seed, ..request() }, query(8, 1)), 20));
        let found = ask(1);
        let added = found.iter().filter(|row| **row as usize >= TRACKS).count();
        assert!(found.len() == 20 && (1..20).contains(&added), "{found:?}");
        assert_eq!(found, ask(1));
    }

    #[test]
    fn without_a_user_vector_it_keeps_the_first_drawn() {
        let unknown = context(request(), SessionState::default(), UserProfile::default());
        let found = rows(&hits(&mut stage(), &unknown, 5));
        assert!(found.len() == 5 && found.iter().all(|row| row % 2 == 0), "{found:?}");
        assert!(hits(&mut stage(), &unknown, 0).is_empty());
    }
}
