//! What a start makes of what a stop or a kill left.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::config::{Config, Durability, EventStore, EventsConfig, SignalConfig, StateConfig};
use crate::domain::{Event, EventType, RecommendationId, SessionId, TrackIx};
use crate::events::{Beside, EventOutcome, Ingest, LiveState, MemoryLog, Notes, RawEvent};
use crate::features::testing::{catalogue, event, random_events, vectors};
use crate::metrics::Metrics;

const NOW_MS: i64 = 1_700_000_000_000;

fn fresh() -> Arc<StateStore> {
    Arc::new(StateStore::new(&StateConfig::default(), &SignalConfig::default()))
}

fn raw(event: &Event) -> RawEvent {
    RawEvent::from(event)
}

fn config(dir: &Path) -> Config {
    let events = EventsConfig {
        data_dir: dir.to_owned(),
        durability: Durability::Os,
        max_age_days: 3_650,
        ..EventsConfig::default()
    };
    Config { events, ..Config::default() }
}

fn notes(config: &EventsConfig) -> Arc<Notes> {
    Arc::new(Notes::open(config, Metrics::new().unwrap().events).unwrap())
}

fn in_memory() -> EventsConfig {
    EventsConfig { store: EventStore::Memory, ..config(Path::new("")).events }
}

/// A server's events over a log on disk, as a start finds them.
fn start(dir: &Path) -> (Ingest, Arc<StateStore>, Replayed) {
    start_with(dir, 1 << 30)
}

/// The same with so many bytes of memory for sessions, and as many for profiles.
fn start_with(dir: &Path, memory: usize) -> (Ingest, Arc<StateStore>, Replayed) {
    let state = StateStore::sized(memory, memory, &StateConfig::default(), &SignalConfig::default());
    let (catalogue, state, config) = (catalogue(), Arc::new(state), config(dir));
    let vectors = vectors(catalogue.len());
    let ground = Ground { catalogue: &catalogue, vectors: &vectors, bundle: "b" };
    let notes = notes(&config.events);
    let (log, done) = recover(&config, ground, &state, &notes).unwrap();
    let shared = (Arc::new(catalogue), Arc::new(vectors));
    (Ingest::new(Arc::clone(&state), Arc::new(log), shared.0, shared.1, config.events, notes), state, done)
}

/// A state that knows nothing yet, on a disk of its own beside that of the live one.
fn begun_beside(server: &Ingest, live: &StateStore, memory: usize) -> Arc<Beside> {
    let state = Arc::new(StateStore::sized(memory, memory, &StateConfig::default(), &SignalConfig::default()));
    state.attach_beside(live, "b").unwrap();
    let catalogue = Arc::new(catalogue());
    let vectors = Arc::new(vectors(catalogue.len()));
    server.beside(LiveState { state, catalogue, vectors }, 0)
}

/// Puts a state in the place of the live one; the two of them.
fn swapped(server: &Ingest, beside: &Beside) -> (Arc<StateStore>, Arc<Beside>) {
    server.catch_up(beside).unwrap();
    let live = beside.live();
    live.state.stay(true);
    let was = server.switch::<EventLogError>(live.clone(), Some(beside), || Ok(())).unwrap().unwrap();
    was.live().state.stay(false);
    was.write().unwrap();
    was.live().state.rest();
    (live.state, was)
}

/// What a killed server leaves.
fn killed(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()) {
        if !file.to_string_lossy().ends_with("-shm") {
            fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
        }
    }
    copy
}

#[derive(Debug, Clone)]
enum Step {
    Batch(Vec<Event>),
    Again,
    Erase(u8),
    Snapshot,
    Kill,
    Swap,
}

