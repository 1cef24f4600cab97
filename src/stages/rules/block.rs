use super::RuleBook;
use crate::config::RuleAction;
use crate::domain::{RemovalReason, RequestContext, TrackIx};
use crate::pipeline::{CandidateFilter, RuleEffect};

/// Removes what rules block. Soft: where blocks would leave nothing at all they give way, for what must never be heard is
/// taken down. `O(rules that hold * n)`.
#[derive(Debug, Clone)]
pub struct RuleBlock {
    book: RuleBook,
    effects: Vec<RuleEffect>,
}

impl RuleBlock {
    /// Takes the rules.
    pub fn new(book: RuleBook) -> Self {
        Self { book, effects: Vec::new() }
    }
}

impl CandidateFilter for RuleBlock {
    fn reason(&self) -> RemovalReason {
        RemovalReason::Rule
    }

    fn is_soft(&self) -> bool {
        true
    }

    fn mark(&mut self, context: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]) {
        let Self { book, effects } = self;
        effects.clear();
        let catalogue = std::sync::Arc::clone(book.catalogue());
        let now_ms = Some(context.request.now_ms);
        for (_, rule, rows) in book.holding(&context.request, &[RuleAction::Block]) {
            let mut count = 0;
            for (track, removed) in tracks.iter().zip(&mut *removed).filter(|(_, removed)| !**removed) {
                *removed = rule.fits(rows, *track, &catalogue, now_ms);
                count += u32::from(*removed);
            }
            if count > 0 {
                let (rule, action) = (std::sync::Arc::clone(&rule.name), rule.action.as_str());
                effects.push(RuleEffect { rule, action, tracks: count, unmet: 0 });
            }
        }
    }

    fn rules(&self) -> &[RuleEffect] {
        &self.effects
    }
}
