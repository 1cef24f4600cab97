//! How far one in a hundred listeners can push a track: from events as clients send them, through ingest and live state, to
//! the places that explore.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use ulid::Ulid;

use super::{Explore, ExploreRules};
use crate::config::{EventStore, EventsConfig, FeedbackConfig, SignalConfig, StateConfig};
use crate::domain::{
    CandidateSet, Catalogue, EventType, ItemVectors, Knobs, RecommendationId, Request, RequestContext, Retrieved,
    Source, TrackId, TrackIx, UserId, bare_track,
};
use crate::events::{EventOutcome, Ingest, MemoryLog, Notes, RawEvent};
use crate::features::StateStore;
use crate::features::testing::event;
use crate::metrics::Metrics;
use crate::pipeline::Reranker;
use crate::security::{Signer, new_secret};
use crate::stages::exposure::Exposure;
use crate::stages::testing::ranking;

const HOUR_MS: i64 = 3_600_000;
/// Midnight of a day.
const START_MS: i64 = 1_749_945_600_000;
/// Known tracks, and behind them those that compete for places that explore.
const KNOWN: u32 = 30;
const COLD: u32 = 10;
/// One in a hundred pushes.
const LISTENERS: u32 = 100;
const PUSHER: &str = "u7";
const DAYS: i64 = 2;
/// Tracks of an answer, played one after the other, two of them cold.
const PLAYS: u32 = 10;
/// So many that a fifth of all plays are the pusher's of one track.
const PUSHES: u32 = LISTENERS * PLAYS * DAYS as u32 / 4;
/// The track that is pushed.
const PUSHED: u32 = KNOWN + 4;
const LISTS: u64 = 200;

/// An answer that a listener got.
struct Served {
    user: UserId,
    id: RecommendationId,
    tracks: Vec<u32>,
}

struct World {
    ingest: Ingest,
    stage: Explore,
    signer: Option<Signer>,
    rng: ChaCha8Rng,
    sent: u32,
}

impl World {
    fn new(feedback: FeedbackConfig) -> Self {
        let signer = Signer::open(&feedback).unwrap();
        let mut signals = SignalConfig { feedback, ..SignalConfig::default() };
        // All stay cold: what is looked at is how far the posteriors move.
        (signals.completion.warm_width, signals.completion.warm_impressions) = (0.0, 1_000_000);
        let state = Arc::new(StateStore::new(&StateConfig::default(), &signals));
        let tracks = (0..KNOWN + COLD).map(|row| bare_track(&format!("t{row}"), &format!("a{row}"))).collect();
        let catalogue = Arc::new(Catalogue::new(tracks).unwrap());
        let vectors = ItemVectors::from_raw(vec![1.0; (KNOWN + COLD) as usize], 1).unwrap();
        let config = EventsConfig { store: EventStore::Memory, ..EventsConfig::default() };
        let notes = Arc::new(Notes::open(&config, Metrics::new().unwrap().events).unwrap());
        let log = Arc::new(MemoryLog::new(1));
        let ingest = Ingest::new(Arc::clone(&state), log, Arc::clone(&catalogue), Arc::new(vectors), config, notes);
        let rules = ExploreRules {
            positions: vec![3, 8],
            more_positions: vec![],
            floor: 0.0,
            ceiling: 1.0,
            rank_order_surfaces: vec![],
        };
        let stage = Explore::new(catalogue, state, Arc::new(Exposure::new(2_000)), rules);
        let (ingest, rng) = (ingest.proven_by(signer.clone()), ChaCha8Rng::seed_from_u64(3));
        Self { ingest, stage, signer, rng, sent: 0 }
    }

    /// The end of a play.
    fn play(
        &mut self,
        user: &UserId,
        track: u32,
        at_ms: i64,
        through: bool,
        id: Option<&RecommendationId>,
    ) -> RawEvent {
        self.sent += 1;
        let session = format!("s of {user} at {}", at_ms / (12 * HOUR_MS));
        let name = format!("e{}", self.sent);
        let mut end = event(&name, user.as_str(), &session, EventType::Skip, Some(&format!("t{track}")), at_ms);
        (end.played_ms, end.recommendation_id) = (Some(if through { 90_000 } else { 2_000 }), id.cloned());
        RawEvent::from(&end)
    }

    /// Sends plays.
    fn send(&mut self, plays: Vec<RawEvent>, now_ms: i64) {
        let outcomes = self.ingest.ingest(plays, now_ms).unwrap();
        assert!(outcomes.iter().all(|outcome| *outcome == EventOutcome::Accepted), "{outcomes:?}");
    }

