use std::path::Path;
use std::sync::Arc;

use super::tables::{ANSWERS, CANDIDATES, ITEMS, candidate_columns};
use super::*;
use crate::config::FeatureLogConfig;
use crate::domain::{RecommendationId, Rung, TrackIx, UserId};
use crate::features::schema::CROSS;
use crate::features::testing::catalogue;
use crate::features::{LoggedAnswer, LoggedRow};
use crate::metrics::{FeatureLogMetrics, Metrics};
use crate::store::testing::{Watched, stores};
use crate::store::{self, Store, Stored};
use crate::tables::{Column, Flat, Type, read_flat, stored_rows, tables_by_hour};

const HOUR_MS: i64 = 3_600_000;

/// An answer of `rows` candidates, every other one served.
pub(super) fn answer(number: i64, ts_ms: i64, rows: u32) -> LoggedAnswer {
    let row = |at: u32| {
        let served = at.is_multiple_of(2).then_some(at / 2);
        LoggedRow {
            track: TrackIx((number as u32 + at) % 12),
            position: served,
            propensity: served.map(|_| 1.0),
            score: served.map(|at| 1.0 / (at + 1) as f32),
            contest: at.is_multiple_of(3).then_some(at / 3),
            tasks: [at as f32 * 0.01, 0.25, 0.5],
            blended: number as f32 + at as f32 * 0.125,
        }
    };
    LoggedAnswer {
        recommendation_id: RecommendationId::new(format!("r-{number}")).unwrap(),
        user_id: UserId::new(format!("u{}", number % 3)).unwrap(),
        session_id: None,
        ts_ms,
        seed: u64::MAX - number as u64,
        rung: Rung::Full,
        own_candidates: false,
        arm: None,
        pool: rows,
        unserved_share: 0.5,
        user: vec![0.5, number as f32],
        rows: (0..rows).map(row).collect(),
        items: (0..rows).flat_map(|at| [((number as u32 + at) % 12) as f32, -1.0]).collect(),
        cross: (0..rows).flat_map(|at| (0..CROSS.len()).map(move |x| at as f32 + x as f32 / 32.0)).collect(),
        unranked: Vec::new(),
    }
}

pub(super) fn served() -> Served {
    Served { bundle: "b1".into(), changes: "c1".into(), catalogue: Arc::new(catalogue()) }
}

/// Logs answers into a directory.
pub(super) fn log(dir: &Path, part_rows: u64, answers: impl IntoIterator<Item = LoggedAnswer>) -> FeatureLogMetrics {
    let config = FeatureLogConfig { dir: Some(dir.to_owned()), part_rows, ..FeatureLogConfig::default() };
    let metrics = Metrics::new().unwrap().feature_log;
    let log = FeatureLog::start(&config, served(), &metrics).unwrap().unwrap();
    let to = log.sender();
    answers.into_iter().for_each(|answer| to.send(answer).unwrap());
    drop(to);
    metrics
}

fn opened(dir: &Path) -> Arc<dyn Store> {
    store::open(dir).unwrap()
}

fn files(dir: &Path, table: &str) -> Vec<Stored> {
    tables_by_hour(&opened(dir), table).unwrap().into_values().flatten().collect()
}

