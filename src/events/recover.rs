//! From the log back to the live state.

use std::thread::{self, Scope, ScopedJoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::ingest::letter;
use super::{EmbeddedLog, Entry, EventLog, EventLogError, Letter, Notes, Opened, Origin, RawEvent};
use crate::config::Config;
use crate::domain::{Catalogue, EventId, ItemVectors, UserId};
use crate::features::StateStore;
use crate::vault::Vault;

/// Ids that a thread takes at once, and dead letters that are kept in one go.
const CHUNK: usize = 4_096;

/// What a state is built from.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// Resolves the events' tracks.
    pub catalogue: &'a Catalogue,
    /// The tracks' vectors.
    pub vectors: &'a ItemVectors,
    /// Names both: state on disk that is of others is not used.
    pub bundle: &'a str,
}

/// What a replay found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    /// The offset that the state on disk was of; 0 without one.
    pub from: u64,
    /// Events that count in the state.
    pub applied: u64,
    /// Events that the state refused: of tracks that this bundle lacks, or refused when they came, too.
    pub refused: u64,
    /// Events that stand in the log twice: a caller sent one again whose first sending had failed half way. They count once.
    pub repeated: u64,
}

/// Opens the log of `events.data_dir` and the state on disk beside it, and brings the state up to the log: only what came
/// after the state was written is replayed. From before it only ids are taken, as many as the duplicate window holds.
///
/// # Errors
/// The directory or its files; damage is no error, it is cut away, logged and counted.
pub fn recover(
    config: &Config,
    ground: Ground<'_>,
    state: &StateStore,
    notes: &Notes,
) -> Result<(EmbeddedLog, Replayed), EventLogError> {
    let mut opened = Opened::new(&config.events, notes.metrics())?;
    let (vault, from) = Vault::open(&config.events.data_dir, ground.bundle)?;
    state.attach(vault);
    opened.reach(from)?;
    let ids_from = opened.next_offset().saturating_sub(config.state.duplicate_window).min(from);
    let mut replay = Replay::new(state, ground, notes);
    replay.done.from = from;
    thread::scope(|scope| {
        let mut window = Some(Window::start(scope, state));
        opened.replay(ids_from, &mut |at, entry| {
            if at < from {
                window.iter_mut().for_each(|window| window.take(&entry));
            } else {
                // The ids must be there before an event can be a repeated one.
                window.take().into_iter().for_each(Window::finish);
                replay.take(at, entry)?;
            }
            Ok(())
        })?;
        window.into_iter().for_each(Window::finish);
        Ok::<_, EventLogError>(())
    })?;
    let done = replay.finish();
    notes.metrics().replayed.set(done.applied as i64);
    let log = EmbeddedLog::start(opened)?;
    log.cover(from);
    Ok((log, done))
}

/// Puts entries of a log into a state, in order.
pub(super) struct Replay<'a> {
    state: &'a StateStore,
    ground: Ground<'a>,
    notes: &'a Notes,
    refused: Vec<Letter>,
    done: Replayed,
}

impl<'a> Replay<'a> {
    pub(super) fn new(state: &'a StateStore, ground: Ground<'a>, notes: &'a Notes) -> Self {
        Self { state, ground, notes, refused: Vec::new(), done: Replayed::default() }
    }

    pub(super) fn take(&mut self, at: u64, entry: Entry) -> Result<(), EventLogError> {
        match entry {
            Entry::Event(event) => {
                if !self.state.first_time(&event.user_id, &event.event_id) {
                    self.done.repeated += 1;
                    return Ok(());
                }
                match self.state.apply(&event, self.ground.catalogue, self.ground.vectors) {
                    Ok(_) => self.done.applied += 1,
                    Err(fault) => {
                        // As when it came: it may be sent again, corrected.
                        self.state.forget(&event.user_id, &event.event_id);
                        self.done.refused += 1;
                        self.refused.push(letter(&RawEvent::from(&event), (Origin::Log, at), &fault.to_string(), 0));
                        if self.refused.len() >= CHUNK {
                            self.hand_in();
                        }
                    }
                }
            }
            Entry::Erase(user) => _ = self.state.erase(&user)?,
            Entry::Erased => {}
        }
        // Memory is bounded in a long replay too, and a kill in it costs only the rest.
        if self.state.is_crowded() {
            self.state.part();
            self.state.write(at + 1)?;
        }
        Ok(())
    }

    /// What was found.
    pub(super) fn finish(mut self) -> Replayed {
        self.hand_in();
        self.done
    }

    /// Puts what was refused to the dead letters.
    fn hand_in(&mut self) {
        self.notes.refused(&std::mem::take(&mut self.refused), jiff::Timestamp::now().as_millisecond());
    }
}

/// Puts ids into the duplicate window, on every core: their order does not matter.
struct Window<'scope> {
    ids: Vec<(UserId, EventId)>,
    put: Sender<Vec<(UserId, EventId)>>,
    workers: Vec<ScopedJoinHandle<'scope, ()>>,
}

impl<'scope> Window<'scope> {
    fn start(scope: &'scope Scope<'scope, '_>, state: &'scope StateStore) -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let (put, take) = bounded::<Vec<(UserId, EventId)>>(2 * threads);
        let work = |take: Receiver<Vec<(UserId, EventId)>>| {
            take.iter().flatten().for_each(|(user, id)| _ = state.first_time(&user, &id));
        };
        let workers = (0..threads).map(|_| take.clone()).map(|take| scope.spawn(move || work(take))).collect();
        Self { ids: Vec::new(), put, workers }
    }

    fn take(&mut self, entry: &Entry) {
        if let Entry::Event(event) = entry {
            self.ids.push((event.user_id.clone(), event.event_id.clone()));
            if self.ids.len() >= CHUNK {
                self.hand_on();
            }
        }
    }

    fn hand_on(&mut self) {
        // Nobody takes them only when every worker has panicked, and then the window is short, as the panics say.
        let _ = self.put.send(std::mem::take(&mut self.ids));
    }

    /// Waits until all are in.
    fn finish(mut self) {
        self.hand_on();
        drop(self.put);
        self.workers.into_iter().for_each(|worker| _ = worker.join());
    }
}

#[cfg(test)]
#[path = "restart_tests.rs"]
mod tests;
