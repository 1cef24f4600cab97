//! What one system has scored so far.

use std::collections::BTreeMap;

use super::bootstrap::mean_estimate;
use super::ranking::{ndcg_at, recall_at, reciprocal_rank_at};
use super::report::{ByListener, Dials, MetricReport, SystemReport};
use super::spread::Spread;
use crate::domain::{Answer, CandidateSet, Source, TrackIx};

/// Places of the list that count; also the limit that evaluation asks for.
pub(super) const LIST_LEN: usize = 20;

/// Figures of one moment. `recall@k`: of the pool in the order in which it was retrieved; `recall_two_tower@100`: of that
/// source alone; `novelty@20`: mean surprise of the list's tracks in bits (Zhou et al. 2010); `artists@20`: distinct artists
/// a track; `repeats@20`: share that the listener had played; `new_artists@20`: share by artists that the listener had not.
pub(super) const METRICS: [&str; 12] = [
    "recall@20",
    "recall@100",
    "recall@1000",
    "recall_two_tower@100",
    "hr@20",
    "mrr@20",
    "ndcg@20",
    "distance@20",
    "novelty@20",
    "artists@20",
    "repeats@20",
    "new_artists@20",
];
/// Position of the figure that only a system with a two-tower source has.
const TOWER: usize = 3;

/// What one moment is worth, in the order of [`METRICS`].
pub(super) type Values = [f64; METRICS.len()];

/// What a list is like, whatever was played next.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ListFacts {
    /// Distance of its tracks from each other, 0 where there are no two.
    pub(super) distance: f64,
    /// Mean surprise of its tracks, bits.
    pub(super) novelty: f64,
    /// Distinct artists a track.
    pub(super) artists: f64,
    /// Share that the listener had played.
    pub(super) repeats: f64,
    /// Share by artists that the listener had not played.
    pub(super) new_artists: f64,
}

/// The figures of one answer. The two-tower retriever's own list is what carries its source: all of it where that retriever
/// is wired first.
pub(super) fn values(target: TrackIx, answer: &Answer, facts: ListFacts, candidates: &CandidateSet) -> Values {
    let sourced = || candidates.tracks.iter().zip(&candidates.sources);
    let from_tower = sourced().filter(|(_, s)| **s == Source::TwoTower).position(|(track, _)| *track == target);
    let in_pool = sourced().position(|(track, source)| *track == target && *source != Source::Fallback);
    let in_list = answer.tracks.iter().position(|served| served.track == target);
    [
        recall_at(in_pool, 20),
        recall_at(in_pool, 100),
        recall_at(in_pool, 1_000),
        recall_at(from_tower, 100),
        recall_at(in_list, LIST_LEN),
        reciprocal_rank_at(in_list, LIST_LEN),
        ndcg_at(in_list, LIST_LEN),
        facts.distance,
        facts.novelty,
        facts.artists,
        facts.repeats,
        facts.new_artists,
    ]
}

/// Sums by listener, and what was served.
#[derive(Debug)]
pub(super) struct Tally {
    name: String,
    dials: Dials,
    sums: [Vec<f64>; METRICS.len()],
    rows: Vec<u32>,
    has_tower: bool,
    spread: Spread,
    rungs: BTreeMap<&'static str, u64>,
    degraded: BTreeMap<String, u64>,
}

impl Tally {
    /// An empty tally over a catalogue of `tracks`.
    pub(super) fn new(name: &str, dials: Dials, tracks: usize) -> Self {
        Self {
            name: name.to_owned(),
            dials,
            sums: Default::default(),
            rows: Vec::new(),
            has_tower: false,
            spread: Spread::new(tracks),
            rungs: BTreeMap::new(),
            degraded: BTreeMap::new(),
        }
    }

    /// Takes one answer, what it is worth and the candidates it was chosen from.
    pub(super) fn add(&mut self, user: u32, answer: &Answer, values: Values, candidates: &CandidateSet) {
        self.has_tower |= candidates.sources.contains(&Source::TwoTower);
        let place = user as usize;
        if self.rows.len() <= place {
            self.rows.resize(place + 1, 0);
            self.sums.iter_mut().for_each(|sums| sums.resize(place + 1, 0.0));
        }
        self.rows[place] += 1;
        self.sums.iter_mut().zip(values).for_each(|(sums, value)| sums[place] += value);
        self.spread.add(user, answer.tracks.iter().take(LIST_LEN).map(|served| served.track));
        *self.rungs.entry(answer.rung.as_str()).or_default() += 1;
        for degradation in &answer.degraded {
            *self.degraded.entry(format!("{}: {}", degradation.stage, degradation.reason)).or_default() += 1;
        }
    }