#[test]
fn what_is_logged_is_read_back_number_by_number() {
    let dir = tempfile::tempdir().unwrap();
    let answers: Vec<_> = (0..50).map(|n| answer(n, 7 * HOUR_MS + n, 7)).collect();
    let metrics = log(dir.path(), 1_000_000, answers.clone());
    assert_eq!((metrics.answers.get(), metrics.rows.get(), metrics.shed_store.get()), (50, 350, 0));
    let parts = [ANSWERS, CANDIDATES, ITEMS].map(|table| files(dir.path(), table));
    assert!(parts.iter().all(|files| files.len() == 1) && metrics.bytes.get() > 0);
    let rows: Vec<AnswerRow> = stored_rows(&parts[0][0]).unwrap().map(Result::unwrap).collect();
    for (row, answer) in rows.iter().zip(&answers) {
        assert_eq!((row.recommendation_id.as_str(), row.ts_ms), (answer.recommendation_id.as_str(), answer.ts_ms));
        assert_eq!((row.seed.cast_unsigned(), &row.user, row.rung.as_str()), (answer.seed, &answer.user, "full"));
    }
    let columns: Vec<Column> = candidate_columns().into_iter().map(|(column, _)| column).collect();
    let batches: Vec<Vec<Flat>> = read_flat(&parts[1][0], columns).unwrap().map(Result::unwrap).collect();
    let all = || answers.iter().flat_map(|answer| answer.rows.iter());
    assert_eq!(batches[0][1], Flat::Int32(all().map(|row| row.track.0 as i32).collect()));
    assert_eq!(batches[0][2], Flat::OptionalInt32(all().map(|row| row.position.map(|at| at as i32)).collect()));
    assert_eq!(batches[0][5], Flat::OptionalInt32(all().map(|row| row.contest.map(|at| at as i32)).collect()));
    assert_eq!(batches[0][9], Flat::Float32(all().map(|row| row.blended).collect()));
    for at in 0..CROSS.len() {
        let column = answers.iter().flat_map(|answer| answer.cross.chunks(CROSS.len()).map(move |row| row[at]));
        assert_eq!(batches[0][10 + at], Flat::Float32(column.collect()), "{}", CROSS[at].name);
    }
    let mut items: Vec<ItemRow> = stored_rows(&parts[2][0]).unwrap().map(Result::unwrap).collect();
    items.sort_by_key(|item| item.track_ix);
    assert_eq!(items.len(), 12, "each item once");
    assert!(items.iter().all(|item| item.item == [item.track_ix as f32, -1.0]));
    assert!(items.iter().all(|item| item.track_id == format!("t{}", item.track_ix)));
}

#[test]
fn hours_and_full_parts_have_files_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let hours = [0, 3, 1, 2, 9, 9, 9, 9, 4, 5, 0];
    let metrics = log(dir.path(), 14, hours.iter().enumerate().map(|(n, hour)| answer(n as i64, hour * HOUR_MS, 7)));
    assert_eq!((metrics.answers.get(), metrics.shed_store.get()), (11, 0));
    let found = tables_by_hour(&opened(dir.path()), ANSWERS).unwrap();
    let counts: Vec<usize> = found.values().map(Vec::len).collect();
    assert_eq!(counts, [2, 1, 1, 1, 1, 1, 2], "hour 0 came again after it had been pushed out, hour 9 was full twice");
    let is_partial = |file: &Stored| dir.path().join(&file.key).with_extension("partial").exists();
    assert!(!found.values().flatten().any(is_partial));
}

#[test]
fn a_store_that_is_away_costs_rows_and_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("log");
    std::fs::write(&blocked, "a file stands where the directory should").unwrap();
    let metrics = log(&blocked, 1_000, (0..20).map(|n| answer(n, 0, 7)));
    assert_eq!((metrics.answers.get(), metrics.shed_store.get()), (0, 20));
}

#[test]
fn answers_that_no_ranker_saw_are_logged_with_their_tracks() {
    let dir = tempfile::tempdir().unwrap();
    let bare = LoggedAnswer { unranked: vec![TrackIx(3), TrackIx(1)], user: vec![], ..answer(1, 0, 0) };
    log(dir.path(), 1_000, [bare]);
    let row: AnswerRow = stored_rows(&files(dir.path(), ANSWERS)[0]).unwrap().next().unwrap().unwrap();
    assert_eq!((row.unranked, row.user.len()), (vec!["t3".to_owned(), "t1".to_owned()], 0));
    let ids = vec![Column::required("track_ix", Type::Int32)];
    assert!(read_flat(&files(dir.path(), CANDIDATES)[0], ids).unwrap().next().is_none());
}

/// All groups of a log.
fn groups(dir: &Path) -> Vec<LoggedGroup> {
    groups_of(&opened(dir))
}

fn groups_of(log: &Arc<dyn Store>) -> Vec<LoggedGroup> {
    let parts = parts(log).unwrap().into_values().flatten();
    parts.flat_map(|part| part.groups().unwrap().collect::<Vec<_>>()).map(Result::unwrap).collect()
}

#[test]
fn groups_put_the_tables_together_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut answers: Vec<_> = (0..300).map(|n| answer(n, HOUR_MS * (n % 2), 260)).collect();
    (answers[7].rows, answers[7].items, answers[7].cross) = (vec![], vec![], vec![]);
    log(dir.path(), 1_000_000, answers.clone());
    let found = groups(dir.path());
    assert_eq!(found.len(), 299, "an answer without candidates is none");
    for group in found {
        let number: usize = group.answer.recommendation_id[2..].parse().unwrap();
        let answer = &answers[number];
        assert_eq!((group.rows.len(), group.answer.ts_ms), (260, answer.ts_ms));
        for (at, (row, logged)) in group.rows.iter().zip(&answer.rows).enumerate() {
            assert_eq!((row.track_ix, row.position), (logged.track.0 as i32, logged.position.map(|p| p as i32)));
            assert_eq!((row.propensity, row.score), (logged.propensity, logged.score));
            assert_eq!((row.tasks, row.blended), (logged.tasks, logged.blended));
            assert_eq!(&row.item[..], &answer.items[at * 2..at * 2 + 2]);
            assert_eq!(row.cross, answer.cross[at * CROSS.len()..(at + 1) * CROSS.len()]);
            assert_eq!(&*row.track_id, format!("t{}", row.track_ix));
        }
    }
}

