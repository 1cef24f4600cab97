//! What is logged while serving against what is backfilled: the same moments, the same numbers, the same outcomes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::data::Data;
use super::rows::{RankerRow, TowerRow};
use super::tests::{Fixture, rows};
use super::{JoinPlan, JoinSummary, Logs, RankerPlan, TowersPlan, join, stable_hash, towers};
use crate::app::Engine;
use crate::archive::export;
use crate::bundle::{UpdateConfig, read_ranker, read_reference, update};
use crate::config::{Durability, EventStore, EventsConfig};
use crate::domain::{Event, EventType, RecommendationId, Request};
use crate::drift;
use crate::feature_log::{LoggedGroup, parts};
use crate::features::CROSS_LEN;
use crate::inference::test_runtime;
use crate::metrics::Metrics;
use crate::pipeline::Deadline;
use crate::store;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Seed of the fixture's draws.
const SEED: u64 = 9;

/// Replays events through a real engine, which logs every ranked candidate; asks before every play of a day. Returns the
/// events up to an hour later, those that begin plays with the answer that they follow.
fn serve(fixture: &Fixture, from_ms: i64) -> Vec<Event> {
    let mut config = fixture.config.clone();
    (config.lanes.count, config.events.store) = (1, EventStore::Memory);
    (config.filters.played_in_session, config.filters.served_before) = (false, false);
    (config.feature_log.dir, config.feature_log.unserved_share) = (Some(fixture.at("log")), 1.0);
    let engine = Engine::start(config, &fixture.at("bundle")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let serving = engine.current();
    let (bundle, mut served) = (serving.bundle(), Vec::new());
    for event in fixture.events.iter().filter(|event| event.ts_ms < from_ms + DAY_MS + HOUR_MS) {
        let mut event = event.clone();
        if event.kind == EventType::PlayStart && (from_ms..from_ms + DAY_MS).contains(&event.ts_ms) {
            let seed = stable_hash(SEED, event.event_id.as_str());
            let request = Request { seed, limit: 20, ..Request::before(&event, &bundle.catalogue) };
            let answer = runtime.block_on(serving.next_tracks(Arc::new(request), Deadline::never())).unwrap();
            event.recommendation_id = Some(RecommendationId::new(answer.recommendation_id.as_str()).unwrap());
        }
        let _ = serving.state().apply(&event, &bundle.catalogue, &bundle.vectors);
        served.push(event);
    }
    // With the last that holds it the log is completed.
    drop((serving, engine));
    served
}

fn logged(dir: &Path) -> Vec<LoggedGroup> {
    let parts = parts(&store::open(dir).unwrap()).unwrap().into_values().flatten();
    parts.flat_map(|part| part.groups().unwrap().collect::<Vec<_>>()).map(Result::unwrap).collect()
}

/// Every moment backfilled with every candidate, by listener and moment.
fn backfilled(fixture: &Fixture) -> HashMap<(String, i64), Vec<RankerRow>> {
    fixture.ranker(&RankerPlan { negatives: 1_000, seed: SEED, ..fixture.plan(100_000) }).unwrap();
    let mut groups: HashMap<_, Vec<RankerRow>> = HashMap::new();
    for row in rows::<RankerRow>(&fixture.at("ranker/ranker.parquet")) {
        groups.entry((row.user_id.clone(), row.ts_ms)).or_default().push(row);
    }
    groups
}

/// Columns in which two rows differ, bit by bit.
fn differences(a: &[f32], b: &[f32]) -> usize {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).filter(|(a, b)| a.to_bits() != b.to_bits()).count()
}

#[test]
fn a_day_logged_while_serving_equals_the_day_backfilled() {
    let fixture = Fixture::new();
    let windows = fixture.towers();
    fixture.bundle();
    serve(&fixture, windows.rank_from_ms);
    let (log, backfilled) = (logged(&fixture.at("log")), backfilled(&fixture));
    let (mut moments, mut compared, mut different) = (0, 0, 0);
    for group in &log {
        let Some(rows) = backfilled.get(&(group.answer.user_id.clone(), group.answer.ts_ms)) else { continue };
        moments += 1;
        let by_track: HashMap<i32, &RankerRow> = rows.iter().map(|row| (row.track_ix, row)).collect();
        let mut missing: HashSet<i32> = by_track.keys().copied().collect();
        for row in &group.rows {
            let twin = by_track[&row.track_ix];
            missing.remove(&row.track_ix);
            different += differences(&twin.user, &group.answer.user);
            different += differences(&twin.item, &row.item) + differences(&twin.cross, &row.cross);
            compared += twin.user.len() + twin.item.len() + CROSS_LEN;
        }
        assert!(missing.iter().all(|track| by_track[track].played), "only what retrieval did not offer");
    }
    assert!(moments > 20 && compared > 100_000, "{moments} moments, {compared} numbers");
    assert_eq!(different, 0, "of {compared}");
}

