//! The report of an experiment over a real feature log and a real archive, against loops over the same events.

use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use segue::archive::export;
use segue::config::{ArmConfig, Config, Durability, EventsConfig, ExperimentConfig, FeatureLogConfig};
use segue::domain::{
    Catalogue, EndReason, Event, EventId, EventType, RecommendationId, Rung, SessionId, TrackId, UserId,
};
use segue::events::{EmbeddedLog, EventLog, Opened};
use segue::experiment::{Settings, exposed, lived, report};
use segue::feature_log::{FeatureLog, Served};
use segue::features::LoggedAnswer;
use segue::metrics::Metrics;
use segue::store;
use segue::tables::read_tracks;
use segue::world::{WorldConfig, generate};

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;
const LISTENERS: usize = 240;
/// Begin of the events, Unix ms; exposures begin 20 days later.
const BEGIN_MS: i64 = 1_700_000_000_000 / HOUR_MS * HOUR_MS;
const DAYS: i64 = 36;

/// A play of a listener.
#[derive(Debug, Clone)]
struct Play {
    listener: usize,
    at_ms: i64,
    minutes: f64,
    skipped: bool,
    proposed: bool,
}

fn experiment() -> ExperimentConfig {
    let arm = |name: &str| ArmConfig { name: name.into(), weight: 1, ..ArmConfig::default() };
    let arms = vec![arm("as-is"), arm("longer")];
    ExperimentConfig { name: "e".into(), layer: "l".into(), share: 1.0, from: None, salt: None, holdback: false, arms }
}

/// When a listener is exposed first.
fn first_ms(listener: usize) -> i64 {
    BEGIN_MS + 20 * DAY_MS + listener as i64 * 60_000
}

/// Every listener plays twice a day; those of the second arm are skipping less from their exposure on.
fn plays() -> Vec<Play> {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let mut plays = Vec::new();
    for day in 0..DAYS {
        for listener in 0..LISTENERS {
            // A listener in five is gone 6 days after the exposure.
            if listener % 5 == 0 && day > 26 {
                continue;
            }
            for turn in 0..2 {
                let at_ms = BEGIN_MS + day * DAY_MS + listener as i64 * 60_000 + turn * 4 * HOUR_MS + 30_000;
                let treated = listener % 2 == 1 && at_ms >= first_ms(listener);
                let skipped = rng.random_bool(if treated { 0.1 } else { 0.4 });
                let minutes = if skipped { 0.05 } else { 2.0 + (listener % 7) as f64 / 4.0 };
                plays.push(Play {
                    listener,
                    at_ms,
                    minutes,
                    skipped,
                    proposed: turn == 0 && at_ms >= first_ms(listener),
                });
            }
        }
    }
    plays.sort_by_key(|play| play.at_ms);
    plays
}

fn events(plays: &[Play], track: &TrackId) -> Vec<Event> {
    let mut events = Vec::new();
    for (at, play) in plays.iter().enumerate() {
        let begin = Event {
            event_id: EventId::new(format!("b{at}")).unwrap(),
            user_id: UserId::new(format!("u{}", play.listener)).unwrap(),
            session_id: SessionId::new(format!("s{at}")).unwrap(),
            kind: EventType::PlayStart,
            ts_ms: play.at_ms,
            track_id: Some(track.clone()),
            position_ms: None,
            duration_ms: Some(600_000),
            played_ms: None,
            reason_start: None,
            reason_end: None,
            recommendation_id: play.proposed.then(|| RecommendationId::new(format!("r{}", play.listener)).unwrap()),
            market: None,
            device: None,
            local_hour: None,
        };
        let played_ms = (play.minutes * 60_000.0) as u32;
        let end = Event {
            event_id: EventId::new(format!("e{at}")).unwrap(),
            kind: if play.skipped { EventType::Skip } else { EventType::PlayEnd },
            ts_ms: play.at_ms + i64::from(played_ms),
            played_ms: Some(played_ms),
            reason_end: Some(if play.skipped { EndReason::Skip } else { EndReason::Done }),
            recommendation_id: None,
            ..begin.clone()
        };
        events.extend([begin, end]);
    }
    events.sort_by_key(|event| event.ts_ms);
    events
}

/// Logs an answer of each listener on two days, and of one listener in both arms.
fn log(dir: &Path, catalogue: Catalogue) {
    let metrics = Metrics::new().unwrap().feature_log;
    let config = FeatureLogConfig { dir: Some(dir.to_owned()), ..FeatureLogConfig::default() };
    let served = Served { bundle: "b".into(), changes: String::new(), catalogue: catalogue.into() };
    let log = FeatureLog::start(&config, served, &metrics).unwrap().unwrap();
    let to = log.sender();
    let send = |listener: usize, day: i64, arm: &str| {
        let answer = LoggedAnswer {
            recommendation_id: RecommendationId::new(format!("r{listener}-{day}-{arm}")).unwrap(),
            user_id: UserId::new(format!("u{listener}")).unwrap(),
            session_id: None,
            ts_ms: first_ms(listener) + day * DAY_MS,
            seed: 1,
            rung: Rung::RetrievalOrder,
            own_candidates: false,
            arm: Some(format!("other=x;e={arm}")),
            pool: 0,
            unserved_share: 0.0,
            user: vec![],
            rows: vec![],
            items: vec![],
            cross: vec![],
            unranked: vec![segue::domain::TrackIx((listener % 10) as u32)],
        };
        to.send(answer).unwrap();
    };
    for day in 0..2 {
        (0..LISTENERS).for_each(|listener| send(listener, day, ["as-is", "longer"][listener % 2]));
    }
    for (listener, day, arm) in [(LISTENERS, 0, "as-is"), (LISTENERS, 0, "longer"), (3, 3, "gone")] {
        send(listener, day, arm);
    }
}

