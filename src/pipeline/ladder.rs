//! The rungs below the funnel.

use super::Retriever;
use crate::domain::Rung;

/// Fallback lists, best rung first. Each is a retriever whose hits pass the same filters as everything else.
#[derive(Default)]
pub(super) struct Ladder {
    rungs: Vec<(Rung, Box<dyn Retriever>)>,
}

impl Ladder {
    /// Adds a rung below those already there.
    pub(super) fn push(&mut self, rung: Rung, list: Box<dyn Retriever>) {
        debug_assert!(self.rungs.last().is_none_or(|(last, _)| *last < rung), "rungs are added best first");
        self.rungs.push((rung, list));
    }

    /// The rungs at or below `from`, best first.
    pub(super) fn from(&mut self, from: Rung) -> impl Iterator<Item = (Rung, &mut dyn Retriever)> {
        self.rungs.iter_mut().filter(move |(rung, _)| *rung >= from).map(|(rung, list)| (*rung, &mut **list as _))
    }
}