/// Exports events by way of a real log.
fn archive(fixture: &Fixture, events: &[Event]) {
    use crate::events::{EmbeddedLog, EventLog, Opened};
    let (data_dir, durability) = (fixture.at("data"), Durability::Os);
    let config = EventsConfig { data_dir, durability, ..EventsConfig::default() };
    let log = EmbeddedLog::start(Opened::new(&config, &Metrics::new().unwrap().events).unwrap()).unwrap();
    events.chunks(500).for_each(|batch| _ = log.append(batch).unwrap());
    drop(log);
    export(&fixture.at("data"), &store::open(&fixture.at("archive")).unwrap(), 700, 0, &mut |_| true).unwrap();
}

fn joined(fixture: &Fixture, wait_min: u64, to_the_end: bool) -> (JoinSummary, Vec<RankerRow>) {
    let [log, archive, tracks, out] = ["log", "archive", "tracks.parquet", "joined"].map(|name| fixture.at(name));
    let plan = JoinPlan { log, archive, tracks, out, to_the_end, untouched: false };
    let mut config = fixture.config.clone();
    config.feature_log.wait_min = wait_min;
    let done = join(&plan, &config, &mut |_| {}).unwrap();
    (done, rows(&fixture.at("joined/ranker.parquet")))
}

#[test]
fn joined_rows_have_the_outcomes_that_backfill_finds() {
    let mut fixture = Fixture::new();
    fixture.disturb();
    let windows = fixture.towers();
    fixture.bundle();
    let events = serve(&fixture, windows.rank_from_ms);
    archive(&fixture, &events);
    let (done, all) = joined(&fixture, 120, true);
    let backfilled = backfilled(&fixture);
    let played: Vec<&RankerRow> = all.iter().filter(|row| row.played).collect();
    assert_eq!((played.len() as u64, all.len() as u64), (done.played, done.rows));
    assert!(done.played > 20 && done.censored > 3 && done.censored < done.played, "{done:?}");
    let mut labels = BTreeMap::new();
    for row in &played {
        *labels.entry(row.label.iter().map(|label| *label as u8).collect::<Vec<_>>()).or_insert(0) += 1;
        match backfilled.get(&(row.user_id.clone(), row.ts_ms)) {
            Some(group) => {
                let twin = &group[0];
                assert!(twin.played && twin.track_ix == row.track_ix);
                assert_eq!((&row.label, &row.mask), (&twin.label, &twin.mask), "{} at {}", row.user_id, row.ts_ms);
                assert_eq!((&row.user, &row.item, &row.cross), (&twin.user, &twin.item, &twin.cross));
            }
            None => assert_eq!(row.mask[..2], [0.0; 2], "its end is unknown"),
        }
    }
    assert!(labels.len() > 2, "{labels:?}");
    assert!(all.iter().filter(|row| !row.played).all(|row| row.mask == [1.0, 0.0, 0.0] && row.label == [0.0; 3]));
    let total = logged(&fixture.at("log")).len() as u64;
    assert_eq!((done.groups + done.untouched, done.waiting), (total, 0));
    let (open, _) = joined(&fixture, 120, false);
    assert!(open.waiting > 0 && open.groups > 0, "{open:?}");
    assert_eq!(open.groups + open.untouched + open.waiting, total);
    let (short, rows) = joined(&fixture, 1, true);
    assert!(short.late > 10 && short.late < short.played, "{short:?}");
    let unknown = rows.iter().filter(|row| row.played && row.mask == [0.0; 3]).count() as u64;
    assert!(unknown >= short.late, "who waits a minute does not know how a track of three ended");
}