#[test]
fn compaction_merges_parts_and_drops_the_erased() {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), 21, (0..40).map(|n| answer(n, HOUR_MS * (n % 2) + n, 7)));
    let before = groups(dir.path());
    let covers = |user: &str, ts_ms: i64| user == "u1" && ts_ms < HOUR_MS + 20;
    let expected: Vec<_> = before.iter().filter(|g| !covers(&g.answer.user_id, g.answer.ts_ms)).cloned().collect();
    let old: Vec<_> = [ANSWERS, CANDIDATES, ITEMS].into_iter().flat_map(|table| files(dir.path(), table)).collect();
    let kept: Vec<_> = old.iter().map(|old| std::fs::read(dir.path().join(&old.key)).unwrap()).collect();
    let done = compact(&opened(dir.path()), 9, covers).unwrap();
    assert_eq!((done.hours, done.rewritten, done.dropped), (2, 2, (before.len() - expected.len()) as u64));
    assert!(done.dropped > 3);
    assert_eq!(groups(dir.path()), expected);
    for table in [ANSWERS, CANDIDATES, ITEMS] {
        assert_eq!(files(dir.path(), table).len(), 2, "{table}: a file an hour");
    }
    // Killed before the old files went: they do not count, and go the next time.
    old.iter().zip(kept).for_each(|(old, bytes)| std::fs::write(dir.path().join(&old.key), bytes).unwrap());
    assert_eq!(groups(dir.path()), expected);
    let again = compact(&opened(dir.path()), 9, covers).unwrap();
    assert_eq!((again.rewritten, again.removed), (0, old.len() as u64), "these erasures are in");
    assert_eq!(compact(&opened(dir.path()), 10, |_, _| false).unwrap().rewritten, 2, "and later ones may not be");
    assert_eq!(groups(dir.path()), expected);
}

#[test]
fn every_store_takes_parts_and_gives_them_back() {
    for (store, _dir) in stores() {
        for name in ["a", "b"] {
            let mut part = Part::create(&store, crate::tables::Hour::of(0), name).unwrap();
            (0..5).for_each(|n| part.log(&answer(n + i64::from(name == "b") * 5, n, 7), &served()).unwrap());
            assert_eq!(part.finish().unwrap().answers, 5);
        }
        let before = groups_of(&store);
        assert_eq!(before.len(), 10);
        // Killed between any two changes, with what is left of the old parts.
        let mut changes = 0;
        while compact(&Watched::failing_after(&store, changes), 9, |user, _| user == "u1").is_err() {
            let groups = groups_of(&store);
            let left = before.iter().filter(|group| group.answer.user_id != "u1").count();
            assert!(groups == before || groups.len() == left, "{changes}");
            changes += 1;
        }
        assert!(changes > 5 && groups_of(&store).iter().all(|group| group.answer.user_id != "u1"));
        assert_eq!(parts(&store).unwrap().into_values().flatten().count(), 1);
    }
}

#[test]
fn a_part_that_the_store_does_not_take_is_counted() {
    for (store, _dir) in stores() {
        let metrics = Metrics::new().unwrap().feature_log;
        let publisher = super::publisher::Publisher::start(metrics.clone()).unwrap();
        // Three drafts, two files, and then nothing: the answers never come.
        for (store, name) in [(&Watched::failing_after(&store, 5), "a"), (&store, "b")] {
            let mut part = Part::create(store, crate::tables::Hour::of(0), name).unwrap();
            (0..3).for_each(|n| part.log(&answer(n, n, 7), &served()).unwrap());
            publisher.give(part.close().unwrap());
        }
        drop(publisher);
        assert_eq!((metrics.shed_store.get(), metrics.answers.get(), metrics.rows.get()), (3, 3, 21));
        assert_eq!(groups_of(&store).len(), 3, "of the other part");
    }
}
