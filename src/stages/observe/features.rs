//! The rows that the ranker saw, to the feature log.

use std::sync::PoisonError;

use crossbeam_channel::Sender;
use prometheus::IntCounter;

use crate::domain::{Answer, RequestContext, Rung, TrackIx, arms_text};
use crate::features::schema::TASKS;
use crate::features::{CROSS_LEN, LoggedAnswer, LoggedRow, Ranked, RankedTap, is_sampled};
use crate::pipeline::{Observer, TrackSet};

/// Where the rows go.
#[derive(Debug, Clone)]
pub struct FeatureSink {
    /// The log's bounded channel.
    pub to: Sender<LoggedAnswer>,
    /// Share of the candidates not served that are logged, 0..=1.
    pub unserved_share: f32,
    /// Counts the answers that found the channel full.
    pub shed: IntCounter,
}

/// Copies the rows of all candidates that were served or that competed for the places that explore, and of a share of the
/// others, to the feature log. Never waits: with the channel
/// full the answer goes unlogged and is counted. Which of the others are taken follows from the request's seed.
pub struct FeatureObserver {
    tap: RankedTap,
    sink: FeatureSink,
    served: TrackSet,
}

impl FeatureObserver {
    /// Reads what the ranker of this lane leaves in `tap`.
    pub fn new(tap: RankedTap, sink: FeatureSink) -> Self {
        Self { tap, sink, served: TrackSet::default() }
    }

    /// The answer with the rows of `ranked` that are to be logged.
    fn logged(&mut self, ranked: &Ranked, context: &RequestContext, answer: &Answer) -> LoggedAnswer {
        let request = &context.request;
        let is_ranked = !ranked.tracks.is_empty() && matches!(answer.rung, Rung::Full | Rung::Reduced);
        let mut logged = LoggedAnswer {
            recommendation_id: answer.recommendation_id.clone(),
            user_id: request.user_id.clone(),
            session_id: request.session_id.clone(),
            ts_ms: request.now_ms,
            seed: answer.seed,
            rung: answer.rung,
            own_candidates: request.candidates.is_some(),
            arm: arms_text(&answer.experiments),
            pool: if is_ranked { ranked.tracks.len() as u32 } else { 0 },
            unserved_share: self.sink.unserved_share,
            user: Vec::new(),
            rows: Vec::new(),
            items: Vec::new(),
            cross: Vec::new(),
            unranked: Vec::new(),
        };
        if !is_ranked {
            logged.unranked.extend(answer.tracks.iter().map(|served| served.track));
            return logged;
        }
        self.served.clear();
        for track in &answer.tracks {
            self.served.insert(track.track);
        }
        logged.user.extend_from_slice(&ranked.user);
        let width = ranked.items.len() / ranked.tracks.len();
        for (row, track) in ranked.tracks.iter().enumerate() {
            let position = if self.served.contains(*track) { place_of(answer, *track) } else { None };
            let contest = ranked.contest.outcome(*track);
            if position.is_none() && contest.is_none() && !is_sampled(answer.seed, *track, self.sink.unserved_share) {
                continue;
            }
            let served = position.map(|at| &answer.tracks[at]);
            let chance = contest.and_then(|(_, chance)| chance);
            let mut tasks = [0.0; TASKS.len()];
            tasks.copy_from_slice(&ranked.tasks[row * TASKS.len()..(row + 1) * TASKS.len()]);
            logged.rows.push(LoggedRow {
                track: *track,
                position: position.map(|at| at as u32),
                propensity: chance.or_else(|| served.map(|served| served.propensity.unwrap_or(1.0))),
                score: served.map(|served| served.score),
                contest: contest.map(|(place, _)| place),
                tasks,
                blended: ranked.blended[row],
            });
            logged.items.extend_from_slice(&ranked.items[row * width..(row + 1) * width]);
            logged.cross.extend_from_slice(&ranked.cross[row * CROSS_LEN..(row + 1) * CROSS_LEN]);
        }
        logged
    }
}

fn place_of(answer: &Answer, track: TrackIx) -> Option<usize> {
    answer.tracks.iter().position(|served| served.track == track)
}

