//! One run of a pipeline: what it has gathered, and how a stage is run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::{Deadline, Outcome, StageError, StageKind, StageReport};
use crate::domain::{Degradation, PoolCounts};

/// What one execution has gathered so far.
pub(super) struct Run<'a> {
    pub(super) deadline: &'a Deadline,
    pub(super) reports: Vec<StageReport>,
    pub(super) degraded: Vec<Degradation>,
    pub(super) pool: PoolCounts,
}

impl<'a> Run<'a> {
    pub(super) fn new(deadline: &'a Deadline) -> Self {
        Self { deadline, reports: Vec::with_capacity(32), degraded: Vec::new(), pool: PoolCounts::default() }
    }

    /// Runs one stage unless it would be late; the ladder is never late.
    pub(super) fn stage<T>(
        &mut self,
        name: &'static str,
        kind: StageKind,
        candidates_in: usize,
        work: impl FnOnce(&Deadline) -> Result<(T, usize), StageError>,
    ) -> Result<T, StageError> {
        let late = kind != StageKind::Fallback && self.deadline.passed();
        self.attempt(name, kind, candidates_in, late, work)
    }

    /// Times a stage, contains its panic, reports it and names it as degraded when it failed or is late.
    pub(super) fn attempt<T>(
        &mut self,
        name: &'static str,
        kind: StageKind,
        candidates_in: usize,
        late: bool,
        work: impl FnOnce(&Deadline) -> Result<(T, usize), StageError>,
    ) -> Result<T, StageError> {
        let start = Instant::now();
        let result = if late {
            Err(StageError::Late)
        } else {
            catch_unwind(AssertUnwindSafe(|| work(self.deadline)))
                .unwrap_or_else(|panic| Err(StageError::Failed(format!("panicked: {}", panic_text(&*panic)))))
        };
        let mut report = StageReport {
            stage: name,
            kind,
            micros: start.elapsed().as_micros() as u64,
            candidates_in,
            candidates_out: candidates_in,
            outcome: Outcome::Ok,
            detail: None,
            notes: Vec::new(),
            rules: Vec::new(),
        };
        let result = match result {
            Ok((value, candidates_out)) => {
                report.candidates_out = candidates_out;
                Ok(value)
            }
            Err(error) => {
                report.outcome = error.outcome();
                report.detail = Some(error.to_string());
                self.degraded.push(Degradation { stage: name, reason: report.outcome.as_str() });
                Err(error)
            }
        };
        self.reports.push(report);
        result
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&'static str>().copied())
        .unwrap_or("no message")
}
