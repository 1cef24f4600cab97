use super::RuleBook;
use crate::config::RuleAction;
use crate::domain::{RequestContext, Retrieved, Source};
use crate::pipeline::{Deadline, Retriever, StageError};

/// Proposes the tracks of pins that hold, so that they can be in a list that would not have found them. They pass every
/// filter that others pass. `O(rules + pinned tracks)`.
#[derive(Debug, Clone)]
pub struct RulePins {
    book: RuleBook,
}

impl RulePins {
    /// Takes the rules.
    pub fn new(book: RuleBook) -> Self {
        Self { book }
    }
}

impl Retriever for RulePins {
    fn name(&self) -> &'static str {
        "rule_pins"
    }

    fn source(&self) -> Source {
        Source::Rule
    }

    fn retrieve(
        &mut self,
        context: &RequestContext,
        quota: usize,
        _: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), StageError> {
        for (_, _, rows) in self.book.holding(&context.request, &[RuleAction::Pin]) {
            for track in &rows.tracks {
                if out.len() < quota && out.iter().all(|hit| hit.track != *track) {
                    out.push(Retrieved { track: *track, score: 0.0 });
                }
            }
        }
        Ok(())
    }
}