    /// Means, intervals and summaries; no metric without a moment.
    pub(super) fn report(self, resamples: usize, seed: u64) -> SystemReport {
        let users = self.rows.len();
        let estimate = |sums: &Vec<f64>| mean_estimate(sums, &self.rows, resamples, seed);
        let told = METRICS.iter().zip(&self.sums).enumerate().filter(|(at, _)| *at != TOWER || self.has_tower);
        let told: Vec<_> = told.map(|(_, named)| named).collect();
        let means = told.iter().filter_map(|(name, sums)| Some(MetricReport { name, estimate: estimate(sums)? }));
        let together = [("coverage@20", self.spread.coverage()), ("gini@20", self.spread.gini())];
        let together = together.map(|(name, estimate)| MetricReport { name, estimate });
        let sums = told.iter().map(|(name, sums)| (**name, sums.to_vec())).collect();
        SystemReport {
            metrics: means.chain(together.into_iter().filter(|_| users > 0)).collect(),
            by_listener: ByListener { rows: self.rows.clone(), sums },
            name: self.name,
            dials: self.dials,
            rungs: self.rungs,
            degraded: self.degraded,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::calibration::Decile;
    use super::super::pairs::pairs;
    use super::super::report::{EvalReport, HeadReport};
    use super::super::slices::{Slice, Slices};
    use super::*;
    use crate::domain::Retrieved;
    use crate::stages::testing::{answer, candidates};
    use crate::statistics::Estimate;

    /// Two moments of one listener: the system finds one target in second place, popularity none.
    pub(in crate::evaluate) fn report() -> EvalReport {
        let mut system = Tally::new("segue", Dials::default(), 10);
        let mut ask = |target, distance| {
            let facts = ListFacts { distance, ..ListFacts::default() };
            system.add(0, &answer(3), values(TrackIx(target), &answer(3), facts, &candidates(4)), &candidates(4));
        };
        ask(1, 0.5);
        ask(9, 0.75);
        let mut popular = Tally::new("popularity", Dials::default(), 10);
        let mut pool = CandidateSet::default();
        pool.push(Retrieved { track: TrackIx(2), score: 1.0 }, Source::Popular);
        for target in [9, 8] {
            let values = values(TrackIx(target), &answer(1), ListFacts::default(), &pool);
            popular.add(0, &answer(1), values, &pool);
        }
        let head = HeadReport {
            task: "skip",
            against: "played",
            auc: None,
            log_loss: Some(Estimate { value: 0.5, low: 0.25, high: 0.75 }),
            ece: None,
            deciles: vec![Decile { stated: 0.25, observed: 0.0, n: 2 }],
            positives: 0,
            negatives: 2,
            note: Some("one class only"),
        };
        let systems = vec![system.report(20, 1), popular.report(20, 1)];
        let mut slices = Slices::new(["hr@20"]);
        slices.add(0, &[Slice::hour(Some(3))], [0.5]);
        EvalReport {
            pairs: pairs(&systems, 20, 1),
            slices: slices.reports(20, 1),
            moments_in_test: 10,
            moments: 2,
            users: 1,
            test_from_ms: 0,
            seed: 1,
            systems,
            heads: vec![head],
        }
    }

    #[test]
    fn counts_hits_places_and_spread() {
        let report = report();
        let value = |name| report.systems[0].metric(name).unwrap().value;
        assert_eq!((value("recall_two_tower@100"), value("recall@1000"), value("hr@20")), (0.5, 0.5, 0.5));
        assert_eq!((value("mrr@20"), value("distance@20")), (0.25, 0.625));
        assert!((value("ndcg@20") - 0.5 / 3f64.log2()).abs() < 1e-12);
        assert_eq!(value("coverage@20"), 0.3);
        assert_eq!(report.systems[0].rungs.get("full"), Some(&2));
        assert_eq!(report.systems[1].metrics.len(), METRICS.len() + 1, "no two-tower source");
    }

    #[test]
    fn what_a_fallback_list_holds_is_not_the_pool() {
        let mut pool = CandidateSet::default();
        pool.push(Retrieved { track: TrackIx(2), score: 1.0 }, Source::Fallback);
        let values = values(TrackIx(2), &answer(3), ListFacts::default(), &pool);
        assert_eq!(values[..5], [0.0, 0.0, 0.0, 0.0, 1.0], "recall of the pool, hit rate of the list");
    }
}
