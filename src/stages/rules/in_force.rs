//! The rules in force, which may be others for the next request.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::book::Rule;
use crate::config::{RuleConfig, rules_digest};
use crate::domain::RequestContext;
use crate::pipeline::{ContextPatch, ContextSource, Deadline, StageError};

/// The rules of one configuration.
#[derive(Debug)]
pub(super) struct RuleSet {
    pub(super) rules: Vec<Rule>,
    digest: Arc<str>,
}

/// Rules that can be exchanged, all at once. Clones share them.
#[derive(Debug, Clone)]
pub struct Rules(Arc<ArcSwap<RuleSet>>);

impl Rules {
    /// Takes rules that `config` has checked.
    pub fn new(rules: &[RuleConfig]) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(RuleSet::new(rules))))
    }

    /// Takes others instead, which `config` has checked too.
    pub fn set(&self, rules: &[RuleConfig]) {
        self.0.store(Arc::new(RuleSet::new(rules)));
    }

    /// Takes those that `other` has now; gives what tells them from others.
    pub fn follow(&self, other: &Self) -> Arc<str> {
        let now = other.0.load_full();
        let digest = Arc::clone(&now.digest);
        self.0.store(now);
        digest
    }

    pub(super) fn now(&self) -> Arc<RuleSet> {
        self.0.load_full()
    }

    /// Whether these are the rules in force still; no reference is taken.
    pub(super) fn are(&self, set: &Arc<RuleSet>) -> bool {
        Arc::ptr_eq(&self.0.load(), set)
    }
}

impl RuleSet {
    fn new(rules: &[RuleConfig]) -> Self {
        Self { rules: rules.iter().map(Rule::new).collect(), digest: rules_digest(rules).into() }
    }
}

/// Gives the stages of one lane the rules in force, at the begin of a request: all of them go by the same ones until it ends.
#[derive(Debug)]
pub struct RuleSource {
    in_force: Rules,
    of_lane: Rules,
}

impl RuleSource {
    /// Takes the rules that may change, and those that the lane's stages read.
    pub fn new(in_force: Rules, of_lane: Rules) -> Self {
        Self { in_force, of_lane }
    }
}

impl ContextSource for RuleSource {
    fn name(&self) -> &'static str {
        "rule_set"
    }

    /// A lane that went by the rules of an earlier request would serve what is blocked since.
    fn is_vital(&self) -> bool {
        true
    }

    /// No lock.
    fn load(&mut self, _: &RequestContext, _: &Deadline) -> Result<ContextPatch, StageError> {
        Ok(ContextPatch::Rules(self.of_lane.follow(&self.in_force)))
    }
}
