//! What listeners cost on disk and in memory, and how long a miss takes.
//!
//! `cargo bench --bench profiles -- [LISTENERS] [MEMORY_MIB] [DIR] [SESSIONS] [DAYS]`. Each listener has played 10 tracks in each
//! of SESSIONS sessions (default 4), a day apart; one comes after the other, the last one DAYS days (default 0) after the
//! first, so that with some days most sessions have ended and are gone. DIR (default: the system's directory for temporary
//! files) must lie on the disk that is asked about. Where this process may empty the system's cache of the disk, misses are
//! measured with it empty too.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use segue::config::{SignalConfig, StateConfig};
use segue::domain::{Catalogue, Event, EventId, EventType, ItemVectors, SessionId, TrackId, UserId};
use segue::features::StateStore;
use segue::index_bench::hardware;
use segue::vault::Vault;

const TRACKS: u64 = 100_000;
const ARTISTS: u64 = 5_000;
const DIM: usize = 64;
const SESSIONS: u64 = 4;
const PLAYS: u64 = 10;
const DAY_MS: i64 = 86_400_000;
const MISSES: usize = 20_000;
/// Sessions, and then listeners, whose memory is measured.
const HELD: u64 = 100_000;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let listeners = args.first().and_then(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let memory_mib = args.get(1).and_then(|arg| arg.parse().ok()).unwrap_or(256);
    let dir = args.get(2).map_or_else(std::env::temp_dir, PathBuf::from);
    let sessions = args.get(3).and_then(|arg| arg.parse().ok()).unwrap_or(SESSIONS);
    let dir = dir.join(format!("segue-profiles-{}", std::process::id()));
    println!("{}", hardware());
    let tracks = (0..TRACKS).map(|track| {
        let (id, artist) = (format!("t{track}"), format!("a{}", track % ARTISTS));
        let genre = format!("g{}", track % 20);
        serde_json::from_value(serde_json::json!({ "track_id": id, "title": "", "artist_id": artist, "artist_name": "",
            "genre": genre, "explicit": false }))
    });
    let catalogue = Catalogue::new(tracks.collect::<Result<_, _>>()?)?;
    let unit = |row: usize| (0..DIM).map(move |at| if at == row % DIM { 1.0 } else { 0.0 });
    let vectors = ItemVectors::from_raw((0..catalogue.len()).flat_map(unit).collect(), DIM)?;
    memory(&catalogue, &vectors)?;
    let days = args.get(4).and_then(|arg| arg.parse().ok()).unwrap_or(0);
    let done = disk(&dir, &Size { listeners, sessions, days, memory_mib }, &catalogue, &vectors);
    std::fs::remove_dir_all(&dir)?;
    done
}

/// What is put on the disk.
struct Size {
    listeners: u64,
    /// Of each.
    sessions: u64,
    /// From the first listener to the last.
    days: i64,
    /// Of each of the two caches.
    memory_mib: u64,
}

fn store(memory_mib: u64) -> Arc<StateStore> {
    let config = StateConfig { sessions_mib: memory_mib, profiles_mib: memory_mib, ..StateConfig::default() };
    Arc::new(StateStore::new(&config, &SignalConfig::default()))
}

/// What sessions and profiles take of the process's memory.
fn memory(catalogue: &Catalogue, vectors: &ItemVectors) -> Result<()> {
    let state = store(1 << 20);
    let before = resident_kib();
    for session in 0..HELD {
        for play in 0..PLAYS {
            state.apply(&event(0, session, play), catalogue, vectors)?;
        }
    }
    let (sessions, after) = (state.session_count(), resident_kib());
    println!("a session of {PLAYS} plays: {} bytes resident", (after - before) * 1_024 / sessions);
    drop(state);
    let state = store(1 << 20);
    let before = resident_kib();
    for listener in 0..HELD {
        for play in 0..SESSIONS * PLAYS {
            // All in a session that nobody keeps.
            let mut event = event(listener, 0, play);
            event.ts_ms += play as i64 / PLAYS as i64 * DAY_MS;
            state.apply(&event, catalogue, vectors)?;
        }
    }
    let (profiles, after) = (state.profile_count(), resident_kib());
    println!(
        "a session of {PLAYS} plays and a profile of {} plays: {} bytes resident",
        SESSIONS * PLAYS,
        (after.saturating_sub(before)) * 1_024 / profiles
    );
    Ok(())
}

