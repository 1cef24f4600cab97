//! Exports and compactions that are killed between any two changes of the disk, against the log itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::files::{self, ERASURES, finished, in_force};
use super::*;
use crate::config::{Durability, EventsConfig};
use crate::domain::{Event, EventType, UserId};
use crate::events::{EmbeddedLog, Entry, EventLog, Opened, scan};
use crate::features::testing::event;
use crate::metrics::Metrics;
use crate::store::testing::{Watched, stores};
use crate::store::{self, Store};
use crate::tables::read_archived;

const HOUR_MS: i64 = 3_600_000;

/// What is done to a log: an event of a listener in an hour, or an erasure.
#[derive(Debug, Clone, Copy)]
enum Done {
    Event { user: u8, hour: u8 },
    Erase { user: u8 },
}

fn done() -> impl Strategy<Value = Done> {
    prop_oneof![
        8 => (0u8..4, 0u8..3).prop_map(|(user, hour)| Done::Event { user, hour }),
        1 => (0u8..4).prop_map(|user| Done::Erase { user }),
    ]
}

fn user(number: u8) -> UserId {
    UserId::new(format!("u{number}")).unwrap()
}

/// A log of these things in `dir`, which is complete when this returns.
fn write_log(dir: &Path, all: &[Done], begin: usize) {
    let config = EventsConfig { data_dir: dir.to_owned(), durability: Durability::Os, ..EventsConfig::default() };
    let log = Opened::new(&config, &Metrics::new().unwrap().events).unwrap();
    let log = EmbeddedLog::start(log).unwrap();
    for (at, done) in all.iter().enumerate().skip(begin) {
        match done {
            Done::Event { user, hour } => {
                let ts_ms = i64::from(*hour) * HOUR_MS + 1_000 - at as i64;
                let event =
                    event(&format!("e{at}"), &format!("u{user}"), "s", EventType::Skip, Some("t1"), ts_ms.max(0));
                log.append(&[event]).unwrap();
            }
            Done::Erase { user: number } => {
                log.forget(&user(*number)).unwrap();
            }
        }
    }
}

/// Everything that a log holds.
fn logged(dir: &Path) -> (BTreeMap<u64, Event>, BTreeMap<u64, UserId>) {
    let (mut events, mut erasures) = (BTreeMap::new(), BTreeMap::new());
    scan(dir, 0, &mut |at, entry| {
        match entry {
            Entry::Event(event) => _ = events.insert(at, event),
            Entry::Erase(user) => _ = erasures.insert(at, user),
            Entry::Erased => {}
        }
        Ok(())
    })
    .unwrap();
    (events, erasures)
}

fn opened(dir: &Path) -> Arc<dyn Store> {
    store::open(dir).unwrap()
}

fn export_all(log: &Path, archive: &Arc<dyn Store>, step: usize) -> Result<Exported, ArchiveError> {
    export(log, archive, step, 5, &mut |_| true)
}

/// How many files each hour has.
fn counts(archive: &Arc<dyn Store>) -> Vec<usize> {
    files::events(archive, finished(archive).unwrap()).unwrap().0.values().map(Vec::len).collect()
}

