//! From the log back to the live state.

use super::{Entry, EventLogError};
use crate::domain::{Catalogue, ItemVectors};
use crate::features::StateStore;

/// What a replay found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Events that count in the state.
    pub applied: u64,
    /// Events that the state refused: of tracks that this bundle lacks, or refused when they came, too.
    pub refused: u64,
    /// Events that stand in the log twice: a caller sent one again whose first sending had failed half way. They count once.
    pub repeated: u64,
}

/// Puts entries of a log into a state, in order.
pub struct Replay<'a> {
    state: &'a StateStore,
    catalogue: &'a Catalogue,
    vectors: &'a ItemVectors,
    from: u64,
    done: Replayed,
}

impl<'a> Replay<'a> {
    /// A replay into a state that holds what lies below the offset `from`: of that only the ids are taken, for the
    /// duplicate window.
    pub fn new(state: &'a StateStore, catalogue: &'a Catalogue, vectors: &'a ItemVectors, from: u64) -> Self {
        Self { state, catalogue, vectors, from, done: Replayed::default() }
    }

    /// Takes the entry at an offset.
    ///
    /// # Errors
    /// Never; in this form a log takes it as a visitor.
    pub fn take(&mut self, at: u64, entry: Entry) -> Result<(), EventLogError> {
        match entry {
            Entry::Event(event) => {
                let first = self.state.first_time(&event.user_id, &event.event_id);
                if at < self.from {
                    return Ok(());
                }
                if !first {
                    self.done.repeated += 1;
                } else if self.state.apply(&event, self.catalogue, self.vectors).is_ok() {
                    self.done.applied += 1;
                } else {
                    // As when it came: it may be sent again, corrected.
                    self.state.forget(&event.user_id, &event.event_id);
                    self.done.refused += 1;
                }
            }
            Entry::Erase(user) if at >= self.from => _ = self.state.erase(&user),
            Entry::Erase(_) | Entry::Erased => {}
        }
        Ok(())
    }

    /// What was found.
    pub fn done(&self) -> Replayed {
        self.done
    }
}
