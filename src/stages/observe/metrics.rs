//! Stage reports to metrics.

use std::sync::Arc;

use prometheus::{Counter, Histogram, IntCounter};

use crate::domain::{Answer, RemovalReason, RequestContext, Rung, Source};
use crate::metrics::Metrics;
use crate::pipeline::{Note, Observer, Outcome, StageKind, StageReport};

const OUTCOMES: [Outcome; 5] = [Outcome::Ok, Outcome::Failed, Outcome::Late, Outcome::Contract, Outcome::Absent];

/// The handles of one stage, so that a report costs no look-up of labels.
struct StageHandles {
    stage: &'static str,
    seconds: Histogram,
    candidates_in: IntCounter,
    candidates_out: IntCounter,
    outcomes: [IntCounter; OUTCOMES.len()],
    notes: Vec<(&'static str, Counter)>,
}

/// Counts every answer and every stage report. One value a lane: handles are resolved when a stage is first seen and kept.
pub struct MetricsObserver {
    metrics: Arc<Metrics>,
    stages: Vec<StageHandles>,
    rungs: [IntCounter; Rung::ALL.len()],
    removed: [IntCounter; RemovalReason::ALL.len()],
    sources: [IntCounter; Source::ALL.len()],
}

impl MetricsObserver {
    /// Takes the server's metrics.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let answers = &metrics.answers;
        let rungs = Rung::ALL.map(|rung| answers.rungs.with_label_values(&[rung.as_str()]));
        let removed = RemovalReason::ALL.map(|reason| answers.removed.with_label_values(&[reason.as_str()]));
        let sources = Source::ALL.map(|source| answers.tracks.with_label_values(&[source.as_str()]));
        Self { metrics, stages: Vec::new(), rungs, removed, sources }
    }

    /// The handles of a stage; stages are few, so a scan of names beats hashing.
    fn stage(&mut self, stage: &'static str) -> &mut StageHandles {
        let at = self.stages.iter().position(|handles| handles.stage == stage).unwrap_or_else(|| {
            let metrics = &self.metrics.stages;
            self.stages.push(StageHandles {
                stage,
                seconds: metrics.seconds.with_label_values(&[stage]),
                candidates_in: metrics.candidates_in.with_label_values(&[stage]),
                candidates_out: metrics.candidates_out.with_label_values(&[stage]),
                outcomes: OUTCOMES.map(|outcome| metrics.outcomes.with_label_values(&[stage, outcome.as_str()])),
                notes: Vec::new(),
            });
            self.stages.len() - 1
        });
        &mut self.stages[at]
    }

    fn report(&mut self, report: &StageReport) {
        let metrics = Arc::clone(&self.metrics);
        let handles = self.stage(report.stage);
        handles.seconds.observe(report.micros as f64 * 1e-6);
        handles.candidates_in.inc_by(report.candidates_in as u64);
        handles.candidates_out.inc_by(report.candidates_out as u64);
        count(&handles.outcomes, &OUTCOMES, report.outcome, 1);
        for Note { note, value } in &report.notes {
            let known = handles.notes.iter().position(|(name, _)| name == note);
            let at = known.unwrap_or_else(|| {
                handles.notes.push((*note, metrics.stages.notes.with_label_values(&[report.stage, *note])));
                handles.notes.len() - 1
            });
            // A counter must not fall.
            handles.notes[at].1.inc_by(f64::from(value.max(0.0)));
        }
        if report.kind == StageKind::Filter
            && let Some(at) = RemovalReason::ALL.iter().position(|reason| reason.as_str() == report.stage)
        {
            self.removed[at].inc_by(report.candidates_in.saturating_sub(report.candidates_out) as u64);
        }
    }
}

/// Adds to the counter that stands where `key` stands among `keys`.
fn count<K: PartialEq>(counters: &[IntCounter], keys: &[K], key: K, by: u64) {
    if let Some((counter, _)) = counters.iter().zip(keys).find(|(_, k)| **k == key) {
        counter.inc_by(by);
    }
}

impl Observer for MetricsObserver {
    fn name(&self) -> &'static str {
        "metrics"
    }

    /// Atomic additions only, but for degradations and arms, which look their labels up.
    fn observe(&mut self, _context: &RequestContext, answer: &Answer) {
        count(&self.rungs, &Rung::ALL, answer.rung, 1);
        for track in &answer.tracks {
            count(&self.sources, &Source::ALL, track.source, 1);
        }
        for degradation in &answer.degraded {
            self.metrics.answers.degraded.with_label_values(&[degradation.stage, degradation.reason]).inc();
        }
        for of in &answer.experiments {
            self.metrics.experiments.answers.with_label_values(&[&*of.name, &*of.arm]).inc();
        }
        for report in &answer.reports {
            self.report(report);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ArmName, Degradation};
    use crate::stages::testing::{answer, context};

    fn report(stage: &'static str, kind: StageKind, outcome: Outcome) -> StageReport {
        StageReport {
            stage,
            kind,
            micros: 1_500,
            candidates_in: 10,
            candidates_out: 7,
            outcome,
            detail: None,
            notes: Vec::new(),
            rules: Vec::new(),
        }
    }

    #[test]
    fn counts_what_an_answer_reports() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut observer = MetricsObserver::new(Arc::clone(&metrics));
        let mut answer = answer(3);
        answer.rung = Rung::RetrievalOrder;
        answer.experiments = vec![ArmName { name: "dial".into(), arm: "up".into() }];
        answer.degraded = vec![Degradation { stage: "mmoe", reason: "late" }];
        answer.reports =
            vec![report("market", StageKind::Filter, Outcome::Ok), report("mmoe", StageKind::Rank, Outcome::Late)];
        answer.reports[0].notes = vec![Note { note: "album_relaxed", value: 1.5 }];
        observer.observe(&context(0.0, 0.0), &answer);
        observer.observe(&context(0.0, 0.0), &answer);
        let text = metrics.render().unwrap();
        for line in [
            r#"segue_answer_rungs_total{rung="retrieval_order"} 2"#,
            r#"segue_answer_rungs_total{rung="full"} 0"#,
            r#"segue_answer_degraded_total{reason="late",stage="mmoe"} 2"#,
            r#"segue_answer_tracks_total{source="two_tower"} 6"#,
            r#"segue_experiment_answers_total{arm="up",experiment="dial"} 2"#,
            r#"segue_filter_removed_total{reason="market"} 6"#,
            r#"segue_stage_outcomes_total{outcome="late",stage="mmoe"} 2"#,
            r#"segue_stage_notes_total{note="album_relaxed",stage="market"} 3"#,
            r#"segue_stage_candidates_in_total{stage="market"} 20"#,
            r#"segue_stage_duration_seconds_bucket{stage="mmoe",le="0.0025"} 2"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
