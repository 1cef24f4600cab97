//! What one request asks the index: the user vector first, then further directions, each with a part of the quota.

use std::sync::Arc;

use crate::config::QueryShares;
use crate::domain::{ItemVectors, RequestContext, UnitVector};
use crate::features::skips::in_row;
use crate::pipeline::Note;
use crate::stages::similarity::dot;

/// Skips in a row from which on a search widens.
const TOO_MANY_SKIPS: usize = 3;
/// The note of a widened search: the part of the quota that went to the profile's other interests.
const AFTER_SKIPS: &str = "after_skips";

/// The directions that may be asked beside the user vector.
#[derive(Clone, Copy)]
enum Direction {
    Seeds,
    Session,
    LongTerm,
    OtherInterests,
}

/// Reads directions off requests. Keeps its memory.
///
/// * *Seeds*: the mean of the seed tracks and the current track, where the request names seeds.
/// * *Session*: the mean of what was played and liked in this session, weighted by signal.
/// * *Long term*: the mean of the tracks that the profile remembers, each by the logarithm of its completed plays.
/// * *Other interests*, in place of the long term after three skips in a row: the same, each track the less the closer it
///   is to what was skipped (one minus the cosine, where that is positive).
///
/// Vectors that point in opposite directions have no mean: that direction is not asked, and its part of the quota stays
/// with the user vector.
pub(super) struct TowerQueries {
    vectors: Arc<ItemVectors>,
    shares: QueryShares,
    sum: Vec<f32>,
    /// Buffers of the directions; none where vectors have no components.
    directions: Option<[UnitVector; 3]>,
    notes: Vec<Note>,
}

impl TowerQueries {
    pub(super) fn new(vectors: Arc<ItemVectors>, shares: QueryShares) -> Self {
        let sum = vec![1.0; vectors.dim()];
        let direction = UnitVector::new(sum.clone(), vectors.dim()).ok();
        let directions = direction.map(|direction| std::array::from_fn(|_| direction.clone()));
        Self { vectors, shares, sum, directions, notes: Vec::new() }
    }

    /// Asks `search` for the user vector's part of the quota, then for each further direction's, and says whether what that
    /// finds is to be scored by the direction itself: it is for the seeds, which the request named. What session and
    /// long-term taste find is scored by the user vector, for that is what the ranker learnt a similarity to be. The first
    /// error ends it.
    ///
    /// `O(tracks of the profile x dim)` beside the searches.
    pub(super) fn ask<E>(
        &mut self,
        user: &UnitVector,
        context: &RequestContext,
        quota: usize,
        mut search: impl FnMut(&UnitVector, usize, bool) -> Result<(), E>,
    ) -> Result<(), E> {
        self.notes.clear();
        let QueryShares { seeds, session, long_term, after_skips } = self.shares;
        let widened = after_skips > 0.0 && in_row(&context.session.window) >= TOO_MANY_SKIPS;
        let (last, last_share) = match widened {
            true => (Direction::OtherInterests, long_term.max(after_skips)),
            false => (Direction::LongTerm, long_term),
        };
        let mut parts = [seeds, session, last_share].map(|share| (quota as f32 * share) as usize);
        let Some(directions) = &mut self.directions else { return search(user, quota, true) };
        let kinds = [Direction::Seeds, Direction::Session, last];
        for ((kind, part), direction) in kinds.into_iter().zip(&mut parts).zip(directions.iter_mut()) {
            let there = *part > 0 && sum(kind, context, &self.vectors, &mut self.sum);
            if !(there && direction.set(&self.sum).is_ok()) {
                *part = 0;
            }
        }
        if widened && parts[2] > 0 {
            self.notes.push(Note { note: AFTER_SKIPS, value: parts[2] as f32 });
        }
        search(user, quota.saturating_sub(parts.iter().sum()), true)?;
        let mut asked = kinds.iter().zip(directions.iter()).zip(parts).filter(|(_, part)| *part > 0);
        asked.try_for_each(|((kind, direction), part)| search(direction, part, matches!(kind, Direction::Seeds)))
    }

    /// What was asked because of skips.
    pub(super) fn notes(&self) -> &[Note] {
        &self.notes
    }
}

/// Sums the vectors that a direction is made of; `false` where the request has none of it.
fn sum(kind: Direction, context: &RequestContext, vectors: &ItemVectors, sum: &mut [f32]) -> bool {
    sum.fill(0.0);
    match kind {
        Direction::Seeds if context.request.seed_tracks.is_empty() => return false,
        Direction::Seeds => {
            let seeds = context.request.seed_tracks.iter().chain(&context.request.current_track);
            seeds.for_each(|track| add(sum, vectors.row(track.at()), 1.0));
        }
        Direction::Session => {
            let liked = &context.session.liked_direction;
            if liked.len() != sum.len() {
                return false;
            }
            sum.copy_from_slice(liked);
        }
        Direction::LongTerm => taste(context, vectors, sum, |_| 1.0),
        Direction::OtherInterests => {
            let skipped = &context.session.skipped_direction;
            let length = dot(skipped, skipped).sqrt();
            match skipped.len() == sum.len() && length > 0.0 {
                true => taste(context, vectors, sum, |vector| 1.0 - (dot(skipped, vector) / length).clamp(0.0, 1.0)),
                false => taste(context, vectors, sum, |_| 1.0),
            }
        }
    }
    true
}