/// Everything that an archive holds, by offset; a row that comes twice fails, and so does one in another's hour.
fn archived(archive: &Arc<dyn Store>) -> BTreeMap<u64, Event> {
    let mut found = BTreeMap::new();
    for (hour, objects) in files::events(archive, finished(archive).unwrap()).unwrap().0 {
        for file in in_force(objects).0 {
            for row in read_archived(&file.object).unwrap() {
                let row = row.unwrap();
                assert_eq!(crate::tables::Hour::of(row.event.ts_ms), hour);
                assert!(file.offsets.contains(&row.offset));
                assert_eq!(found.insert(row.offset, row.event), None, "{} twice", row.offset);
            }
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &target) } else { _ = fs::copy(entry.path(), target).unwrap() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// A kill leaves the disk as it stood before some change; here every such moment is tried.
    #[test]
    fn exports_killed_anywhere_lose_and_repeat_nothing(
        all in prop::collection::vec(done(), 1..30), step in 1usize..12, later in 1usize..12, cut in 0usize..30,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (log, archive) = (dir.path().join("log"), dir.path().join("archive"));
        fs::create_dir(&archive).unwrap();
        let first = cut.min(all.len());
        if first > 0 {
            write_log(&log, &all[..first], 0);
            export_all(&log, &opened(&archive), step).unwrap();
        }
        let exported = archived(&opened(&archive));
        write_log(&log, &all, first);
        let (expected, _) = logged(&log);
        // What was exported before its listener was erased is in the archive and no more in the log.
        let expected: BTreeMap<u64, Event> = exported.into_iter().chain(expected).collect();
        let straight = dir.path().join("straight");
        copy(&archive, &straight);
        let snapshots: Arc<Mutex<Vec<PathBuf>>> = Arc::default();
        let (kept, root, from) = (Arc::clone(&snapshots), dir.path().to_owned(), straight.clone());
        let straight = opened(&straight);
        let watched = Watched::over(&straight, move || {
            let mut kept = kept.lock().unwrap();
            let kill = root.join(format!("kill-{}", kept.len()));
            copy(&from, &kill);
            kept.push(kill);
            Ok(())
        });
        export_all(&log, &watched, step).unwrap();
        prop_assert_eq!(&archived(&straight), &expected);
        for killed in snapshots.lock().unwrap().iter() {
            let killed = opened(killed);
            let done = export_all(&log, &killed, later).unwrap();
            prop_assert_eq!(&archived(&killed), &expected);
            prop_assert_eq!((done.next, done.missing), (all.len() as u64, 0));
            prop_assert_eq!(read_erasures(&killed).unwrap(), read_erasures(&straight).unwrap());
            let again = export_all(&log, &killed, later).unwrap();
            prop_assert_eq!((again.from, again.next, again.events), (done.next, done.next, 0));
        }
    }

    /// What a server does for days: it exports while events come, the store fails at any change, and somebody compacts.
    #[test]
    fn a_store_that_fails_anywhere_loses_and_repeats_nothing(
        all in prop::collection::vec(done(), 1..30),
        turns in prop::collection::vec((0usize..8, any::<bool>(), prop_oneof![0usize..12, Just(usize::MAX)]), 0..8),
        step in 1usize..12,
    ) {
        for (archive, dir) in stores() {
            let (log, mut written) = (dir.path().join("log"), 1);
            write_log(&log, &all[..1], 0);
            for (more, compacts, changes) in &turns {
                let until = (written + more).min(all.len());
                write_log(&log, &all[..until], written);
                written = until;
                let failing = Watched::failing_after(&archive, *changes);
                let done = if *compacts { compact(&failing).err() } else { export_all(&log, &failing, step).err() };
                prop_assert!(*changes < usize::MAX || done.is_none(), "{:?}", done);
                archived(&archive);
            }
            write_log(&log, &all, written);
            let done = export_all(&log, &archive, step).unwrap();
            prop_assert_eq!((done.next, done.missing), (all.len() as u64, 0));
            compact(&archive).unwrap();
            prop_assert_eq!(archived(&archive), logged(&log).0);
        }
    }

    /// A compaction that runs to its end before any change that an export makes.
    #[test]
    fn a_compaction_beside_an_export_changes_nothing(all in prop::collection::vec(done(), 2..24), step in 1usize..6) {
        for (archive, dir) in stores() {
            let log = dir.path().join("log");
            write_log(&log, &all[..all.len() / 2], 0);
            export_all(&log, &archive, step).unwrap();
            write_log(&log, &all, all.len() / 2);
            let inner = Arc::clone(&archive);
            let beside = Watched::over(&archive, move || {
                compact(&inner).unwrap();
                Ok(())
            });
            export_all(&log, &beside, step).unwrap();
            compact(&archive).unwrap();
            prop_assert_eq!(archived(&archive), logged(&log).0);
        }
    }

    #[test]
    fn compaction_drops_the_erased_and_nothing_else(all in prop::collection::vec(done(), 1..40), step in 1usize..6) {
        let dir = tempfile::tempdir().unwrap();
        let (log, place) = (dir.path().join("log"), dir.path().join("archive"));
        let archive = opened(&place);
        // The log is exported as it grows, so that the archive holds what was erased later.
        for begin in (0..all.len()).step_by(step) {
            write_log(&log, &all[..all.len().min(begin + step)], begin);
            export_all(&log, &archive, step).unwrap();
        }
        let before = archived(&archive);
        let (_, erasures) = logged(&log);
        let is_erased = |at: &u64, event: &Event| erasures.iter().any(|(erased, user)| at < erased && *user == event.user_id);
        let expected: BTreeMap<u64, Event> =
            before.iter().filter(|(at, event)| !is_erased(at, event)).map(|(at, event)| (*at, event.clone())).collect();
        let killed = dir.path().join("killed");
        copy(&place, &killed);
        let done = compact(&archive).unwrap();
        prop_assert_eq!(&archived(&archive), &expected);
        prop_assert_eq!(done.dropped as usize, before.len() - expected.len());
        prop_assert!(counts(&archive).iter().all(|files| *files == 1));
        let times: Vec<i64> = read_hours(&archive).unwrap().flat_map(|hour| hour.unwrap().events).map(|e| e.ts_ms).collect();
        prop_assert!(times.is_sorted());
        let again = compact(&archive).unwrap();
        prop_assert_eq!((again.rewritten, again.removed, again.dropped), (0, 0, 0));
        prop_assert_eq!(export_all(&log, &archive, step).unwrap().events, 0, "the archive still knows where it ends");
        // Killed after the new files were there and before the old ones went.
        copy(&place, &killed);
        let left = opened(&killed);
        prop_assert_eq!(&archived(&left), &expected);
        compact(&left).unwrap();
        prop_assert_eq!(counts(&left), counts(&archive));
        prop_assert_eq!(fs::read_dir(killed.join(ERASURES)).unwrap().count(), 1);
    }
}

#[test]
fn another_log_and_a_second_writer_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (log, other) = (dir.path().join("log"), dir.path().join("other"));
    let archive = opened(&dir.path().join("archive"));
    let events = [Done::Event { user: 1, hour: 1 }; 3];
    write_log(&log, &events, 0);
    write_log(&other, &events[..2], 0);
    export_all(&log, &archive, 100).unwrap();
    let refused = export_all(&other, &archive, 100).unwrap_err().to_string();
    assert!(refused.contains("another log") && refused.contains("its own archive"), "{refused}");
    write_log(&other, &[events, events].concat(), 2);
    assert!(export_all(&other, &archive, 100).is_err(), "however long it is");
    let held = super::owner::Turn::take(&log).unwrap();
    assert!(export_all(&log, &archive, 100).unwrap_err().to_string().contains("another segue"));
    drop(held);
    assert_eq!(export_all(&log, &archive, 100).unwrap().from, 3);
    for file in fs::read_dir(&log).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|end| end == "db" || end == "db-wal") || file.ends_with("mark") {
            fs::remove_file(file).unwrap();
        }
    }
    write_log(&log, &events[..1], 0);
    let refused = export_all(&log, &archive, 100).unwrap_err().to_string();
    assert!(refused.contains("ends at 1") && refused.contains("its own archive"), "{refused}");
    assert!(export_all(&dir.path().join("nowhere"), &archive, 100).is_err());
}

#[test]
fn what_the_log_lost_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (log, archive) = (dir.path().join("log"), opened(&dir.path().join("archive")));
    write_log(&log, &[Done::Event { user: 1, hour: 1 }; 3], 0);
    fs::remove_file(
        fs::read_dir(&log)
            .unwrap()
            .map(|f| f.unwrap().path())
            .find(|f| f.extension().is_some_and(|e| e == "db"))
            .unwrap(),
    )
    .unwrap();
    write_log(&log, &[Done::Event { user: 1, hour: 1 }; 5], 3);
    let mut told = Vec::new();
    let done = export(&log, &archive, 100, 5, &mut |done| {
        told.push(done.clone());
        true
    });
    let done = done.unwrap();
    assert_eq!((done.events, done.missing, done.next, done.files), (2, 3, 5, 2));
    assert_eq!(told, [done]);
}
