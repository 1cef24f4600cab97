use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::domain::EventType;
use crate::features::testing::event;
use crate::metrics::Metrics;

pub(super) fn config(dir: &Path) -> EventsConfig {
    // Commits that nobody waits for the disk for: the tests end the process, not the power.
    EventsConfig { data_dir: dir.to_owned(), durability: Durability::Os, retain_mib: 16, ..EventsConfig::default() }
}

pub(super) fn metrics() -> EventMetrics {
    Metrics::new().unwrap().events
}

pub(super) fn batch(user: &str, ids: Range<usize>) -> Vec<Event> {
    ids.map(|id| event(&format!("{user}-{id}"), user, "s", EventType::Skip, Some("t1"), id as i64)).collect()
}

pub(super) fn open(dir: &Path, metrics: &EventMetrics) -> EmbeddedLog {
    EmbeddedLog::start(Opened::new(&config(dir), metrics).unwrap()).unwrap()
}

/// What a start reads, and how many entries it finds lost.
fn read(dir: &Path, from: u64) -> (Vec<(u64, Entry)>, u64) {
    let metrics = metrics();
    let mut opened = Opened::new(&config(dir), &metrics).unwrap();
    let mut entries = Vec::new();
    opened
        .replay(from, &mut |at, entry| {
            entries.push((at, entry));
            Ok(())
        })
        .unwrap();
    (entries, metrics.log_lost.get())
}

fn numbered(events: &[Event]) -> Vec<(u64, Entry)> {
    (0..).zip(events.iter().cloned().map(Entry::Event)).collect()
}

/// The files of a log as they are now: what a killed process leaves.
pub(super) fn killed(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()) {
        // The index of the file's log is memory that processes share; a new process makes it anew.
        if !file.to_string_lossy().ends_with("-shm") {
            fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
        }
    }
    copy
}

pub(super) fn file_ending(dir: &Path, end: &str) -> PathBuf {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    files.into_iter().find(|file| file.to_string_lossy().ends_with(end)).unwrap()
}

#[test]
fn what_was_appended_is_there_after_a_kill_and_after_a_stop() {
    let (dir, metrics) = (tempfile::tempdir().unwrap(), metrics());
    let log = open(dir.path(), &metrics);
    let all = batch("u", 0..30);
    assert_eq!(log.append(&all[..10]).unwrap(), 0..10);
    assert_eq!(log.append(&all[10..11]).unwrap(), 10..11);
    assert_eq!(log.append(&all[11..]).unwrap(), 11..30);
    assert_eq!(read(killed(dir.path()).path(), 0), (numbered(&all), 0));
    drop(log);
    assert_eq!(read(dir.path(), 12), (numbered(&all)[12..].to_vec(), 0));
    assert_eq!(open(dir.path(), &metrics).append(&all[..1]).unwrap(), 30..31);
    assert_eq!((metrics.log_entries.get(), metrics.log_lost.get()), (31, 0));
}

#[test]
fn one_server_writes_a_directory() {
    let (dir, metrics) = (tempfile::tempdir().unwrap(), metrics());
    let _first = open(dir.path(), &metrics);
    let refused = Opened::new(&config(dir.path()), &metrics).err().unwrap();
    assert!(refused.to_string().contains("another segue writes here"), "{refused}");
}

