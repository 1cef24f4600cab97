//! Policies beside each other, over all seeds.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::day::{Day, MEASURES};
use crate::statistics::Estimate;

/// One measure of a policy.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Measured {
    /// Its name.
    pub name: &'static str,
    /// Over the whole run; mean over seeds with the 95 % interval of Student's t.
    #[serde(flatten)]
    pub whole: Estimate,
    /// Day by day, mean over seeds.
    pub by_day: Vec<f64>,
}

/// One policy.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PolicyReport {
    /// Its name.
    pub name: String,
    /// In the order of [`MEASURES`].
    pub measures: Vec<Measured>,
    /// Answers below the full funnel, of all answers: anything but 0 means that the pipeline was not whole.
    pub below_full: u64,
    /// Answers.
    pub answers: u64,
    /// The days of each seed.
    pub runs: Vec<Vec<Day>>,
}

/// One measure of a policy against the first one's, seed by seed.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Comparison {
    /// The policy.
    pub policy: String,
    /// The measure.
    pub measure: &'static str,
    /// Mean over seeds of `policy / first - 1`, with the 95 % interval of Student's t.
    #[serde(flatten)]
    pub change: Estimate,
}

/// What came of a simulation.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SimulationReport {
    /// Listeners of each run.
    pub listeners: u32,
    /// Days served.
    pub days: u32,
    /// The first seed, and how many.
    pub seeds: (u32, u32),
    /// The first is what the others are compared with.
    pub policies: Vec<PolicyReport>,
    /// The others against it.
    pub comparisons: Vec<Comparison>,
}

/// Sums the runs of each policy up: `runs[policy][seed][day]`, as many seeds for each.
pub fn summarise(names: &[String], runs: Vec<Vec<Vec<Day>>>) -> (Vec<PolicyReport>, Vec<Comparison>) {
    let wholes: Vec<Vec<Day>> = runs.iter().map(|seeds| seeds.iter().map(|days| whole(days)).collect()).collect();
    let mut comparisons = Vec::new();
    for (at, name) in names.iter().enumerate().skip(1) {
        for (measure, of) in MEASURES {
            let ratios = wholes[at].iter().zip(&wholes[0]).map(|(own, first)| of(own) / of(first) - 1.0);
            if let Some(change) = interval(&ratios.collect::<Vec<_>>()) {
                comparisons.push(Comparison { policy: name.clone(), measure, change });
            }
        }
    }
    let policies = names.iter().zip(runs).zip(&wholes).map(|((name, runs), wholes)| PolicyReport {
        name: name.clone(),
        measures: MEASURES
            .iter()
            .filter_map(|(name, of)| {
                let whole = interval(&wholes.iter().map(of).collect::<Vec<_>>())?;
                Some(Measured { name, whole, by_day: by_day(&runs, *of) })
            })
            .collect(),
        below_full: wholes.iter().map(|whole| whole.below_full).sum(),
        answers: wholes.iter().map(|whole| whole.answers).sum(),
        runs,
    });
    (policies.collect(), comparisons)
}

fn whole(days: &[Day]) -> Day {
    let mut sum = Day::default();
    days.iter().for_each(|day| sum.add(day));
    sum
}

fn by_day(runs: &[Vec<Day>], of: fn(&Day) -> f64) -> Vec<f64> {
    let days = runs.iter().map(Vec::len).min().unwrap_or(0);
    (0..days).map(|day| runs.iter().map(|run| of(&run[day])).sum::<f64>() / runs.len() as f64).collect()
}

/// Mean with the 95 % interval of Student's t; of one value, that value alone. `None` of nothing and of what is no number.
fn interval(values: &[f64]) -> Option<Estimate> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    if values.is_empty() || !mean.is_finite() {
        return None;
    }
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    let t = StudentsT::new(0.0, 1.0, (n - 1.0).max(1.0)).map_or(f64::INFINITY, |t| t.inverse_cdf(0.975));
    let half = if variance > 0.0 { t * (variance / n).sqrt() } else { 0.0 };
    Some(Estimate { value: mean, low: mean - half, high: mean + half })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_the_textbooks() {
        // Mean 5, s = 2, n = 5: half-width 2.776 * 2 / sqrt(5), by a table of Student's t.
        let spread = 2.0f64;
        let values = [5.0 - spread, 5.0 + spread, 5.0 - spread, 5.0 + spread, 5.0].map(|x: f64| x);
        let estimate = interval(&values).unwrap();
        assert!((estimate.value - 5.0).abs() < 1e-12 && (estimate.high - 5.0 - 2.776 * 2.0 / 5f64.sqrt()).abs() < 2e-3);
        assert!(interval(&[]).is_none() && interval(&[f64::NAN]).is_none());
        assert_eq!(interval(&[3.0]), Some(Estimate { value: 3.0, low: 3.0, high: 3.0 }));
    }

    #[test]
    fn policies_are_compared_seed_by_seed() {
        let day = |minutes: u64| Day { days: 1, listeners: 1, played_ms: minutes * 60_000, ..Day::default() };
        let runs = vec![
            vec![vec![day(10), day(10)], vec![day(40), day(40)]],
            vec![vec![day(11), day(11)], vec![day(44), day(44)]],
        ];
        let (policies, comparisons) = summarise(&["a".into(), "b".into()], runs);
        let minutes = |measures: &[Measured]| measures.iter().find(|m| m.name == "minutes").unwrap().clone();
        assert_eq!(minutes(&policies[0].measures).whole.value, 50.0);
        assert_eq!(minutes(&policies[0].measures).by_day, [25.0, 25.0]);
        let change = comparisons.iter().find(|c| c.measure == "minutes").unwrap().change;
        // The seeds differ by a factor of four; the policies by a tenth in each.
        assert!((change.value - 0.1).abs() < 1e-12 && change.high - change.low < 1e-9, "{change:?}");
        // Of nothing served, no share can be compared.
        assert!(comparisons.iter().all(|c| c.measure != "completed"));
    }
}