fn archived(dir: &Path, events: &[Event]) {
    let config = EventsConfig { data_dir: dir.join("data"), durability: Durability::Os, ..EventsConfig::default() };
    let log = EmbeddedLog::start(Opened::new(&config, &Metrics::new().unwrap().events).unwrap()).unwrap();
    events.chunks(500).for_each(|batch| _ = log.append(batch).unwrap());
    drop(log);
    export(&dir.join("data"), &store::open(&dir.join("archive")).unwrap(), 100_000, 0, &mut |_| true).unwrap();
}

fn settings() -> Settings {
    let guardrails = [("early_skip_rate".to_owned(), 0.05)].into();
    Settings { fixed_horizon: false, planned: 200, mismatch: 0.01, despite_mismatch: false, guardrails }
}

#[test]
fn a_report_says_what_loops_over_the_events_say() {
    let dir = tempfile::tempdir().unwrap();
    let world = WorldConfig { tracks: 40, listeners: 2, days: 2, seed: 3, ..WorldConfig::default() };
    generate(&world, dir.path(), &|_, _| {}).unwrap();
    let catalogue = || Catalogue::new(read_tracks(&dir.path().join("tracks.parquet")).unwrap()).unwrap();
    let track = catalogue().tracks()[0].track_id.clone();
    let plays = plays();
    log(&dir.path().join("log"), catalogue());
    archived(dir.path(), &events(&plays, &track));
    let found = exposed(&store::open(&dir.path().join("log")).unwrap(), &experiment()).unwrap();
    assert_eq!((found.listeners.len(), found.crossed, found.strangers), (LISTENERS, 1, 1));
    let archive = store::open(&dir.path().join("archive")).unwrap();
    let config = Config::default();
    let (lives, end) = lived(&archive, &found, &catalogue(), &config, None, &mut |_| {}).unwrap();
    let made = report(&experiment(), &found, &lives, end, 40, &settings()).unwrap();
    let value = |name: &str, arm: usize| made.measures.iter().find(|one| one.name == name).unwrap().arms[arm].value;
    // Nothing of a listener's habits is in the skips, so that the adjustment moves these little.
    for arm in 0..2 {
        let since = |play: &&Play| play.listener % 2 == arm && play.at_ms >= first_ms(play.listener);
        let theirs: Vec<&Play> = plays.iter().filter(since).collect();
        let proposed: Vec<&&Play> = theirs.iter().filter(|play| play.proposed).collect();
        let lives: Vec<_> = lives.iter().filter(|life| life.arm == arm).collect();
        let sum = |of: fn(&segue::experiment::Lived) -> f64| lives.iter().map(|life| of(life)).sum::<f64>();
        assert_eq!(sum(|life| life.plays), proposed.len() as f64);
        assert_eq!(sum(|life| life.early), proposed.iter().filter(|play| play.skipped).count() as f64);
        assert_eq!(sum(|life| life.through), proposed.iter().filter(|play| !play.skipped).count() as f64);
        assert!((sum(|life| life.minutes) - theirs.iter().map(|play| play.minutes).sum::<f64>()).abs() < 1e-3);
        let week = theirs.iter().filter(|play| play.at_ms < first_ms(play.listener) + 14 * DAY_MS);
        assert!((sum(|life| life.minutes_two_weeks) - week.map(|play| play.minutes).sum::<f64>()).abs() < 1e-3);
        let before = |play: &&Play| {
            let since = play.at_ms - first_ms(play.listener);
            play.listener % 2 == arm && (-14 * DAY_MS..0).contains(&since)
        };
        let known = plays.iter().filter(before).map(|play| play.minutes).sum::<f64>();
        assert!((sum(|life| life.before) - known).abs() < 1e-3);
        // Who is gone after 26 days of 36 is not there 7 days after the 20th.
        let back = (0..LISTENERS).filter(|at| at % 2 == arm && at % 5 != 0).count() as f64 / (LISTENERS / 2) as f64;
        assert_eq!(lives.iter().filter(|life| life.active >> 7 & 1 == 1).count() as f64, back * (LISTENERS / 2) as f64);
        assert!((value("return_d7", arm) - back).abs() < 0.05 && value("return_d1", arm) == 1.0);
    }
    let skips = &made.measures.iter().find(|one| one.name == "early_skip_rate").unwrap().changes[0];
    assert!(skips.significant && skips.difference.high < 0.0 && skips.guard.unwrap().verdict == "holds", "{skips:?}");
    assert!(made.untold.contains(&"return_d28") && !made.mismatched);
    assert_eq!(made.arms.iter().map(|arm| arm.answers).collect::<Vec<_>>(), [241, 241]);
    let (early, _) = lived(&archive, &found, &catalogue(), &config, Some(first_ms(0) + DAY_MS), &mut |_| {}).unwrap();
    assert!(early.iter().all(|life| life.days <= 1.0 && life.active <= 1), "what is known ends where it is told to");
    let (before, _) = lived(&archive, &found, &catalogue(), &config, Some(first_ms(10)), &mut |_| {}).unwrap();
    assert_eq!(before.len(), 10, "who was exposed later is not there yet");
}