#[test]
fn callers_share_commits_and_keep_their_order() {
    let (dir, metrics) = (tempfile::tempdir().unwrap(), metrics());
    let durable = EventsConfig { durability: Durability::Fsync, ..config(dir.path()) };
    let log = Arc::new(EmbeddedLog::start(Opened::new(&durable, &metrics).unwrap()).unwrap());
    let (callers, batches) = (16, 12);
    let threads: Vec<_> = (0..callers)
        .map(|caller| {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                let user = format!("u{caller}");
                let mut all = (0..batches).map(|at| log.append(&batch(&user, at * 3..at * 3 + 3)).unwrap());
                assert!(all.all(|offsets| offsets.end - offsets.start == 3));
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(metrics.log_commits.get() < (callers * batches) as u64, "{} commits", metrics.log_commits.get());
    drop(log);
    let (entries, lost) = read(dir.path(), 0);
    assert_eq!((entries.len(), lost), (callers * batches * 3, 0));
    let event_of = |entry: &Entry| if let Entry::Event(event) = entry { event.clone() } else { panic!("{entry:?}") };
    for three in entries.chunks(3) {
        assert!(three.iter().all(|(_, e)| event_of(e).user_id == event_of(&three[0].1).user_id), "a torn batch");
    }
    for caller in 0..callers {
        let user = format!("u{caller}");
        let theirs: Vec<_> = entries.iter().map(|(_, e)| event_of(e)).filter(|e| e.user_id.as_str() == user).collect();
        assert_eq!(theirs, batch(&user, 0..batches * 3));
    }
}

#[test]
fn a_full_disk_refuses_the_batch_and_nothing_of_it_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("full.db");
    let mut segment = Segment::writable(&path, 0, Durability::Os, 0).unwrap();
    let all: Vec<_> = batch("u", 0..4_000).into_iter().map(Entry::Event).collect();
    assert_eq!(segment.append(all[..10].iter()).unwrap(), 10);
    segment.limit_pages(8);
    let refused = segment.append(all[10..].iter()).unwrap_err();
    assert!(matches!(&refused, SegmentError::Failed(why) if why.contains("full")), "{refused:?}");
    assert_eq!((segment.next(), segment.append(all[10..12].iter()).unwrap()), (10, 12), "a small one still fits");
    segment.limit_pages(1 << 20);
    assert_eq!(segment.append(all[12..].iter()).unwrap(), 4_000);
    let mut read = Vec::new();
    let walk = segment
        .walk(0, &mut |_, entry| {
            read.push(entry);
            Ok(())
        })
        .unwrap();
    assert_eq!((walk, read), (segment::Walk { next: 4_000, damage: None }, all));
}

#[test]
fn an_erased_listener_is_in_no_file_and_comes_not_back() {
    let (dir, metrics) = (tempfile::tempdir().unwrap(), metrics());
    let log = open(dir.path(), &metrics);
    // Enough for a second segment: old and new ones must forget.
    let filler = batch(&"v".repeat(60), 0..12_000);
    log.append(&batch("secret", 0..3)).unwrap();
    log.append(&filler).unwrap();
    let theirs = log.append(&batch("secret", 3..6)).unwrap();
    assert!(files::segments(dir.path()).unwrap().len() > 1);
    fs::write(dir.path().join("7.0.db.damaged"), "secret-1").unwrap();
    let at = log.forget(&UserId::new("secret").unwrap()).unwrap();
    assert_eq!(at, theirs.end..theirs.end + 1);
    log.append(&batch("secret", 6..7)).unwrap();
    drop(log);
    for file in fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()) {
        let bytes = fs::read(&file).unwrap();
        let found = (0..6).any(|id| bytes.windows(8).any(|part| part == format!("secret-{id}").as_bytes()));
        assert!(!found, "{}", file.display());
    }
    let (entries, lost) = read(dir.path(), 0);
    assert_eq!((entries.len(), lost), (12_008, 0));
    assert!(entries[..3].iter().chain(&entries[12_003..12_006]).all(|(_, entry)| *entry == Entry::Erased));
    assert_eq!(entries[12_006].1, Entry::Erase(UserId::new("secret").unwrap()));
    assert!(matches!(&entries[12_007].1, Entry::Event(event) if event.event_id.as_str() == "secret-6"));
}

#[test]
fn old_segments_go_when_the_log_is_too_large_and_the_state_covers_them() {
    let (dir, metrics) = (tempfile::tempdir().unwrap(), metrics());
    let log = open(dir.path(), &metrics);
    log.cover(0);
    let user = "u".repeat(100);
    let append = |rounds: usize| (0..rounds).for_each(|_| _ = log.append(&batch(&user, 0..5_000)).unwrap());
    append(24);
    let first = || files::segments(dir.path()).unwrap()[0].first;
    assert_eq!(first(), 0, "nothing is covered");
    log.cover(30_000);
    // The second one waits for what follows on the first.
    append(2);
    assert!((1..=30_000).contains(&first()), "{}", first());
    log.cover(u64::MAX);
    append(1);
    drop(log);
    let kept: u64 = files::segments(dir.path()).unwrap().iter().map(|file| file.bytes).sum();
    assert!(kept <= (16 << 20) + 2 * (2 << 20), "{kept}");
    let (entries, lost) = read(dir.path(), 0);
    assert_eq!((entries[0].0, lost), (files::segments(dir.path()).unwrap()[0].first, 0), "what retired is not lost");
    assert_eq!(entries.last().unwrap().0, 134_999);
}

