//! Exports and compactions that are killed between any two changes of the disk, against the log itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::export::export_by;
use super::files::{ERASURES, EVENTS, in_force};
use super::*;
use crate::config::{Durability, EventsConfig};
use crate::domain::{Event, EventType, UserId};
use crate::events::{EmbeddedLog, Entry, EventLog, Opened, scan};
use crate::features::testing::event;
use crate::metrics::Metrics;
use crate::tables::{read_archived, tables_by_hour};

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

/// Everything that an archive holds, by offset; a row that comes twice fails, and so does one in another's hour.
fn archived(dir: &Path) -> BTreeMap<u64, Event> {
    let mut found = BTreeMap::new();
    for (hour, paths) in tables_by_hour(&dir.join(EVENTS)).unwrap() {
        for file in in_force(&paths).0 {
            for row in read_archived(&file.path).unwrap() {
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
        let first = cut.min(all.len());
        if first > 0 {
            write_log(&log, &all[..first], 0);
            export(&log, &archive, step, 5).unwrap();
        }
        let exported = archived(&archive);
        write_log(&log, &all, first);
        let (expected, _) = logged(&log);
        // What was exported before its listener was erased is in the archive and no more in the log.
        let expected: BTreeMap<u64, Event> = exported.into_iter().chain(expected).collect();
        let mut snapshots: Vec<PathBuf> = Vec::new();
        let straight = dir.path().join("straight");
        if archive.exists() { copy(&archive, &straight) }
        export_by(&log, &straight, step, 5, &mut |archive| {
            let to = dir.path().join(format!("kill-{}", snapshots.len()));
            copy(archive, &to);
            snapshots.push(to);
        }).unwrap();
        prop_assert_eq!(&archived(&straight), &expected);
        for killed in &snapshots {
            let done = export(&log, killed, later, 5).unwrap();
            prop_assert_eq!(&archived(killed), &expected);
            prop_assert_eq!((done.next, done.missing), (all.len() as u64, 0));
            prop_assert_eq!(read_erasures(killed).unwrap(), read_erasures(&straight).unwrap());
            let again = export(&log, killed, later, 5).unwrap();
            prop_assert_eq!((again.from, again.next, again.events), (done.next, done.next, 0));
        }
    }

    #[test]
    fn compaction_drops_the_erased_and_nothing_else(all in prop::collection::vec(done(), 1..40), step in 1usize..6) {
        let dir = tempfile::tempdir().unwrap();
        let (log, archive) = (dir.path().join("log"), dir.path().join("archive"));
        // The log is exported as it grows, so that the archive holds what was erased later.
        for begin in (0..all.len()).step_by(step) {
            write_log(&log, &all[..all.len().min(begin + step)], begin);
            export(&log, &archive, step, 5).unwrap();
        }
        let before = archived(&archive);
        let (_, erasures) = logged(&log);
        let is_erased = |at: &u64, event: &Event| erasures.iter().any(|(erased, user)| at < erased && *user == event.user_id);
        let expected: BTreeMap<u64, Event> =
            before.iter().filter(|(at, event)| !is_erased(at, event)).map(|(at, event)| (*at, event.clone())).collect();
        let killed = dir.path().join("killed");
        copy(&archive, &killed);
        let done = compact(&archive).unwrap();
        prop_assert_eq!(&archived(&archive), &expected);
        prop_assert_eq!(done.dropped as usize, before.len() - expected.len());
        let hours = tables_by_hour(&archive.join(EVENTS)).unwrap();
        prop_assert!(hours.values().all(|files| files.len() == 1));
        let times: Vec<i64> = read_hours(&archive).unwrap().flat_map(|hour| hour.unwrap().events).map(|e| e.ts_ms).collect();
        prop_assert!(times.is_sorted());
        let again = compact(&archive).unwrap();
        prop_assert_eq!((again.rewritten, again.removed, again.dropped), (0, 0, 0));
        prop_assert_eq!(export(&log, &archive, step, 5).unwrap().events, 0, "the archive still knows where it ends");
        // Killed after the new files were there and before the old ones went.
        copy(&archive, &killed);
        prop_assert_eq!(&archived(&killed), &expected);
        compact(&killed).unwrap();
        prop_assert_eq!(tables_by_hour(&killed.join(EVENTS)).unwrap().values().flatten().count(), hours.len());
        prop_assert_eq!(fs::read_dir(killed.join(ERASURES)).unwrap().count(), 1);
    }
}

#[test]
fn another_log_and_a_second_writer_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (log, other, archive) = (dir.path().join("log"), dir.path().join("other"), dir.path().join("archive"));
    let events = [Done::Event { user: 1, hour: 1 }; 3];
    write_log(&log, &events, 0);
    write_log(&other, &events[..1], 0);
    export(&log, &archive, 100, 5).unwrap();
    let refused = export(&other, &archive, 100, 5).unwrap_err().to_string();
    assert!(refused.contains("ends at 1") && refused.contains("its own archive"), "{refused}");
    let held = super::files::take(&archive).unwrap();
    assert!(export(&log, &archive, 100, 5).unwrap_err().to_string().contains("another segue"));
    drop(held);
    assert!(export(&dir.path().join("nowhere"), &archive, 100, 5).is_err());
}

#[test]
fn what_the_log_lost_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (log, archive) = (dir.path().join("log"), dir.path().join("archive"));
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
    let done = export(&log, &archive, 100, 5).unwrap();
    assert_eq!((done.events, done.missing, done.next), (2, 3, 5));
}