/// Random histories of three listeners in sessions that they share, in batches, with what may happen in between.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = (random_events(9), 0u8..20, 0u8..3, 0u8..2).prop_map(|(mut events, what, user, session)| {
        for event in &mut events {
            event.user_id = UserId::new(format!("u{user}")).unwrap();
            event.session_id = SessionId::new(format!("s{}", session * user)).unwrap();
        }
        match what {
            0 | 1 => Step::Erase(user),
            2 | 3 => Step::Again,
            4..8 => Step::Snapshot,
            8..11 => Step::Kill,
            11..13 => Step::Swap,
            _ => Step::Batch(events),
        }
    });
    prop::collection::vec(one, 1..24).prop_map(|mut steps| {
        let mut number = 0;
        for step in &mut steps {
            let Step::Batch(events) = step else { continue };
            for event in events {
                event.event_id = crate::domain::EventId::new(format!("e{number}")).unwrap();
                event.recommendation_id = Some(RecommendationId::new(format!("r{number}")).unwrap());
                number += 1;
            }
        }
        steps
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// A server that is killed at any moments, writes its state at others, swaps it for one that was built beside it or was
    /// served before, and has memory for nothing, for a few or for all, ends as one that never stops and forgets nothing: the
    /// same answers to the same batches, and the same state bit for bit.
    #[test]
    fn disk_and_replay_equal_a_straight_run(
        steps in steps(), memory in prop::sample::select(vec![0usize, 4_000, 20_000, 1 << 30])
    ) {
        let (catalogue, straight_state) = (Arc::new(catalogue()), fresh());
        let (log, vectors) = (Arc::new(MemoryLog::new(9)), Arc::new(vectors(12)));
        let notes = notes(&in_memory());
        let straight = Ingest::new(Arc::clone(&straight_state), log, catalogue, vectors, in_memory(), notes);
        let mut dir = tempfile::tempdir().unwrap();
        let (mut server, mut state, _) = start_with(dir.path(), memory);
        let (mut last, mut kept, mut has_erased, mut counts_all) = (Vec::new(), None, false, true);
        for step in steps {
            match step {
                Step::Snapshot => _ = server.snapshot().unwrap(),
                Step::Kill => {
                    let copy = killed(dir.path());
                    kept = None;
                    drop(server);
                    dir = copy;
                    (server, state, _) = start_with(dir.path(), memory);
                }
                Step::Erase(user) => {
                    let user = UserId::new(format!("u{user}")).unwrap();
                    prop_assert_eq!(server.forget(&user).unwrap(), straight.forget(&user).unwrap());
                    has_erased = true;
                    // Erased events leave no id in the log: the window of a later start does not know them.
                    last.retain(|raw: &RawEvent| raw.user_id != user);
                }
                Step::Batch(events) => last = events.iter().map(raw).collect(),
                Step::Again => {}
                Step::Swap => {
                    let beside = kept.take().unwrap_or_else(|| begun_beside(&server, &state, memory));
                    let was;
                    (state, was) = swapped(&server, &beside);
                    kept = Some(was);
                    // The log holds the plays of erased listeners no more, so what is built from it does not count them.
                    counts_all &= !has_erased;
                }
            }
            let sent: Vec<RawEvent> = last.clone();
            prop_assert_eq!(server.ingest(sent.clone(), NOW_MS).unwrap(), straight.ingest(sent, NOW_MS).unwrap());
            state.session_count();
            prop_assert_eq!(state.bits(), straight_state.bits());
            if counts_all {
                prop_assert_eq!(state.completions().bits(), straight_state.completions().bits());
            }
        }
    }
}

#[test]
fn a_start_reads_little_after_a_snapshot_and_keeps_the_duplicate_window() {
    let dir = tempfile::tempdir().unwrap();
    let (server, state, _) = start(dir.path());
    let batch = |ids: std::ops::Range<i64>| -> Vec<RawEvent> {
        ids.map(|at| raw(&event(&format!("e{at}"), "u", "s", EventType::Skip, Some("t1"), NOW_MS + at))).collect()
    };
    server.ingest(batch(0..40), NOW_MS).unwrap();
    state.record_served(&SessionId::new("s").unwrap(), &UserId::new("u").unwrap(), &[TrackIx(3)], NOW_MS);
    assert_eq!((server.snapshot(), server.snapshot()), (Ok(40), Ok(40)));
    server.ingest(batch(40..42), NOW_MS).unwrap();
    let copy = killed(dir.path());
    let (again, restored, done) = start(copy.path());
    assert_eq!((done.from, done.applied, done.repeated, done.refused), (40, 2, 0, 0));
    assert_eq!(restored.bits(), state.bits(), "with what was served");
    assert_eq!(restored.completions().bits(), state.completions().bits());
    let outcomes = again.ingest(batch(39..43), NOW_MS).unwrap();
    let [duplicate, accepted] = [EventOutcome::Duplicate, EventOutcome::Accepted];
    assert_eq!(outcomes, [duplicate.clone(), duplicate.clone(), duplicate, accepted]);
}

#[test]
fn what_is_of_another_bundle_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let (server, state, _) = start(dir.path());
    server.ingest(vec![raw(&event("e", "u", "s", EventType::Skip, Some("t1"), NOW_MS))], NOW_MS).unwrap();
    server.snapshot().unwrap();
    let before = state.bits();
    drop((server, state));
    drop(crate::vault::Vault::open(dir.path(), "other").unwrap());
    let (_, state, done) = start(dir.path());
    assert_eq!((done.from, done.applied, state.bits()), (0, 1, before));
}

#[test]
fn a_state_that_is_no_file_of_ours_costs_a_replay_and_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (server, state, _) = start(dir.path());
    let batch = (0..9).map(|at| event(&format!("e{at}"), "u", "s", EventType::Skip, Some("t1"), NOW_MS + at));
    server.ingest(batch.map(|event| raw(&event)).collect::<Vec<_>>(), NOW_MS).unwrap();
    server.snapshot().unwrap();
    let before = state.bits();
    drop((server, state));
    fs::write(dir.path().join("state.sqlite"), [7; 40_000]).unwrap();
    let (_, state, done) = start(dir.path());
    assert_eq!((done.from, done.applied, state.figures().damaged, state.bits()), (0, 9, 1, before));
}