#[test]
fn what_is_not_exported_goes_by_size_alone_and_is_counted() {
    let (dir, metrics) = (tempfile::tempdir().unwrap(), metrics());
    let config = EventsConfig {
        export: crate::config::ExportConfig { dir: Some("nowhere".into()), ..Default::default() },
        ..config(dir.path())
    };
    let mut opened = Opened::new(&config, &metrics).unwrap();
    // Every commit fills a segment, and a segment is old at once.
    (opened.limits.segment_bytes, opened.limits.retain_ms) = (1, -1_000);
    let log = EmbeddedLog::start(opened).unwrap();
    log.cover(u64::MAX);
    let append = |rounds: usize| (0..rounds).for_each(|_| _ = log.append(&batch("u", 0..10)).unwrap());
    let first = || files::segments(dir.path()).unwrap()[0].first;
    append(4);
    assert_eq!(first(), 0, "old, but not exported");
    log.exported(25);
    append(2);
    assert_eq!((first(), metrics.log_unexported.get()), (20, 0), "no more than is exported");
    drop(log);
    let mut opened = Opened::new(&config, &metrics).unwrap();
    (opened.limits.segment_bytes, opened.limits.retain_bytes) = (1, 1);
    let log = EmbeddedLog::start(opened).unwrap();
    log.cover(50);
    log.exported(25);
    log.append(&batch("u", 0..10)).unwrap();
    log.append(&batch("u", 0..10)).unwrap();
    assert_eq!((first(), metrics.log_unexported.get()), (50, 25), "too large: what the state needs stays");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn steps_read_what_a_scan_reads(sizes in prop::collection::vec(1usize..9, 1..8), most in 1usize..12, cut in 0usize..8) {
        let dir = tempfile::tempdir().unwrap();
        let mut opened = Opened::new(&config(dir.path()), &metrics()).unwrap();
        opened.limits.segment_bytes = 1;
        let log = EmbeddedLog::start(opened).unwrap();
        for size in &sizes {
            log.append(&batch("u", 0..*size)).unwrap();
        }
        drop(log);
        let mut segments = files::segments(dir.path()).unwrap();
        segments.pop();
        if let Some(file) = segments.get(cut) {
            fs::write(&file.path, &fs::read(&file.path).unwrap()[..6_000]).unwrap();
        }
        let mut scanned = Vec::new();
        let damage = scan(dir.path(), 0, &mut |at, entry| {
            scanned.push((at, entry));
            Ok(())
        }).unwrap();
        let (mut read, mut found, mut from) = (Vec::new(), Vec::new(), 0);
        loop {
            let step = read_step(dir.path(), from, most).unwrap();
            prop_assert!(step.entries.len() <= most);
            read.extend(step.entries);
            found.extend(step.damage);
            if step.next == from {
                break;
            }
            from = step.next;
        }
        prop_assert_eq!((read, found.len(), from), (scanned, damage.len(), sizes.iter().sum::<usize>() as u64));
    }
}

#[test]
fn a_missing_end_is_counted_to_the_entry() {
    let (dir, metrics) = (tempfile::tempdir().unwrap(), metrics());
    let log = open(dir.path(), &metrics);
    log.append(&batch("u", 0..5)).unwrap();
    drop(log);
    let log = open(dir.path(), &metrics);
    log.append(&batch("u", 5..12)).unwrap();
    let copy = killed(dir.path());
    fs::remove_file(file_ending(copy.path(), "-wal")).unwrap();
    assert_eq!(read(copy.path(), 0), (numbered(&batch("u", 0..5)), 7));
    assert_eq!(read(copy.path(), 0), (numbered(&batch("u", 0..5)), 0), "it is told once");
    assert_eq!(open(copy.path(), &metrics).append(&batch("u", 20..21)).unwrap(), 12..13, "no offset is given twice");
    assert_eq!(read(copy.path(), 5).0.len(), 1);
}

