//! From the log back to the live state.

use super::{EmbeddedLog, Entry, EventLog, EventLogError, Opened, snapshot};
use crate::config::Config;
use crate::domain::{Catalogue, ItemVectors};
use crate::features::StateStore;
use crate::metrics::EventMetrics;

/// What a state is built from.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// Resolves the events' tracks.
    pub catalogue: &'a Catalogue,
    /// The tracks' vectors.
    pub vectors: &'a ItemVectors,
    /// Names both: a snapshot of others is not used.
    pub bundle: &'a str,
}

/// What a replay found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Offset of the snapshot that was read; 0 without one.
    pub from: u64,
    /// Events that count in the state.
    pub applied: u64,
    /// Events that the state refused: of tracks that this bundle lacks, or refused when they came, too.
    pub refused: u64,
    /// Events that stand in the log twice: a caller sent one again whose first sending had failed half way. They count once.
    pub repeated: u64,
}

/// Opens the log of `events.data_dir` and brings an empty state up to it: the snapshot, then what came after it. From
/// before it only ids are taken, as many as the duplicate window holds.
///
/// # Errors
/// The directory or its files; damage is no error, it is cut away, logged and counted.
pub fn recover(
    config: &Config,
    ground: Ground<'_>,
    state: &StateStore,
    metrics: &EventMetrics,
) -> Result<(EmbeddedLog, Replayed), EventLogError> {
    let mut opened = Opened::new(&config.events, metrics)?;
    let from = snapshot::read(&config.events.data_dir, ground.bundle, state)?.unwrap_or(0);
    opened.reach(from)?;
    let ids_from = opened.next_offset().saturating_sub(config.state.duplicate_window).min(from);
    let mut replay = Replay { state, ground, done: Replayed { from, ..Replayed::default() } };
    opened.replay(ids_from, &mut |at, entry| {
        replay.take(at, entry);
        Ok(())
    })?;
    let done = replay.done;
    metrics.replayed.set(done.applied as i64);
    let log = EmbeddedLog::start(opened)?;
    log.cover(from);
    Ok((log, done))
}

/// Puts entries of a log into a state, in order.
struct Replay<'a> {
    state: &'a StateStore,
    ground: Ground<'a>,
    done: Replayed,
}

impl Replay<'_> {
    fn take(&mut self, at: u64, entry: Entry) {
        let from = self.done.from;
        match entry {
            Entry::Event(event) => {
                let first = self.state.first_time(&event.user_id, &event.event_id);
                if at < from {
                    return;
                }
                if !first {
                    self.done.repeated += 1;
                } else if self.state.apply(&event, self.ground.catalogue, self.ground.vectors).is_ok() {
                    self.done.applied += 1;
                } else {
                    // As when it came: it may be sent again, corrected.
                    self.state.forget(&event.user_id, &event.event_id);
                    self.done.refused += 1;
                }
            }
            Entry::Erase(user) if at >= from => _ = self.state.erase(&user),
            Entry::Erase(_) | Entry::Erased => {}
        }
    }
}