    /// An ordinary day of everybody: one answer each, whose tracks are played; each cold track has its own share of plays that
    /// are completed.
    fn day(&mut self, day: i64) -> Vec<Served> {
        let mut served = Vec::new();
        for listener in 0..LISTENERS {
            let user = UserId::new(format!("u{listener}")).unwrap();
            let at_ms = START_MS + day * 24 * HOUR_MS + HOUR_MS + i64::from(listener) * 60_000;
            let mut tracks: Vec<u32> = (0..PLAYS - 2).map(|_| self.rng.random_range(0..KNOWN)).collect();
            tracks.extend((0..2).map(|_| self.rng.random_range(KNOWN..KNOWN + COLD)));
            let bare =
                RecommendationId::new(format!("r-{}", Ulid::from_parts(at_ms as u64, u128::from(listener)))).unwrap();
            let names: Vec<TrackId> = tracks.iter().map(|track| TrackId::new(format!("t{track}")).unwrap()).collect();
            let names = names.iter().map(TrackId::as_str);
            let id = self.signer.as_ref().map_or_else(|| bare.clone(), |signer| signer.sign(&bare, &user, names));
            let mut plays = Vec::new();
            for (at, track) in tracks.iter().enumerate() {
                let through = self.rng.random_bool(0.35 + 0.3 * f64::from(track % 7) / 6.0);
                plays.push(self.play(&user, *track, at_ms + at as i64 * 90_000, through, Some(&id)));
            }
            self.send(plays, at_ms + HOUR_MS);
            served.push(Served { user, id, tracks });
        }
        served
    }

    /// The pusher's plays of a day, with every id there is to be had.
    fn push(&mut self, day: i64, served: &[Served]) {
        let pusher = UserId::new(PUSHER).unwrap();
        let made_up = RecommendationId::new("r-01JXYZ0000000000000000000.AAAA").unwrap();
        let own = served.iter().find(|answer| answer.user == pusher).unwrap();
        let holds = |answer: &&Served| answer.tracks.contains(&PUSHED) && answer.user != pusher;
        let of_others = served.iter().find(holds).map(|answer| &answer.id);
        let ids = [None, Some(&made_up), Some(&own.id), of_others];
        let noon_ms = START_MS + day * 24 * HOUR_MS + 12 * HOUR_MS;
        let mut plays = Vec::new();
        for at in 0..PUSHES / DAYS as u32 {
            let at_ms = noon_ms + i64::from(at) * 100_000;
            plays.push(self.play(&pusher, PUSHED, at_ms, true, ids[at as usize % ids.len()]));
        }
        self.send(plays, noon_ms + 10 * HOUR_MS);
    }

    /// In how many of some lists for others the track stands.
    fn exposure(mut self) -> f64 {
        let mut candidates = CandidateSet::default();
        for row in 0..KNOWN + COLD {
            let source = if row < KNOWN { Source::TwoTower } else { Source::Exploration };
            candidates.push(Retrieved { track: TrackIx(row), score: 0.0 }, source);
        }
        let mut found = 0;
        for seed in 0..LISTS {
            let user = UserId::new("u1").unwrap();
            let now_ms = START_MS + DAYS * 24 * HOUR_MS;
            let request = Request { limit: 10, discovery: 0.3, seed, ..Request::new(user, now_ms) };
            let context = RequestContext::new(Arc::new(request), Knobs::default());
            let mut scores: Vec<f32> = (0..candidates.len()).map(|row| -(row as f32)).collect();
            let (mut order, mut propensity) = (ranking(&scores), vec![None; candidates.len()]);
            self.stage.rerank(&context, &candidates, &mut scores, &mut propensity, &mut order, 10).unwrap();
            found += usize::from(order[..10].contains(&PUSHED));
        }
        found as f64
    }
}

/// By what part the push moves the track's exposure for others.
fn moved(feedback: &FeedbackConfig) -> f64 {
    let [calm, pushed] = [false, true].map(|pushes| {
        let mut world = World::new(feedback.clone());
        for day in 0..DAYS {
            let served = world.day(day);
            if pushes {
                world.push(day, &served);
            }
        }
        world.exposure()
    });
    assert!(calm >= 20.0, "it has an exposure to move: {calm} of {LISTS}");
    pushed / calm - 1.0
}

#[test]
fn one_listener_in_a_hundred_with_a_fifth_of_all_plays_moves_a_track_by_at_most_a_twentieth() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), new_secret()).unwrap();
    let proven = FeedbackConfig { secret_file: Some(secret.path().into()), ..FeedbackConfig::default() };
    let (off, bounded, proven) = (moved(&FeedbackConfig::off()), moved(&FeedbackConfig::default()), moved(&proven));
    println!("moved by {off:+.3} without bounds, {bounded:+.3} with bounds and trust, {proven:+.3} with proofs");
    assert!(proven.abs() <= 0.05, "with proofs it moves by {proven}");
    // Both that the push is one, and what bounds alone are worth.
    assert!(off > 1.0 && bounded < off / 4.0, "unprotected {off}, bounded {bounded}");
}