fn disk(dir: &Path, size: &Size, catalogue: &Catalogue, vectors: &ItemVectors) -> Result<()> {
    let Size { listeners, sessions, days, memory_mib } = *size;
    let state = store(memory_mib);
    state.attach(Vault::open(dir, "bench")?.0);
    let (start, mut rows) = (Instant::now(), 0);
    for listener in 0..listeners {
        for session in 0..sessions {
            for play in 0..PLAYS {
                let mut event = event(listener, session, play);
                event.ts_ms += days * DAY_MS / 1_000 * (listener * 1_000 / listeners) as i64;
                state.apply(&event, catalogue, vectors)?;
            }
        }
        if state.is_crowded() || listener + 1 == listeners {
            state.part();
            rows += state.write(listener)?;
            eprintln!("{} listeners after {:.0} s", listener + 1, start.elapsed().as_secs_f64());
        }
    }
    let took = start.elapsed().as_secs_f64();
    println!("{listeners} listeners, {rows} rows written in {took:.0} s, {} MiB resident", resident_kib() >> 10);
    drop(state);
    let db = std::fs::metadata(dir.join("state.sqlite"))?.len();
    println!("state.sqlite: {} bytes a listener, with the sessions of the last day", db / listeners);
    misses(dir, size, "the system's cache as it is")?;
    let emptied =
        std::process::Command::new("sync").status().is_ok() && std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok();
    if emptied {
        misses(dir, size, "the system's cache empty at the start")?;
    }
    Ok(())
}

fn misses(dir: &Path, size: &Size, how: &str) -> Result<()> {
    let state = store(size.memory_mib);
    state.attach(Vault::open(dir, "bench")?.0);
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut took: Vec<f64> = (0..MISSES)
        .map(|_| {
            let user = user(random.random_range(0..size.listeners));
            let start = Instant::now();
            let profile = state.profile(&user);
            let took = start.elapsed().as_secs_f64() * 1e6;
            assert_eq!(profile.plays, size.sessions * PLAYS);
            took
        })
        .collect();
    took.sort_by(f64::total_cmp);
    let at = |part: f64| took[(part * took.len() as f64) as usize];
    println!(
        "a profile that is not in memory, {how}: P50 {:.0} us, P99 {:.0} us, P99.9 {:.0} us, {} MiB resident after",
        at(0.5),
        at(0.99),
        at(0.999),
        resident_kib() >> 10
    );
    Ok(())
}

/// Resident memory of this process, KiB; 0 where the system does not tell.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|size| size.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
}

#[expect(clippy::unwrap_used, reason = "these ids are in order")]
fn user(listener: u64) -> UserId {
    UserId::new(format!("listener-{listener}")).unwrap()
}

/// A play of a listener, who comes back to some artists.
#[expect(clippy::unwrap_used, reason = "these ids are in order")]
fn event(listener: u64, session: u64, play: u64) -> Event {
    let draw = (listener * 31 + session * 7 + play).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let track = (listener % 97 * 1_009 + (draw >> 40) % 40 * 53) % TRACKS;
    Event {
        event_id: EventId::new("e").unwrap(),
        user_id: user(listener),
        session_id: SessionId::new(format!("session-{listener}-{session}")).unwrap(),
        kind: if play.is_multiple_of(3) { EventType::Skip } else { EventType::PlayEnd },
        ts_ms: 1_767_225_600_000 + session as i64 * DAY_MS + play as i64 * 200_000,
        track_id: Some(TrackId::new(format!("t{track}")).unwrap()),
        position_ms: None,
        duration_ms: Some(201_000),
        played_ms: Some(4_000 + (draw >> 33) as u32 % 200 * 1_000),
        reason_start: None,
        reason_end: None,
        recommendation_id: None,
        market: None,
        device: None,
        local_hour: None,
    }
}