#[test]
fn drift_is_told_of_what_was_logged() {
    let fixture = Fixture::new();
    let windows = fixture.towers();
    let bundle = fixture.bundle();
    archive(&fixture, &serve(&fixture, windows.rank_from_ms));
    let (done, rows) = joined(&fixture, 120, true);
    // The same ranker, with a reference of the very rows that were logged.
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models");
    let [from, rows_dir, out] = ["bundle", "joined", "next"].map(|name| fixture.at(name));
    let next = UpdateConfig { from, models, rows: rows_dir, out: out.clone(), version: None };
    let manifest = update(&next, &test_runtime()).unwrap();
    let reference = read_reference(&out, &manifest).unwrap().unwrap();
    let logs = Logs { log: fixture.at("log"), archive: fixture.at("archive"), to_the_end: true };
    let told = |version: &str| {
        let range = |(from_ms, until_ms)| drift::Range { from_ms, until_ms };
        let of = (version, Some(&reference));
        drift::collect(&logs, &bundle.catalogue, &fixture.config, of, range, &mut |_| {}).unwrap()
    };
    let found = told(&bundle.version);
    assert_eq!((found.answers.len() as u64, found.others), (done.groups + done.untouched, 0));
    let known = rows.iter().filter(|row| row.played && row.mask.iter().any(|mask| *mask > 0.0)).count();
    assert!(known > 10 && found.plays.len() == known, "{known} {}", found.plays.len());
    let spread = found.spread.unwrap();
    assert_eq!(spread.answers, done.groups + done.untouched);
    for of in spread.against(&reference) {
        // Every answer was followed by a play, so the rows are nearly the same.
        assert!(of.divergence.psi < 0.2, "{of:?}");
    }
    let of_another = told("another");
    assert_eq!((of_another.answers.len(), of_another.others), (0, done.groups + done.untouched));
    assert!(of_another.spread.is_none() && of_another.plays.is_empty());
    let ranker = read_ranker(&out, &test_runtime()).unwrap().unwrap();
    let compared = drift::compare(&fixture.at("joined"), &ranker, &ranker, 20, 1).unwrap();
    assert!(compared.iter().all(|head| head.new == head.old && head.difference.value == 0.0 && head.rows > 0));
}

#[test]
fn a_backfill_reads_an_archive_as_it_reads_a_table() {
    let fixture = Fixture::new();
    archive(&fixture, &fixture.events);
    std::fs::copy(fixture.at("tracks.parquet"), fixture.at("archive/tracks.parquet")).unwrap();
    let mut read = Vec::new();
    let collect = |event: &Event| {
        read.push(event.clone());
        Ok(true)
    };
    Data::open(&fixture.at("archive")).unwrap().each("events", &mut |_| {}, collect).unwrap();
    assert_eq!(read, fixture.events);
    assert!(Data::open(&fixture.at("")).unwrap().each("events", &mut |_| {}, |_| Ok(false)).is_ok());
}

#[test]
fn the_parts_of_the_listeners_are_the_whole() {
    let fixture = Fixture::new();
    fixture.towers();
    fixture.bundle();
    fixture.ranker(&fixture.plan(60)).unwrap();
    let (mut towers_rows, mut ranker_rows) = (Vec::<TowerRow>::new(), Vec::<RankerRow>::new());
    for number in 1..=3 {
        let part = format!("{number}/3").parse().unwrap();
        let out = fixture.at("parts");
        let plan = TowersPlan { data: fixture.at(""), out: out.clone(), rank_days: 5, test_days: 4, part };
        towers(&plan, &fixture.config, &mut |_| {}).unwrap();
        fixture.ranker(&RankerPlan { out: out.clone(), part, ..fixture.plan(60) }).unwrap();
        towers_rows.extend(rows::<TowerRow>(&out.join(format!("towers.parquet/{number}-of-3.parquet"))));
        ranker_rows.extend(rows::<RankerRow>(&out.join(format!("ranker.parquet/{number}-of-3.parquet"))));
    }
    let mut whole: Vec<TowerRow> = rows(&fixture.at("rows/towers.parquet"));
    let by_time = |row: &TowerRow| (row.ts_ms, row.user_id.clone());
    whole.sort_by_key(by_time);
    towers_rows.sort_by_key(by_time);
    assert_eq!(towers_rows, whole);
    let mut whole: Vec<RankerRow> = rows(&fixture.at("ranker/ranker.parquet"));
    let groups = |rows: &[RankerRow]| rows.iter().map(|row| row.group).collect::<HashSet<_>>().len();
    assert_eq!(groups(&ranker_rows), groups(&whole), "no number twice");
    for rows in [&mut whole, &mut ranker_rows] {
        rows.sort_by_key(|row| (row.ts_ms, row.user_id.clone(), !row.played, row.track_ix));
        rows.iter_mut().for_each(|row| row.group = 0);
    }
    assert_eq!(ranker_rows, whole);
    for name in ["schema.json", "items.parquet"] {
        let read = |dir: &str| std::fs::read(fixture.at(dir).join(name)).unwrap();
        let whole = if name == "schema.json" { read("ranker") } else { read("rows") };
        assert_eq!(read("parts"), whole, "{name}");
    }
}
