//! How well the ranker's heads tell what happened: rows scored at the moment of a play, labelled when it ended.

use std::collections::HashMap;

use super::auc::{ScoredRow, sort, weighted_auc};
use super::bootstrap::percentile_interval;
use super::calibration::{calibration_error, deciles, log_loss};
use super::report::HeadReport;
use crate::domain::{SessionId, TaskScores, TrackIx};
use crate::features::schema::TASKS;
use crate::statistics::Estimate;

/// Rows of plays alone.
const PLAYED: &str = "played";

/// A play that ended, and what its end says of each task, in schema order; `None` = not known (censored).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelledPlay {
    /// The track.
    pub track: TrackIx,
    /// Completed, skipped early, liked.
    pub labels: [Option<bool>; TASKS.len()],
}

/// Scores of one played track, until its play ends.
#[derive(Debug)]
struct Pending {
    user: u32,
    scores: [f32; TASKS.len()],
}

/// Gathers rows for one AUC a head over played tracks, and one of `complete` against sampled candidates.
#[derive(Debug, Default)]
pub(super) struct Heads {
    pending: HashMap<(SessionId, TrackIx), Pending>,
    played: [Vec<ScoredRow>; TASKS.len()],
    sampled: Vec<ScoredRow>,
}

impl Heads {
    /// Takes the scores of a moment's rows: the played track and candidates that were not played.
    pub(super) fn scored(
        &mut self,
        user: u32,
        session: &SessionId,
        played: TrackIx,
        tracks: &[TrackIx],
        scores: &TaskScores,
    ) {
        for (row, track) in tracks.iter().enumerate().take(scores.complete.len()) {
            if *track == played {
                let scores = [scores.complete[row], scores.skip[row], scores.like[row]];
                self.pending.insert((session.clone(), played), Pending { user, scores });
            } else {
                self.sampled.push(ScoredRow { user, score: scores.complete[row], positive: false });
            }
        }
    }

    /// Takes the end of a play; plays that were not scored are passed over.
    pub(super) fn ended(&mut self, session: &SessionId, play: &LabelledPlay) {
        if self.pending.is_empty() {
            return;
        }
        let Some(pending) = self.pending.remove(&(session.clone(), play.track)) else { return };
        for (head, label) in play.labels.iter().enumerate() {
            if let Some(positive) = *label {
                self.played[head].push(ScoredRow { user: pending.user, score: pending.scores[head], positive });
            }
        }
    }

    /// One report a head, and `complete` against sampled candidates; none where nothing was scored.
    pub(super) fn reports(mut self, users: usize, resamples: usize, seed: u64) -> Vec<HeadReport> {
        if self.sampled.is_empty() && self.played.iter().all(Vec::is_empty) {
            return Vec::new();
        }
        self.sampled.extend_from_slice(&self.played[0]);
        let against_played = TASKS.iter().zip(self.played).map(|(task, rows)| (*task, PLAYED, rows));
        against_played
            .chain([(TASKS[0], "sampled", self.sampled)])
            .map(|(task, against, rows)| head_report(task, against, rows, users, resamples, seed))
            .collect()
    }
}

/// AUC, log loss and calibration of rows with listeners `0..users`, each with its interval by bootstrap over them.
pub fn head_report(
    task: &'static str,
    against: &'static str,
    mut rows: Vec<ScoredRow>,
    users: usize,
    resamples: usize,
    seed: u64,
) -> HeadReport {
    sort(&mut rows);
    let positives = rows.iter().filter(|row| row.positive).count();
    let estimate = |statistic: fn(&[ScoredRow], &[u32]) -> Option<f64>| {
        let value = statistic(&rows, &vec![1; users])?;
        let (low, high) = percentile_interval(users, resamples, seed, |weights| statistic(&rows, weights))?;
        Some(Estimate { value, low, high })
    };
    let auc = estimate(weighted_auc);
    // Drawn candidates make positives rarer than they are: no probability fits both.
    let of_the_world = against == PLAYED;
    HeadReport {
        task,
        against,
        log_loss: estimate(log_loss).filter(|_| of_the_world),
        ece: estimate(calibration_error).filter(|_| of_the_world),
        deciles: if of_the_world { deciles(&rows) } else { Vec::new() },
        positives,
        negatives: rows.len() - positives,
        note: auc.is_none().then_some("one class only"),
        auc,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_scores_with_the_end_of_the_play() {
        let mut heads = Heads::default();
        let session = |name: &str| SessionId::new(name).unwrap();
        for (user, complete) in [(0, 0.9), (1, 0.2)] {
            let scores = TaskScores {
                complete: vec![0.1, complete],
                skip: vec![0.5; 2],
                like: vec![0.0; 2],
                blended: vec![0.0; 2],
            };
            heads.scored(user, &session(&format!("s{user}")), TrackIx(7), &[TrackIx(3), TrackIx(7)], &scores);
        }
        let end = |complete| LabelledPlay { track: TrackIx(7), labels: [Some(complete), None, Some(false)] };
        heads.ended(&session("s0"), &end(true));
        heads.ended(&session("s1"), &end(false));
        heads.ended(&session("s1"), &end(true));
        let reports = heads.reports(2, 50, 1);
        let seen: Vec<_> =
            reports.iter().map(|r| (r.task, r.against, r.positives, r.negatives, r.auc.map(|a| a.value))).collect();
        assert_eq!(
            seen,
            [
                ("complete", "played", 1, 1, Some(1.0)),
                ("skip", "played", 0, 0, None),
                ("like", "played", 0, 2, None),
                ("complete", "sampled", 1, 3, Some(1.0)),
            ]
        );
        assert_eq!(reports[1].note, Some("one class only"));
        let loss = -(0.9f64.ln() + 0.8f64.ln()) / 2.0;
        assert!((reports[0].log_loss.unwrap().value - loss).abs() < 1e-6);
        assert!(reports[3].log_loss.is_none() && reports[3].ece.is_none() && reports[1].log_loss.is_none());
        assert_eq!(reports[0].deciles.len(), 2);
        assert!(Heads::default().reports(2, 50, 1).is_empty());
    }
}