#[test]
fn what_is_written_beside_events_is_the_state_of_one_moment() {
    let (catalogue, vectors) = (Arc::new(catalogue()), Arc::new(vectors(12)));
    let all: Vec<RawEvent> = (0..3_000)
        .map(|at: i64| {
            let (user, session, track) =
                (format!("u{}", at % 7), format!("s{}-{}", at % 7, at / 900), format!("t{}", at % 12));
            let kind = [EventType::PlayStart, EventType::Skip, EventType::Like][at as usize % 3];
            raw(&event(&format!("e{at}"), &user, &session, kind, Some(&track), NOW_MS + at))
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let (busy, _, _) = start(dir.path());
    let copies = std::thread::scope(|scope| {
        let writer = scope.spawn(|| all.chunks(3).for_each(|batch| _ = busy.ingest(batch.to_vec(), NOW_MS).unwrap()));
        let mut copies = Vec::new();
        loop {
            let last = writer.is_finished();
            // Nobody else writes the state, so the copy is of the offset.
            let offset = busy.snapshot().unwrap();
            if last || copies.len() < 12 {
                copies.push((offset, killed(dir.path())));
            }
            if last {
                return copies;
            }
        }
    });
    assert_eq!(copies.last().unwrap().0, 3_000);
    let (state, mut done) = (fresh(), 0);
    let log = Arc::new(MemoryLog::new(9));
    let notes = notes(&in_memory());
    let straight = Ingest::new(Arc::clone(&state), log, catalogue, vectors, in_memory(), notes);
    for (offset, copy) in copies {
        for batch in all[done..offset as usize].chunks(3) {
            straight.ingest(batch.to_vec(), NOW_MS).unwrap();
        }
        done = offset as usize;
        let (vault, at) = crate::vault::Vault::open(copy.path(), "b").unwrap();
        let there = fresh();
        there.attach(vault);
        assert_eq!((at, there.bits()), (offset, state.bits()), "at {offset}");
        assert_eq!(there.completions().bits(), state.completions().bits(), "at {offset}");
    }
}

#[test]
fn an_erased_listener_is_on_no_disk_and_comes_not_back() {
    let dir = tempfile::tempdir().unwrap();
    let (server, state, _) = start_with(dir.path(), 0);
    let send = |user: &str, session: &str, id: &str| {
        let batch = vec![raw(&event(id, user, session, EventType::Skip, Some("t1"), NOW_MS))];
        assert_eq!(server.ingest(batch, NOW_MS).unwrap(), [EventOutcome::Accepted]);
    };
    send("secret", "hidden-1", "e1");
    send("secret", "hidden-2", "e2");
    send("other", "s", "e3");
    server.snapshot().unwrap();
    send("secret", "hidden-3", "e4");
    let user = UserId::new("secret").unwrap();
    assert_eq!(server.forget(&user).unwrap(), 3, "of disk and memory");
    for file in fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("state.sqlite") {
            let bytes = fs::read(&file).unwrap();
            assert!(!bytes.windows(6).any(|part| part == b"secret" || part == b"hidden"), "{name}");
        }
    }
    let copy = killed(dir.path());
    let (_, again, _) = start(copy.path());
    assert_eq!((again.bits(), state.bits().len()), (state.bits(), 2));
    assert_eq!(*again.profile(&user), Default::default());
}

#[test]
fn a_swap_that_cannot_be_committed_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (server, state, _) = start(dir.path());
    let send = |id: &str| raw(&event(id, "u", "s", EventType::Skip, Some("t1"), NOW_MS));
    server.ingest(vec![send("e1")], NOW_MS).unwrap();
    let beside = begun_beside(&server, &state, 1 << 20);
    let refused = server.switch(beside.live(), Some(&beside), || Err(EventLogError("no room for the note".into())));
    assert!(refused.is_err());
    server.ingest(vec![send("e2")], NOW_MS).unwrap();
    assert_eq!(state.profile(&UserId::new("u").unwrap()).skips, 2, "events change what they changed before");
    assert_eq!(beside.live().state.profile(&UserId::new("u").unwrap()).skips, 1);
    let files = || {
        fs::read_dir(dir.path()).unwrap().filter(|file| {
            let name = file.as_ref().unwrap().file_name().into_string().unwrap();
            name.starts_with("state") && name.ends_with(".sqlite")
        })
    };
    assert_eq!(files().count(), 2);
    drop(beside);
    assert_eq!(files().count(), 1, "what was built for nothing is gone");
}

#[test]
fn an_erased_listener_is_erased_from_a_state_beside_too() {
    let dir = tempfile::tempdir().unwrap();
    let (server, state, _) = start(dir.path());
    let user = UserId::new("u").unwrap();
    server.ingest(vec![raw(&event("e1", "u", "s", EventType::Skip, Some("t1"), NOW_MS))], NOW_MS).unwrap();
    let beside = begun_beside(&server, &state, 1 << 20);
    let (now, was) = swapped(&server, &beside);
    drop(state);
    assert_eq!((now.profile(&user).skips, was.live().state.profile(&user).skips), (1, 1));
    server.forget(&user).unwrap();
    assert_eq!((now.profile(&user).skips, was.live().state.profile(&user).skips), (0, 0));
    let (again, back) = swapped(&server, &was);
    assert_eq!((again.profile(&user).skips, back.live().state.profile(&user).skips), (0, 0));
}
