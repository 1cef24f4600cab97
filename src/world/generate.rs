//! Writing the world: the catalogue row by row, then day after day of listening.

use std::path::Path;

use rand_distr::{Distribution, Poisson};

use super::behaviour::Play;
use super::catalogue::World;
use super::event::{Told, event};
use super::listener::Listener;
use super::{WorldConfig, WorldError, session};
use crate::domain::{EventType, IdError};
use crate::tables::{EventWriter, TableError, write_unlabelled_tracks};

const DAY_MS: i64 = 86_400_000;

/// What was generated.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct WorldSummary {
    /// Tracks written.
    pub tracks: u64,
    /// Artists among them.
    pub artists: u64,
    /// Events written.
    pub events: u64,
    /// Plays among them.
    pub plays: u64,
    /// Plays that ended in a skip.
    pub skips: u64,
    /// Sessions.
    pub sessions: u64,
    /// Likes and additions to playlists.
    pub likes: u64,
}

/// One event before it has an id: what a day's buffer holds.
struct Pending {
    told: Told,
    listener: u32,
    session: u32,
    play: std::rc::Rc<Play>,
}

/// Generates a world into `out`: `tracks.parquet` and `events.parquet`. Memory: the catalogue's columns, the listeners
/// and one day of events. `progress(done, total)` is called once a day, after the catalogue.
///
/// # Errors
/// A number out of range, or a disk that cannot be written.
pub fn generate(config: &WorldConfig, out: &Path, progress: &dyn Fn(u64, u64)) -> Result<WorldSummary, WorldError> {
    config.check()?;
    std::fs::create_dir_all(out).map_err(|e| WorldError::Directory(format!("{}: {e}", out.display())))?;
    let world = World::new(config);
    let mut summary = WorldSummary { artists: world.artists.len() as u64, ..WorldSummary::default() };
    summary.tracks = write_catalogue(&world, &out.join("tracks.parquet"))?;
    let mut listeners: Vec<Listener> =
        (0..config.listeners).map(|n| Listener::new(&world, u64::from(n), config.start_day(), config.days)).collect();
    let events = out.join("events.parquet");
    let mut writer = EventWriter::create(&events)?;
    let mut pending: Vec<Pending> = Vec::new();
    let mut number = 0u64;
    for day in config.start_day()..config.end_day {
        for (n, listener) in listeners.iter_mut().enumerate() {
            live_a_day(&world, listener, n as u32, day, &mut pending, &mut summary);
        }
        pending.sort_by_key(|event| event.told.ts_ms);
        let end = i64::from(day + 1) * DAY_MS;
        let last = day + 1 == config.end_day;
        let due = if last { pending.len() } else { pending.partition_point(|event| event.told.ts_ms < end) };
        for Pending { told, listener, session, play } in pending.drain(..due) {
            let who = (&listeners[listener as usize], listener, session);
            let event = event(&world, who, &play, told, format!("e{number}"))
                .map_err(|fault| TableErrorAt(&events).because(fault))?;
            writer.write(&event)?;
            number += 1;
        }
        progress((day - config.start_day() + 1) as u64, u64::from(config.days));
    }
    summary.events = writer.finish()?;
    Ok(summary)
}

fn write_catalogue(world: &World, path: &Path) -> Result<u64, WorldError> {
    let mut fault = None;
    let rows = (0..world.songs.len() as u32).map_while(|track| world.row(track).map_err(|e| fault = Some(e)).ok());
    let written = write_unlabelled_tracks(path, rows)?;
    match fault {
        Some(fault) => Err(TableErrorAt(path).because(fault).into()),
        None => Ok(written),
    }
}

/// Names the file that an id fault would have gone to.
struct TableErrorAt<'a>(&'a Path);

impl TableErrorAt<'_> {
    fn because(&self, fault: IdError) -> TableError {
        TableError { file: self.0.display().to_string(), fault: fault.to_string() }
    }
}

/// All sessions of one listener on one day.
fn live_a_day(
    world: &World,
    listener: &mut Listener,
    number: u32,
    day: i32,
    pending: &mut Vec<Pending>,
    summary: &mut WorldSummary,
) {
    if day >= listener.churn_day {
        return;
    }
    let weekend = if matches!(day.rem_euclid(7), 2 | 3) { 1.3 } else { 1.0 };
    let sessions = Poisson::new(listener.rate * weekend).map_or(0.0, |p| p.sample(&mut listener.rng)) as u32;
    let mut starts: Vec<i64> =
        (0..sessions.min(8)).map(|_| i64::from(day) * DAY_MS + listener.session_start()).collect();
    starts.sort_unstable();
    for start in starts {
        let start = start.max(listener.busy_until_ms + 1_800_000);
        let mut plays = Vec::new();
        listener.busy_until_ms = session::simulate(world, listener, start, &mut plays);
        summary.sessions += u64::from(!plays.is_empty());
        let session = listener.sessions;
        for play in plays {
            summary.plays += 1;
            summary.skips += u64::from(play.skipped);
            push_events(std::rc::Rc::new(play), number, session, pending, summary);
        }
    }
}

fn push_events(
    play: std::rc::Rc<Play>,
    listener: u32,
    session: u32,
    pending: &mut Vec<Pending>,
    summary: &mut WorldSummary,
) {
    for told in play.tells() {
        summary.likes += u64::from(matches!(told.kind, EventType::Like | EventType::AddToPlaylist));
        pending.push(Pending { told, listener, session, play: std::rc::Rc::clone(&play) });
    }
}
