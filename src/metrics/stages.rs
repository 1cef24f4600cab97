//! Metrics of the pipeline: per stage and per answer.

use prometheus::{CounterVec, HistogramVec, IntCounterVec};

use super::define::metrics;

/// 10 us to 1 s.
const STAGE_BUCKETS: [f64; 16] =
    [10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 200e-3, 500e-3, 1.0];

metrics! {
    /// What every stage reports; the label `stage` is the component's name.
    StageMetrics {
        /// Time spent in a stage, seconds.
        seconds: HistogramVec = histograms("segue_stage_duration_seconds", &["stage"], &STAGE_BUCKETS),
        /// Candidates handed to a stage.
        candidates_in: IntCounterVec = counters("segue_stage_candidates_in_total", &["stage"]),
        /// Candidates that left a stage.
        candidates_out: IntCounterVec = counters("segue_stage_candidates_out_total", &["stage"]),
        /// Executions of a stage by how they ended: ok, failed, late, contract, absent.
        outcomes: IntCounterVec = counters("segue_stage_outcomes_total", &["stage", "outcome"]),
        /// Sums of what stages tell of their work: places in which a rule gave way, mean cost of a transition before and after.
        notes: CounterVec = float_counters("segue_stage_notes_total", &["stage", "note"]),
    }
}

metrics! {
    /// What every answer reports.
    AnswerMetrics {
        /// Answers by the rung of the fallback ladder they were served from.
        rungs: IntCounterVec = counters("segue_answer_rungs_total", &["rung"]),
        /// Things that went less than well on the way to an answer, by stage and reason.
        degraded: IntCounterVec = counters("segue_answer_degraded_total", &["stage", "reason"]),
        /// Candidates removed by filters, by reason.
        removed: IntCounterVec = counters("segue_filter_removed_total", &["reason"]),
        /// Tracks served, by the retriever that proposed them.
        tracks: IntCounterVec = counters("segue_answer_tracks_total", &["source"]),
    }
}
