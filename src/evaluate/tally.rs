//! What one system has scored so far.

use std::collections::BTreeMap;

use super::bootstrap::{percentile_interval, weighted_mean};
use super::ranking::{gini, ndcg_at, recall_at, reciprocal_rank_at};
use super::report::{Estimate, MetricReport, SystemReport};
use crate::domain::{Answer, CandidateSet, Source, TrackIx};

/// Places of the list that count; also the limit that evaluation asks for.
pub(super) const LIST_LEN: usize = 20;
/// Places of the two-tower retriever that count.
const TOWER_LEN: usize = 100;
/// Places of the merged pool that count.
const POOL_LEN: usize = 1_000;

const METRICS: [&str; 6] = ["recall_two_tower@100", "recall_pool@1000", "hr@20", "mrr@20", "ndcg@20", "distance@20"];
/// Position of the figure that only a system with a two-tower source has.
const TOWER: usize = 0;

/// Sums by listener, and what was served.
#[derive(Debug)]
pub(super) struct Tally {
    name: String,
    sums: [Vec<f64>; METRICS.len()],
    rows: Vec<u32>,
    has_tower: bool,
    served: Vec<u32>,
    rungs: BTreeMap<&'static str, u64>,
    degraded: BTreeMap<String, u64>,
}

impl Tally {
    /// An empty tally over a catalogue of `tracks`.
    pub(super) fn new(name: &str, tracks: usize) -> Self {
        Self {
            name: name.to_owned(),
            sums: Default::default(),
            rows: Vec::new(),
            has_tower: false,
            served: vec![0; tracks],
            rungs: BTreeMap::new(),
            degraded: BTreeMap::new(),
        }
    }

    /// Takes one answer and the candidates it was chosen from. The two-tower retriever's own list is what carries its
    /// source: all of it where that retriever is wired first.
    /// `distance`: of the tracks of the list from each other, 0 where there are no two.
    pub(super) fn add(
        &mut self,
        user: u32,
        target: TrackIx,
        answer: &Answer,
        distance: Option<f32>,
        candidates: &CandidateSet,
    ) {
        let mut tower = candidates.tracks.iter().zip(&candidates.sources).filter(|(_, s)| **s == Source::TwoTower);
        self.has_tower |= tower.clone().next().is_some();
        let from_tower = tower.position(|(track, _)| *track == target);
        let from_funnel = |source: &Source| *source != Source::Fallback;
        let in_pool =
            candidates.tracks.iter().zip(&candidates.sources).position(|(t, s)| *t == target && from_funnel(s));
        let in_list = answer.tracks.iter().position(|served| served.track == target);
        let values = [
            recall_at(from_tower, TOWER_LEN),
            recall_at(in_pool, POOL_LEN),
            recall_at(in_list, LIST_LEN),
            reciprocal_rank_at(in_list, LIST_LEN),
            ndcg_at(in_list, LIST_LEN),
            f64::from(distance.unwrap_or(0.0)),
        ];
        let user = user as usize;
        if self.rows.len() <= user {
            self.rows.resize(user + 1, 0);
            self.sums.iter_mut().for_each(|sums| sums.resize(user + 1, 0.0));
        }
        self.rows[user] += 1;
        self.sums.iter_mut().zip(values).for_each(|(sums, value)| sums[user] += value);
        answer.tracks.iter().take(LIST_LEN).for_each(|served| self.served[served.track.at()] += 1);
        *self.rungs.entry(answer.rung.as_str()).or_default() += 1;
        for degradation in &answer.degraded {
            *self.degraded.entry(format!("{}: {}", degradation.stage, degradation.reason)).or_default() += 1;
        }
    }

    /// Means, intervals and summaries; no metric without a moment.
    pub(super) fn report(self, resamples: usize, seed: u64) -> SystemReport {
        let users = self.rows.len();
        let estimate = |sums: &Vec<f64>| {
            let value = weighted_mean(sums, &self.rows, &vec![1; users])?;
            let (low, high) = percentile_interval(users, resamples, seed, |w| weighted_mean(sums, &self.rows, w))?;
            Some(Estimate { value, low, high })
        };
        let metrics = METRICS.iter().zip(&self.sums).enumerate().filter(|(at, _)| *at != TOWER || self.has_tower);
        let metrics = metrics.filter_map(|(_, (name, sums))| Some(MetricReport { name, estimate: estimate(sums)? }));
        let distinct = self.served.iter().filter(|count| **count > 0).count();
        SystemReport {
            metrics: metrics.collect(),
            coverage: distinct as f64 / self.served.len().max(1) as f64,
            gini: gini(&self.served),
            name: self.name,
            rungs: self.rungs,
            degraded: self.degraded,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::report::{EvalReport, HeadReport};
    use super::*;
    use crate::domain::Retrieved;
    use crate::stages::testing::{answer, candidates};

    /// Two moments of one listener: the system finds one target in second place, popularity none.
    pub(in crate::evaluate) fn report() -> EvalReport {
        let mut system = Tally::new("segue", 10);
        system.add(0, TrackIx(1), &answer(3), Some(0.5), &candidates(4));
        system.add(0, TrackIx(9), &answer(3), Some(0.75), &candidates(4));
        let mut popular = Tally::new("popularity", 10);
        let mut pool = CandidateSet::default();
        pool.push(Retrieved { track: TrackIx(2), score: 1.0 }, Source::Popular);
        popular.add(0, TrackIx(9), &answer(1), None, &pool);
        let head = HeadReport {
            task: "skip",
            against: "played",
            auc: None,
            positives: 0,
            negatives: 2,
            note: Some("one class only"),
        };
        EvalReport {
            moments_in_test: 10,
            moments: 2,
            users: 1,
            test_from_ms: 0,
            seed: 1,
            systems: vec![system.report(20, 1), popular.report(20, 1)],
            heads: vec![head],
        }
    }

    #[test]
    fn counts_hits_places_and_spread() {
        let report = report();
        let value = |name| report.systems[0].metrics.iter().find(|m| m.name == name).unwrap().estimate.value;
        assert_eq!((value("recall_two_tower@100"), value("recall_pool@1000"), value("hr@20")), (0.5, 0.5, 0.5));
        assert_eq!((value("mrr@20"), value("distance@20")), (0.25, 0.625));
        assert!((value("ndcg@20") - 0.5 / 3f64.log2()).abs() < 1e-12);
        assert_eq!(report.systems[0].coverage, 0.3);
        assert_eq!(report.systems[0].rungs.get("full"), Some(&2));
        assert_eq!(report.systems[1].metrics.len(), METRICS.len() - 1, "no two-tower source");
    }

    #[test]
    fn what_a_fallback_list_holds_is_not_the_pool() {
        let mut pool = CandidateSet::default();
        pool.push(Retrieved { track: TrackIx(2), score: 1.0 }, Source::Fallback);
        let mut tally = Tally::new("segue", 10);
        tally.add(0, TrackIx(2), &answer(3), None, &pool);
        let report = tally.report(10, 1);
        let values: Vec<f64> = report.metrics.iter().map(|metric| metric.estimate.value).collect();
        assert_eq!(values[..2], [0.0, 1.0], "recall of the pool, hit rate of the list");
    }
}
