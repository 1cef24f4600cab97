//! How the answers to many requests change.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{CapturedAnswer, kendall_tau, overlap, rank_biased_overlap};

/// Places that the overlap looks at.
const TOP: usize = 20;

/// A distribution.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Quantiles {
    /// Values.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// The least.
    pub min: f64,
    /// One in twenty is lower.
    pub p05: f64,
    /// One in four is lower.
    pub p25: f64,
    /// The middle one.
    pub median: f64,
    /// One in four is higher.
    pub p75: f64,
    /// The greatest.
    pub max: f64,
}

impl Quantiles {
    /// Of finite values, by the nearest rank; `None` of none.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let count = values.len();
        let at = |q: f64| values[((q * count as f64).ceil() as usize).clamp(1, count) - 1];
        (count > 0).then(|| Self {
            count,
            mean: values.iter().sum::<f64>() / count as f64,
            min: at(0.0),
            p05: at(0.05),
            p25: at(0.25),
            median: at(0.5),
            p75: at(0.75),
            max: at(1.0),
        })
    }
}

/// Gathers the changes of one request after the other.
#[derive(Debug, Default)]
pub struct Tally {
    equal: usize,
    overlap: Vec<f64>,
    rbo: Vec<f64>,
    tau: Vec<f64>,
    rungs: BTreeMap<&'static str, usize>,
    changed: BTreeMap<String, usize>,
    skipped: BTreeMap<String, usize>,
}

impl Tally {
    /// Adds a request: its answer of then, that of now, and what decides otherwise than then.
    pub fn add(&mut self, before: &CapturedAnswer, after: &CapturedAnswer, changed: Vec<String>) {
        let (was, is) = (before.list(), after.list());
        self.equal += usize::from(before.equals(after));
        self.overlap.push(overlap(&was, &is, TOP));
        self.rbo.push(rank_biased_overlap(&was, &is));
        self.tau.extend(kendall_tau(&was, &is));
        *self.rungs.entry(after.rung.as_str()).or_default() += 1;
        for what in changed {
            *self.changed.entry(what).or_default() += 1;
        }
    }

    /// Adds a request that could not be asked again.
    pub fn skip(&mut self, why: String) {
        *self.skipped.entry(why).or_default() += 1;
    }

    /// What came of all.
    pub fn report(self) -> ReplayReport {
        ReplayReport {
            requests: self.overlap.len(),
            equal: self.equal,
            overlap_at_20: Quantiles::of(self.overlap),
            rank_biased_overlap: Quantiles::of(self.rbo),
            kendall_tau: Quantiles::of(self.tau),
            rungs: self.rungs,
            changed: self.changed,
            skipped: self.skipped,
        }
    }
}

/// How the answers to many requests change.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ReplayReport {
    /// Requests that were asked again.
    pub requests: usize,
    /// Answers that came out bit for bit.
    pub equal: usize,
    /// Share of the first 20 tracks that both answers have.
    pub overlap_at_20: Option<Quantiles>,
    /// Rank-biased overlap at persistence 0.9.
    pub rank_biased_overlap: Option<Quantiles>,
    /// Kendall's tau of the tracks that both answers have; requests that share less than two have none.
    pub kendall_tau: Option<Quantiles>,
    /// Answers by their rung now.
    pub rungs: BTreeMap<&'static str, usize>,
    /// What decides otherwise than then, with the number of requests.
    pub changed: BTreeMap<String, usize>,
    /// Requests that could not be asked again, by why.
    pub skipped: BTreeMap<String, usize>,
}

/// The report for people.
pub fn text_table(report: &ReplayReport) -> String {
    let mut text = format!("{} requests asked again, {} answers equal bit for bit\n\n", report.requests, report.equal);
    let titles = ["", "count", "mean", "min", "p05", "p25", "median", "p75", "max"];
    let _ = writeln!(text, "{:<20}{}", titles[0], titles[1..].iter().map(|t| format!("{t:>9}")).collect::<String>());
    let rows = [
        ("overlap@20", report.overlap_at_20),
        ("rank-biased overlap", report.rank_biased_overlap),
        ("Kendall tau", report.kendall_tau),
    ];
    for (name, values) in rows {
        let Some(q) = values else { continue };
        let figures = [q.mean, q.min, q.p05, q.p25, q.median, q.p75, q.max];
        let figures: String = figures.iter().map(|value| format!("{value:>9.4}")).collect();
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<20}{:>9}{figures}", q.count);
    }
    let mut counts = |title: &str, counts: &BTreeMap<String, usize>| {
        if !counts.is_empty() {
            let _ = writeln!(text, "\n{title}");
            counts.iter().for_each(|(what, count)| {
                let _ = writeln!(text, "  {count:>7}  {what}");
            });
        }
    };
    counts("not as it was, in requests", &report.changed);
    counts("could not be asked again", &report.skipped);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::testing::answer;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quantiles_are_values_with_so_many_below(values in prop::collection::vec(-1.0f64..1.0, 1..60)) {
            let found = Quantiles::of(values.clone()).unwrap();
            for (q, value) in [(0.05, found.p05), (0.25, found.p25), (0.5, found.median), (0.75, found.p75)] {
                let below = values.iter().filter(|other| **other < value).count() as f64;
                let upto = values.iter().filter(|other| **other <= value).count() as f64;
                prop_assert!(below < q * values.len() as f64 + 1e-9 && upto + 1e-9 >= q * values.len() as f64);
            }
            prop_assert!(values.iter().all(|value| (found.min..=found.max).contains(value)));
        }
    }

    #[test]
    fn counts_what_is_equal_and_what_is_not() {
        let mut tally = Tally::default();
        let before = CapturedAnswer::of(&answer(4));
        tally.add(&before, &before.clone(), vec![]);
        let mut after = before.clone();
        after.tracks.swap(0, 1);
        tally.add(&before, &after, vec!["bundle: ranker.onnx".into()]);
        tally.skip("malformed".into());
        let report = tally.report();
        assert_eq!((report.requests, report.equal, report.rungs["full"]), (2, 1, 2));
        assert_eq!(report.overlap_at_20.unwrap().min, 1.0);
        assert!((report.kendall_tau.unwrap().min - 2.0 / 3.0).abs() < 1e-9);
        let text = text_table(&report);
        for expected in
            ["2 requests asked again, 1 answers equal", "overlap@20", "1  bundle: ranker.onnx", "1  malformed"]
        {
            assert!(text.contains(expected), "{text}");
        }
        assert_eq!(Quantiles::of(vec![]), None);
    }
}
