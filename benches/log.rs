//! What the event log takes and how fast a start is: durable appends beside the disk's own syncs, replay, and a start from
//! a disk with many sessions.
//!
//! `cargo bench --bench log -- [SECONDS] [SESSIONS] [DIR]`. Callers append batches of 100 events and wait for each; DIR
//! (default: the system's directory for temporary files) must lie on the disk that is asked about.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use cpu_time::ProcessTime;
use segue::config::{Config, Durability, SignalConfig, StateConfig};
use segue::domain::{Catalogue, Event, EventId, EventType, ItemVectors, SessionId, TrackId, UserId};
use segue::events::{EmbeddedLog, EventLog, Ground, Ingest, Notes, Opened, recover};
use segue::features::StateStore;
use segue::index_bench::hardware;
use segue::metrics::Metrics;
use segue::tables::read_tracks;

const BATCH: u64 = 100;
/// Argument of the process that only starts.
const START: &str = "start-anew";
const TRACKS: usize = 1_000;
const DIM: usize = 64;
/// Listeners of the events that are replayed.
const LISTENERS: u64 = 50_000;
/// Plays of a session before it is written.
const PLAYS: u64 = 10;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [role, dir] = &args[..]
        && role == START
    {
        return start_anew(Path::new(dir));
    }
    let seconds = args.first().and_then(|arg| arg.parse().ok()).unwrap_or(5);
    let sessions = args.get(1).and_then(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let dir =
        args.get(2).map_or_else(std::env::temp_dir, PathBuf::from).join(format!("segue-log-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    println!("{}", hardware());
    let done = appends(&dir, Duration::from_secs(seconds)).and_then(|()| starts(&dir, sessions));
    std::fs::remove_dir_all(&dir)?;
    done
}

fn appends(dir: &Path, time: Duration) -> Result<()> {
    println!("the disk itself: {:.0} syncs/s of 8 KiB appended to a file", disk(dir, time)?);
    println!("| durability | callers | events/s | commits/s | syncs/s of the disk, after |\n|---|---|---|---|---|");
    for (durability, callers) in [
        (Durability::Fsync, 1),
        (Durability::Fsync, 16),
        (Durability::Fsync, 64),
        (Durability::Os, 1),
        (Durability::Os, 16),
    ] {
        let place = dir.join(format!("{durability:?}-{callers}"));
        let (events, commits) = append(&place, durability, callers, time)?;
        println!("| {durability:?} | {callers} | {events:.0} | {commits:.0} | {:.0} |", disk(dir, time / 2)?);
    }
    Ok(())
}

/// Syncs a second that the disk does for whoever appends 8 KiB and waits.
fn disk(dir: &Path, time: Duration) -> Result<f64> {
    let (mut file, start, mut syncs) = (File::create(dir.join("disk"))?, Instant::now(), 0);
    while start.elapsed() < time {
        file.write_all(&[7; 8_192])?;
        file.sync_data()?;
        syncs += 1;
    }
    Ok(f64::from(syncs) / start.elapsed().as_secs_f64())
}

fn append(dir: &Path, durability: Durability, callers: u64, time: Duration) -> Result<(f64, f64)> {
    let metrics = Metrics::new()?.events;
    let mut config = Config::default().events;
    (config.data_dir, config.durability) = (dir.to_owned(), durability);
    let log = EmbeddedLog::start(Opened::new(&config, &metrics)?)?;
    let (start, total) = (Instant::now(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for caller in 0..callers {
            let (log, total) = (&log, &total);
            scope.spawn(move || {
                for at in 0u64.. {
                    if start.elapsed() >= time {
                        break;
                    }
                    let batch: Vec<Event> = (0..BATCH).map(|i| event(caller, at * BATCH + i)).collect();
                    if let Err(error) = log.append(&batch) {
                        return eprintln!("{error}");
                    }
                    total.fetch_add(BATCH, Ordering::Relaxed);
                }
            });
        }
    });
    let took = start.elapsed().as_secs_f64();
    Ok((total.into_inner() as f64 / took, metrics.log_commits.get() as f64 / took))
}

/// The process that starts from what another one left: nothing of that one is in its memory or its caches.
fn start_anew(dir: &Path) -> Result<()> {
    let (config, catalogue, vectors) = ground(dir)?;
    let ground = Ground { catalogue: &catalogue, vectors: &vectors, bundle: "bench" };
    let state = fresh(&config.state);
    let start = Instant::now();
    let (_log, done) = recover(&config, ground, &state, &Notes::open(&config.events, Metrics::new()?.events)?)?;
    println!(
        "a new process is up to the log in {:.2} s, from offset {}, {} events replayed, {} resident",
        start.elapsed().as_secs_f64(),
        done.from,
        done.applied,
        resident()
    );
    Ok(())
}

fn ground(dir: &Path) -> Result<(Config, Arc<Catalogue>, Arc<ItemVectors>)> {
    let mut config = Config::default();
    config.events.data_dir = dir.join("start");
    config.events.durability = Durability::Os;
    let tracks = read_tracks(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo/tracks.parquet"))?;
    let catalogue = Catalogue::new(tracks)?;
    let unit = |row: usize| (0..DIM).map(move |at| if at == row % DIM { 1.0 } else { 0.0 });
    let vectors = ItemVectors::from_raw((0..catalogue.len()).flat_map(unit).collect(), DIM)?;
    Ok((config, Arc::new(catalogue), Arc::new(vectors)))
}

/// How long a start takes: from the log alone, and from a disk with many sessions.
fn starts(dir: &Path, sessions: u64) -> Result<()> {
    let (config, catalogue, vectors) = ground(dir)?;
    let ground = Ground { catalogue: &catalogue, vectors: &vectors, bundle: "bench" };
    let metrics = Metrics::new()?.events;
    let log = EmbeddedLog::start(Opened::new(&config.events, &metrics)?)?;
    let logged = 10_000 * BATCH;
    for at in 0..logged / BATCH {
        let events = (at * BATCH..(at + 1) * BATCH).map(|i| event(i % LISTENERS, i / LISTENERS));
        log.append(&events.collect::<Vec<_>>())?;
    }
    drop(log);
    let state = fresh(&config.state);
    let (start, cpu) = (Instant::now(), ProcessTime::now());
    let notes = Arc::new(Notes::open(&config.events, metrics)?);
    let (log, done) = recover(&config, ground, &state, &notes)?;
    let (took, cpu) = (start.elapsed().as_secs_f64(), cpu.elapsed().as_secs_f64());
    println!(
        "replay of {logged} events: {took:.2} s, {cpu:.2} s of CPU: {:.0} events/s on one core",
        done.applied as f64 / cpu
    );
    let log: Arc<dyn EventLog> = Arc::new(log);
    let shared = (Arc::clone(&catalogue), Arc::clone(&vectors));
    let ingest = Ingest::new(Arc::clone(&state), log, shared.0, shared.1, config.events.clone(), notes);
    ingest.snapshot()?;
    let (mut applying, mut writing, mut writes) = (Duration::ZERO, Duration::ZERO, 0);
    for session in 0..sessions {
        let events: Vec<_> = (0..PLAYS).map(|play| event(1_000_000 + session, play)).collect();
        let start = Instant::now();
        for event in &events {
            state.apply(event, &catalogue, &vectors)?;
        }
        applying += start.elapsed();
        if ingest.is_crowded() || session + 1 == sessions {
            let start = Instant::now();
            ingest.snapshot()?;
            writing += start.elapsed();
            writes += 1;
        }
    }
    println!(
        "{sessions} new sessions and profiles of {PLAYS} plays: applied at {:.0} events/s, written in {writes} parts in {:.1} s, {} resident",
        (sessions * PLAYS) as f64 / applying.as_secs_f64(),
        writing.as_secs_f64(),
        resident()
    );
    drop((ingest, state));
    println!("state.sqlite: {} MB", std::fs::metadata(config.events.data_dir.join("state.sqlite"))?.len() >> 20);
    std::process::Command::new(std::env::current_exe()?).arg(START).arg(dir).status()?;
    Ok(())
}

/// Resident memory of this process as the system tells it.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.map_or_else(|| "unknown".into(), |size| size.trim().to_owned())
}

fn fresh(config: &StateConfig) -> Arc<StateStore> {
    Arc::new(StateStore::new(config, &SignalConfig::default()))
}

/// The `at`-th event of a listener, as wide as a client's.
#[expect(clippy::unwrap_used, reason = "these ids are in order")]
fn event(user: u64, at: u64) -> Event {
    Event {
        event_id: EventId::new(format!("01J9{user:08}{at:014}")).unwrap(),
        user_id: UserId::new(format!("u{user}")).unwrap(),
        session_id: SessionId::new(format!("s{user}-{}", at / 1_000)).unwrap(),
        kind: if at.is_multiple_of(3) { EventType::Skip } else { EventType::PlayEnd },
        ts_ms: 1_767_225_600_000 + at as i64 * 1_000,
        track_id: Some(TrackId::new(format!("t{}", (user * 31 + at * 7) % TRACKS as u64)).unwrap()),
        position_ms: None,
        duration_ms: Some(201_000),
        played_ms: Some(4_000 + (at % 200) as u32 * 1_000),
        reason_start: None,
        reason_end: None,
        recommendation_id: None,
        market: Some("SE".into()),
        device: None,
        local_hour: Some(8),
    }
}