#[test]
fn a_last_entry_that_moved_does_not_move_the_end() {
    let (dir, metrics) = (tempfile::tempdir().unwrap(), metrics());
    let log = open(dir.path(), &metrics);
    log.append(&batch("u", 0..134)).unwrap();
    drop(log);
    let file = rusqlite::Connection::open(file_ending(dir.path(), ".db")).unwrap();
    assert_eq!(file.execute("UPDATE events SET at = 389 WHERE at = 133", []).unwrap(), 1);
    drop(file);
    assert_eq!(read(dir.path(), 0), (numbered(&batch("u", 0..133)), 1));
    assert_eq!(open(dir.path(), &metrics).append(&batch("u", 0..1)).unwrap(), 134..135);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Bytes change anywhere in any file of a killed log: it opens, every entry that is read is one that was written, what
    /// is missing is counted to the entry, and it goes on.
    #[test]
    fn damage_is_never_silent(
        batches in prop::collection::vec(1usize..60, 1..12),
        stop in any::<bool>(),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1u8..), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path(), &metrics());
        let mut written = Vec::new();
        for size in &batches {
            let next = batch("u", written.len()..written.len() + size);
            log.append(&next).unwrap();
            written.extend(next);
        }
        let copy = if stop { drop(log); killed(dir.path()) } else { killed(dir.path()) };
        let mut files: Vec<_> = fs::read_dir(copy.path()).unwrap().map(|file| file.unwrap().path()).collect();
        files.retain(|file| !file.ends_with("mark") && !file.ends_with("lock"));
        files.sort();
        for (file, place, flip) in &hits {
            let file = file.get(&files);
            let mut bytes = fs::read(file).unwrap();
            if !bytes.is_empty() {
                *place.get_mut(&mut bytes) ^= flip;
                fs::write(file, bytes).unwrap();
            }
        }
        if let Some(cut) = cut {
            let file = files.last().unwrap();
            let length = fs::metadata(file).unwrap().len() as usize;
            fs::OpenOptions::new().write(true).open(file).unwrap().set_len(cut.index(length + 1) as u64).unwrap();
        }
        let (entries, lost) = read(copy.path(), 0);
        let all = numbered(&written);
        prop_assert!(entries.iter().all(|(at, entry)| all[*at as usize].1 == *entry));
        prop_assert!(entries.is_sorted_by(|a, b| a.0 < b.0));
        prop_assert_eq!(entries.len() as u64 + lost, all.len() as u64);
        prop_assert_eq!(open(copy.path(), &metrics()).append(&batch("u", 0..1)).unwrap().start, all.len() as u64);
        let (again, lost) = read(copy.path(), 0);
        prop_assert_eq!((again.len(), lost), (entries.len() + 1, 0));
    }
}

#[test]
fn looking_changes_nothing_and_tells_damage() {
    let (dir, metrics) = (tempfile::tempdir().unwrap(), metrics());
    assert!(look(dir.path()).unwrap_err().to_string().contains("no event log"));
    let log = open(dir.path(), &metrics);
    log.append(&batch("u", 0..5)).unwrap();
    log.forget(&UserId::new("u").unwrap()).unwrap();
    let seen = look(dir.path()).unwrap();
    assert_eq!((seen.first, seen.next, seen.segments), (0, 6, 1), "while a server writes");
    drop(log);
    let file = file_ending(dir.path(), ".db");
    let (bytes, mut at) = (fs::read(&file).unwrap(), 0);
    let mut count = |_, _| {
        at += 1;
        Ok(())
    };
    assert_eq!(scan(dir.path(), 4, &mut count).unwrap(), Vec::<String>::new());
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let damage = scan(dir.path(), 0, &mut count).unwrap();
    assert_eq!((at, damage.len(), fs::metadata(&file).unwrap().len() as usize), (2, 1, bytes.len() / 2));
}
