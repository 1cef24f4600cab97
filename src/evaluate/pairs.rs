//! One system against another at the same moments.

use super::bootstrap::{percentile_interval, weighted_mean};
use super::report::SystemReport;
use crate::statistics::Estimate;

/// Figures that are compared.
const COMPARED: [&str; 4] = ["recall@1000", "hr@20", "mrr@20", "ndcg@20"];

/// The difference of two systems in one figure.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PairReport {
    /// The system from whose figure the other's is taken.
    pub system: String,
    /// The other one.
    pub against: String,
    /// Which figure.
    pub metric: &'static str,
    /// Mean difference over moments, with the central 95 % of its bootstrap distribution over listeners.
    pub difference: Estimate,
    /// Two-sided: twice the smaller share of resamples on one side of 0, at least one resample's.
    pub p: f64,
}

/// The first system against each other one. Both saw the same moments, so the listeners' differences are resampled.
pub(super) fn pairs(systems: &[SystemReport], resamples: usize, seed: u64) -> Vec<PairReport> {
    let Some((first, others)) = systems.split_first() else { return Vec::new() };
    others
        .iter()
        .flat_map(|other| COMPARED.iter().filter_map(|name| pair(first, other, name, resamples, seed)))
        .collect()
}

/// `None` where one lacks the figure, or they did not see the same moments.
fn pair(
    system: &SystemReport,
    other: &SystemReport,
    metric: &'static str,
    resamples: usize,
    seed: u64,
) -> Option<PairReport> {
    let rows = &system.by_listener.rows;
    let sums =
        |of: &SystemReport| of.by_listener.sums.iter().find(|(name, _)| *name == metric).map(|(_, sums)| sums.clone());
    let (own, others) = (sums(system)?, sums(other)?);
    if *rows != other.by_listener.rows {
        return None;
    }
    let differences: Vec<f64> = own.iter().zip(&others).map(|(own, other)| own - other).collect();
    let value = weighted_mean(&differences, rows, &vec![1; rows.len()])?;
    let (mut below, mut above) = (0usize, 0usize);
    let (low, high) = percentile_interval(rows.len(), resamples, seed, |weights| {
        let mean = weighted_mean(&differences, rows, weights)?;
        below += usize::from(mean <= 0.0);
        above += usize::from(mean >= 0.0);
        Some(mean)
    })?;
    let p = (2.0 * below.min(above).max(1) as f64 / resamples.max(1) as f64).min(1.0);
    let (system, against) = (system.name.clone(), other.name.clone());
    Some(PairReport { system, against, metric, difference: Estimate { value, low, high }, p })
}

#[cfg(test)]
mod tests {
    use super::super::report::{ByListener, Dials};
    use super::*;

    fn system(name: &str, sums: &[f64]) -> SystemReport {
        SystemReport {
            name: name.into(),
            dials: Dials::default(),
            metrics: Vec::new(),
            rungs: Default::default(),
            degraded: Default::default(),
            by_listener: ByListener { rows: vec![2; sums.len()], sums: vec![("hr@20", sums.to_vec())] },
        }
    }

    #[test]
    fn a_steady_small_gain_is_told_from_chance() {
        let base: Vec<f64> = (0..200).map(|user| f64::from(user % 3)).collect();
        let steady: Vec<f64> = base.iter().map(|sum| sum + 0.02).collect();
        let noisy: Vec<f64> =
            base.iter().enumerate().map(|(at, sum)| sum + if at % 2 == 0 { 0.5 } else { -0.5 }).collect();
        let reports = pairs(&[system("a", &base), system("b", &steady), system("c", &noisy)], 500, 3);
        assert_eq!(reports.len(), 2);
        let close = |estimate: Estimate, value: f64| (estimate.value - value).abs() < 1e-9;
        assert!(close(reports[0].difference, -0.01) && reports[0].p <= 2.0 / 500.0, "{:?}", reports[0]);
        assert!(close(reports[1].difference, 0.0) && reports[1].p > 0.5, "{:?}", reports[1]);
    }

    #[test]
    fn systems_of_other_moments_are_not_compared() {
        assert!(pairs(&[system("a", &[1.0]), system("b", &[1.0, 2.0])], 50, 1).is_empty());
        assert!(pairs(&[], 50, 1).is_empty());
    }
}
