//! The same figures for parts of the moments: where a system is good, and where it is not.

use std::collections::BTreeMap;

use super::bootstrap::mean_estimate;
use super::report::MetricReport;
use crate::domain::Device;

/// Steps of how often something was played: 0, 1 or 2, 3 to 9, and so on.
const STEPS: [(u32, &str); 6] = [(0, "0"), (1, "1-2"), (3, "3-9"), (10, "10-99"), (100, "100-999"), (1_000, "1000+")];
/// Parts of the day by the listener's local hour.
const HOURS: [&str; 4] = ["0-5", "6-11", "12-17", "18-23"];

/// Part of the moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slice {
    /// Position of the dimension; decides the order.
    dimension: u8,
    /// Position in the dimension.
    part: u8,
    name: &'static str,
}

impl Slice {
    /// How many dimensions there are.
    pub(super) const DIMENSIONS: usize = 4;
    const NAMES: [&'static str; Self::DIMENSIONS] = ["track_plays", "listener_plays", "hour", "device"];

    /// By how often the target was played before the test period. The first parts are the cold tracks.
    pub(super) fn track_plays(plays: u32) -> Self {
        Self::step(0, plays)
    }

    /// By how often the listener had played anything. The first parts are the cold listeners.
    pub(super) fn listener_plays(plays: u32) -> Self {
        Self::step(1, plays)
    }

    /// By the listener's local hour, 0..23.
    pub(super) fn hour(hour: Option<u8>) -> Self {
        let part = hour.map_or(HOURS.len(), |hour| usize::from(hour) / 6);
        Self { dimension: 2, part: part as u8, name: HOURS.get(part).copied().unwrap_or("unknown") }
    }

    /// By the device of the play.
    pub(super) fn device(device: Device) -> Self {
        Self { dimension: 3, part: device as u8, name: device.as_str() }
    }

    fn step(dimension: u8, plays: u32) -> Self {
        let part = STEPS.iter().rposition(|(from, _)| plays >= *from).unwrap_or(0);
        Self { dimension, part: part as u8, name: STEPS[part].1 }
    }
}

/// One part of the moments.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SliceReport {
    /// What the moments are parted by: `track_plays` (of the target before the test period), `listener_plays` (before the
    /// moment), `hour`, `device`.
    pub dimension: &'static str,
    /// Which part.
    pub slice: &'static str,
    /// Moments in it.
    pub n: usize,
    /// Figures of the first system.
    pub metrics: Vec<MetricReport>,
}

/// Figures that a slice is told by: positions in what [`Slices::add`] takes.
#[derive(Debug)]
pub(super) struct Slices<const N: usize> {
    names: [&'static str; N],
    moments: BTreeMap<Slice, Vec<(u32, [f64; N])>>,
}

impl<const N: usize> Slices<N> {
    pub(super) fn new(names: [&'static str; N]) -> Self {
        Self { names, moments: BTreeMap::new() }
    }

    /// Takes the values of one moment of a listener.
    pub(super) fn add(&mut self, user: u32, slices: &[Slice], values: [f64; N]) {
        slices.iter().for_each(|slice| self.moments.entry(*slice).or_default().push((user, values)));
    }

    /// Means with intervals over the listeners of each slice.
    pub(super) fn reports(&self, resamples: usize, seed: u64) -> Vec<SliceReport> {
        let report = |(slice, moments): (&Slice, &Vec<(u32, [f64; N])>)| SliceReport {
            dimension: Slice::NAMES[usize::from(slice.dimension)],
            slice: slice.name,
            n: moments.len(),
            metrics: (0..N).filter_map(|at| metric(self.names[at], at, moments, resamples, seed)).collect(),
        };
        self.moments.iter().map(report).collect()
    }
}

fn metric<const N: usize>(
    name: &'static str,
    at: usize,
    moments: &[(u32, [f64; N])],
    resamples: usize,
    seed: u64,
) -> Option<MetricReport> {
    let mut users: Vec<u32> = moments.iter().map(|(user, _)| *user).collect();
    users.sort_unstable();
    users.dedup();
    let (mut sums, mut rows) = (vec![0.0; users.len()], vec![0u32; users.len()]);
    for (user, values) in moments {
        if let Ok(place) = users.binary_search(user) {
            sums[place] += values[at];
            rows[place] += 1;
        }
    }
    Some(MetricReport { name, estimate: mean_estimate(&sums, &rows, resamples, seed)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steps_and_hours_meet_without_a_gap() {
        let names: Vec<_> =
            [0, 1, 2, 3, 9, 10, 99, 100, 1_000, u32::MAX].map(|plays| Slice::track_plays(plays).name).into();
        assert_eq!(names, ["0", "1-2", "1-2", "3-9", "3-9", "10-99", "10-99", "100-999", "1000+", "1000+"]);
        let hours = [Some(0), Some(5), Some(6), Some(23), None, Some(24), Some(255)].map(|hour| Slice::hour(hour).name);
        assert_eq!(hours, ["0-5", "0-5", "6-11", "18-23", "unknown", "unknown", "unknown"]);
    }

    proptest! {
        /// Each slice's mean is that of its own moments, and every dimension holds all moments.
        #[test]
        fn equals_filtering(moments in prop::collection::vec((0u32..4, 0u32..200, 0.0f64..1.0), 1..30)) {
            let mut slices = Slices::new(["a"]);
            for (user, plays, value) in &moments {
                slices.add(*user, &[Slice::track_plays(*plays), Slice::hour(None)], [*value]);
            }
            let reports = slices.reports(20, 1);
            for report in &reports {
                let own: Vec<f64> = moments
                    .iter()
                    .filter(|(_, plays, _)| report.dimension == "hour" || Slice::track_plays(*plays).name == report.slice)
                    .map(|(_, _, value)| *value)
                    .collect();
                prop_assert_eq!(report.n, own.len());
                let mean = own.iter().sum::<f64>() / own.len() as f64;
                prop_assert!((report.metrics[0].estimate.value - mean).abs() < 1e-9);
            }
            let n: usize = reports.iter().filter(|report| report.dimension == "track_plays").map(|report| report.n).sum();
            prop_assert_eq!(n, moments.len());
        }
    }
}