/// Adds up what the profile remembers, each track by its completed plays and by `part` of its vector.
fn taste(context: &RequestContext, vectors: &ItemVectors, sum: &mut [f32], part: impl Fn(&[f32]) -> f32) {
    for heard in &context.profile.tracks {
        let weight = ((1.0 + heard.completes as f32).ln()) + f32::from(u8::from(heard.liked));
        let vector = vectors.row(heard.track.at());
        add(sum, vector, weight * part(vector));
    }
}

fn add(sum: &mut [f32], vector: &[f32], weight: f32) {
    sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += weight * value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Play, Request, SessionState, TrackHistory, TrackIx, UserProfile};
    use crate::index::testing;
    use crate::stages::fixtures::{self, request};

    const SHARES: QueryShares = QueryShares { seeds: 0.5, session: 0.2, long_term: 0.1, after_skips: 0.0 };

    fn asked(context: &RequestContext, shares: QueryShares) -> Vec<(Vec<f32>, usize)> {
        let vectors = Arc::new(testing::random(50, 4, 5, 0.5, 1));
        let mut asked = Vec::new();
        let search = |query: &UnitVector, part: usize, _: bool| {
            asked.push((query.as_slice().to_vec(), part));
            Ok::<_, ()>(())
        };
        TowerQueries::new(vectors, shares).ask(&testing::query(4, 9), context, 100, search).unwrap();
        asked
    }

    fn parts(asked: &[(Vec<f32>, usize)]) -> Vec<usize> {
        asked.iter().map(|asked| asked.1).collect()
    }

    fn history(track: u32, completes: u32, liked: bool) -> TrackHistory {
        TrackHistory { track: TrackIx(track), plays: completes, completes, last_ms: 0, liked }
    }

    #[test]
    fn what_a_request_lacks_leaves_its_part_to_the_user_vector() {
        let nobody = fixtures::context(request(), SessionState::default(), UserProfile::default());
        assert_eq!(parts(&asked(&nobody, SHARES)), [100]);
        let seeded = Request { seed_tracks: vec![TrackIx(3)], ..request() };
        let session = SessionState { liked_direction: vec![0.0, 2.0, 0.0, 0.0], ..SessionState::default() };
        let profile = UserProfile { tracks: vec![history(7, 3, false)], ..UserProfile::default() };
        let all = fixtures::context(seeded, session, profile);
        let found = asked(&all, SHARES);
        assert_eq!(parts(&found), [20, 50, 20, 10]);
        let vectors = testing::random(50, 4, 5, 0.5, 1);
        assert!(dot(&found[1].0, vectors.row(3)) > 0.999 && dot(&found[3].0, vectors.row(7)) > 0.999);
        assert_eq!(found[2].0, [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(
            parts(&asked(&all, QueryShares { seeds: 0.0, session: 0.0, long_term: 0.0, after_skips: 0.3 })),
            [100]
        );
    }

    #[test]
    fn the_long_term_is_led_by_what_is_completed_and_liked() {
        let tracks = vec![history(2, 0, false), history(5, 6, true), history(9, 1, false)];
        let profile = UserProfile { tracks, ..UserProfile::default() };
        let context = fixtures::context(request(), SessionState::default(), profile);
        let vectors = testing::random(50, 4, 5, 0.5, 1);
        let expected: Vec<f32> =
            (0..4).map(|at| (7f32.ln() + 1.0) * vectors.row(5)[at] + 2f32.ln() * vectors.row(9)[at]).collect();
        let length = dot(&expected, &expected).sqrt();
        let found = asked(&context, QueryShares { seeds: 0.0, session: 0.0, long_term: 0.5, after_skips: 0.0 });
        assert!(found[1].0.iter().zip(&expected).all(|(a, b)| (a - b / length).abs() < 1e-5));
    }

    #[test]
    fn three_skips_in_a_row_ask_for_other_interests() {
        let vectors = testing::random(50, 4, 5, 0.5, 1);
        let profile = UserProfile { tracks: vec![history(2, 9, true), history(5, 1, false)], ..UserProfile::default() };
        let asked_after = |signals: &[f32]| {
            let window = signals.iter().map(|signal| Play { signal: *signal, ..fixtures::session(&[2]).window[0] });
            // Twice as long as the vector: length does not count.
            let skipped_direction = vectors.row(2).iter().map(|v| 2.0 * v).collect();
            let session = SessionState { window: window.collect(), skipped_direction, ..SessionState::default() };
            let shares = QueryShares { after_skips: 0.3, ..QueryShares::default() };
            asked(&fixtures::context(request(), session, profile.clone()), shares)
        };
        assert_eq!(parts(&asked_after(&[-1.0, -1.0])), [100]);
        assert_eq!(parts(&asked_after(&[-1.0, -1.0, -1.0, 0.5])), [100]);
        let widened = asked_after(&[0.5, -1.0, -0.2, 0.0, -1.0]);
        assert_eq!(parts(&widened), [70, 30]);
        assert!(dot(&widened[1].0, vectors.row(5)) > 0.99, "nothing of what was skipped, however loved");
    }

    #[test]
    fn directions_of_another_space_and_opposite_ones_are_not_asked() {
        let session = SessionState { liked_direction: vec![1.0; 3], ..SessionState::default() };
        let other = fixtures::context(request(), session, UserProfile::default());
        assert_eq!(parts(&asked(&other, SHARES)), [100]);
        let session = SessionState { liked_direction: vec![0.0; 4], ..SessionState::default() };
        let none = fixtures::context(request(), session, UserProfile::default());
        assert_eq!(parts(&asked(&none, SHARES)), [100]);
    }
}