impl Observer for FeatureObserver {
    fn name(&self) -> &'static str {
        "features"
    }

    /// One copy of the logged rows, some tens of kilobytes.
    fn observe(&mut self, context: &RequestContext, answer: &Answer) {
        let tap = RankedTap::clone(&self.tap);
        let mut ranked = tap.lock().unwrap_or_else(PoisonError::into_inner);
        if self.sink.to.is_full() {
            self.sink.shed.inc();
        } else {
            let logged = self.logged(&ranked, context, answer);
            // Another lane may have taken the last place meanwhile.
            if self.sink.to.try_send(logged).is_err() {
                self.sink.shed.inc();
            }
        }
        ranked.tracks.clear();
        ranked.contest.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ArmName;
    use crate::features::Contest;
    use crate::stages::testing::{answer, context};

    /// Twenty candidates, rows that name themselves.
    fn ranked() -> Ranked {
        let rows = 0..20u16;
        Ranked {
            tracks: (0..20).map(TrackIx).collect(),
            user: vec![0.5; 3],
            items: rows.clone().flat_map(|row| [f32::from(row), -f32::from(row)]).collect(),
            cross: rows.clone().flat_map(|row| [f32::from(row); CROSS_LEN]).collect(),
            tasks: rows.clone().flat_map(|row| [f32::from(row), 0.25, 0.125]).collect(),
            blended: rows.map(f32::from).collect(),
            contest: Default::default(),
        }
    }

    fn observer(share: f32, places: usize) -> (FeatureObserver, crossbeam_channel::Receiver<LoggedAnswer>) {
        let (to, from) = crossbeam_channel::bounded(places);
        let shed = IntCounter::new("s", "s").unwrap();
        let tap = RankedTap::default();
        *tap.lock().unwrap() = ranked();
        (FeatureObserver::new(tap, FeatureSink { to, unserved_share: share, shed }), from)
    }

    #[test]
    fn logs_what_was_served_with_its_own_rows() {
        let (mut observer, from) = observer(0.0, 4);
        let mut served = answer(3);
        served.tracks.swap(0, 2);
        served.tracks[1].propensity = Some(0.5);
        served.experiments = vec![ArmName { name: "dial".into(), arm: "up".into() }];
        observer.observe(&context(0.0, 0.0), &served);
        let logged = from.recv().unwrap();
        assert_eq!(logged.arm.as_deref(), Some("dial=up"));
        let rows: Vec<_> = logged.rows.iter().map(|row| (row.track.0, row.position, row.propensity)).collect();
        assert_eq!(rows, [(0, Some(2), Some(1.0)), (1, Some(1), Some(0.5)), (2, Some(0), Some(1.0))]);
        assert_eq!((logged.items, logged.pool), (vec![0.0, 0.0, 1.0, -1.0, 2.0, -2.0], 20));
        assert_eq!((logged.user.len(), logged.cross[CROSS_LEN], logged.rows[2].tasks[0]), (3, 1.0, 2.0));
    }

    #[test]
    fn logs_everybody_who_competed_for_a_place_that_explores() {
        let (mut observer, from) = observer(0.0, 4);
        let contest = Contest {
            competed: vec![TrackIx(9), TrackIx(1), TrackIx(12)],
            chosen: vec![(TrackIx(12), 0.25), (TrackIx(1), 0.75)],
        };
        observer.tap.lock().unwrap().contest = contest;
        let mut served = answer(2);
        served.tracks[1].propensity = Some(0.75);
        observer.observe(&context(0.0, 0.0), &served);
        let rows = from.recv().unwrap().rows;
        let found: Vec<_> = rows.iter().map(|row| (row.track.0, row.position, row.propensity, row.contest)).collect();
        // The winner of the first place was displaced by a later stage; that it was chosen, and how likely, is known all the same.
        let expected = [
            (0, Some(0), Some(1.0), None),
            (1, Some(1), Some(0.75), Some(2)),
            (9, None, None, Some(0)),
            (12, None, Some(0.25), Some(1)),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_share_of_the_others_is_that_share_and_follows_from_the_seed() {
        let taken = |seed, share| (0..20_000).filter(|t| is_sampled(seed, TrackIx(*t), share)).collect::<Vec<_>>();
        assert_eq!((taken(1, 0.0).len(), taken(1, 1.0).len()), (0, 20_000));
        let some = taken(7, 0.1);
        assert!((1_800..2_200).contains(&some.len()), "{}", some.len());
        assert_eq!(some, taken(7, 0.1));
        assert_ne!(some, taken(8, 0.1));
        let (mut observer, from) = observer(1.0, 4);
        observer.observe(&context(0.0, 0.0), &answer(3));
        let logged = from.recv().unwrap();
        assert_eq!(logged.rows.len(), 20);
        assert!(logged.rows[3..].iter().all(|row| row.position.is_none() && row.score.is_none()));
    }

    #[test]
    fn an_answer_that_no_ranker_saw_has_no_rows() {
        let (mut observer, from) = observer(1.0, 4);
        let mut below = answer(3);
        below.rung = Rung::MarketTop;
        observer.observe(&context(0.0, 0.0), &below);
        observer.observe(&context(0.0, 0.0), &answer(2));
        for (tracks, logged) in [(3, from.recv().unwrap()), (2, from.recv().unwrap())] {
            assert_eq!((logged.pool, logged.rows.len(), logged.unranked.len()), (0, 0, tracks), "the tap is emptied");
        }
    }

    #[test]
    fn a_full_channel_is_counted_and_nobody_waits() {
        let (mut observer, from) = observer(0.1, 1);
        (0..5).for_each(|_| observer.observe(&context(0.0, 0.0), &answer(2)));
        assert_eq!((from.len(), observer.sink.shed.get()), (1, 4));
        drop(from);
        observer.observe(&context(0.0, 0.0), &answer(2));
        assert_eq!(observer.sink.shed.get(), 5, "nor does it matter that nobody listens");
    }
}
