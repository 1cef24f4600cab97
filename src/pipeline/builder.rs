//! Wiring: which stages a pipeline has, in which order, with which quotas and failure policies.

use super::ladder::Ladder;
use super::{CandidateFilter, ContextSource, Observer, OnFailure, Pipeline, Ranker, Reranker, Retriever};
use crate::domain::Rung;

/// How wide the funnel is: shrinks under load before anything is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Width {
    /// Every quota as configured.
    Full,
    /// Half of it.
    Half,
    /// A quarter of it.
    Quarter,
}

impl Width {
    /// What is left of a quota.
    pub(super) fn of(self, quota: usize) -> usize {
        match self {
            Self::Full => quota,
            Self::Half => quota.div_ceil(2),
            Self::Quarter => quota.div_ceil(4),
        }
    }
}

pub(super) struct RetrieverSlot {
    pub(super) stage: Box<dyn Retriever>,
    pub(super) quota: usize,
    pub(super) on_failure: OnFailure,
}

/// Wires stages; the order of calls is the order of execution.
#[derive(Default)]
pub struct PipelineBuilder {
    pub(super) contexts: Vec<(Box<dyn ContextSource>, OnFailure)>,
    pub(super) retrievers: Vec<RetrieverSlot>,
    pub(super) filters: Vec<Box<dyn CandidateFilter>>,
    pub(super) ranker: Option<Box<dyn Ranker>>,
    pub(super) rerankers: Vec<Box<dyn Reranker>>,
    pub(super) observers: Vec<Box<dyn Observer>>,
    pub(super) ladder: Ladder,
    pub(super) detailed: bool,
}

impl PipelineBuilder {
    /// Adds a context source.
    pub fn context(mut self, stage: impl ContextSource + 'static, on_failure: OnFailure) -> Self {
        self.contexts.push((Box::new(stage), on_failure));
        self
    }

    /// Adds a retriever with its quota, in candidates.
    pub fn retriever(mut self, stage: impl Retriever + 'static, quota: usize, on_failure: OnFailure) -> Self {
        self.retrievers.push(RetrieverSlot { stage: Box::new(stage), quota, on_failure });
        self
    }

    /// Adds a filter.
    pub fn filter(mut self, stage: impl CandidateFilter + 'static) -> Self {
        self.filters.push(Box::new(stage));
        self
    }

    /// Sets the ranker. Without one, or when it fails, retrieval order stands: rung `retrieval_order`.
    pub fn ranker(mut self, stage: impl Ranker + 'static) -> Self {
        self.ranker = Some(Box::new(stage));
        self
    }

    /// Adds a re-ranker. One that fails is skipped: the order before it stands.
    pub fn reranker(mut self, stage: impl Reranker + 'static) -> Self {
        self.rerankers.push(Box::new(stage));
        self
    }

    /// Whether every answer has a [`super::Detail`]; without it those have one that were asked for a trace.
    pub fn detailed(mut self, detailed: bool) -> Self {
        self.detailed = detailed;
        self
    }

    /// Adds an observer.
    pub fn observer(mut self, stage: impl Observer + 'static) -> Self {
        self.observers.push(Box::new(stage));
        self
    }

    /// Adds a rung below the funnel, best first.
    pub fn rung(mut self, rung: Rung, list: impl Retriever + 'static) -> Self {
        self.ladder.push(rung, Box::new(list));
        self
    }

    /// The names of all stages in order of execution: what the wiring snapshot test compares.
    pub fn wiring(&mut self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        names.extend(self.contexts.iter().map(|(s, f)| format!("context {} {f:?}", s.name())));
        names.extend(
            self.retrievers.iter().map(|r| format!("retrieve {} {} {:?}", r.stage.name(), r.quota, r.on_failure)),
        );
        names.extend(self.filters.iter().map(|s| format!("filter {}", s.reason().as_str())));
        names.extend(self.ranker.iter().map(|s| format!("rank {}", s.name())));
        names.extend(self.rerankers.iter().map(|s| format!("rerank {}", s.name())));
        names.extend(self.observers.iter().map(|s| format!("observe {}", s.name())));
        names.extend(self.ladder.from(Rung::Full).map(|(r, s)| format!("rung {} {}", r.as_str(), s.name())));
        names
    }

    /// The pipeline of one lane.
    pub fn build(self) -> Pipeline {
        Pipeline::new(self)
    }
}
