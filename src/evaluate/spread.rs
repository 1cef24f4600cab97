//! How the lists of a system lie over the catalogue.

use super::ranking::gini;
use crate::domain::TrackIx;
use crate::statistics::Estimate;

/// Groups of listeners of which one at a time is left out.
const GROUPS: u32 = 20;
/// Half of the 95 % interval of a normal variable, in deviations.
const DEVIATIONS: f64 = 1.96;

/// Every track that was served, with the group of the listener that it was served to.
///
/// Coverage and Gini are no means over listeners, and a resample with repetitions covers less of a catalogue than the
/// sample: their intervals are those of the delete-a-group jackknife (Kott 2001) over 20 groups of listeners.
#[derive(Debug)]
pub(super) struct Spread {
    tracks: usize,
    served: Vec<(u32, TrackIx)>,
}

impl Spread {
    pub(super) fn new(tracks: usize) -> Self {
        Self { tracks, served: Vec::new() }
    }

    /// Takes the list that was served to a listener.
    pub(super) fn add(&mut self, user: u32, list: impl Iterator<Item = TrackIx>) {
        self.served.extend(list.map(|track| (user % GROUPS, track)));
    }

    /// Share of the catalogue that was served at least once.
    pub(super) fn coverage(&self) -> Estimate {
        let tracks = self.tracks.max(1) as f64;
        self.estimate(|counts| counts.iter().filter(|count| **count > 0).count() as f64 / tracks)
    }

    /// Gini coefficient of how often each track of the catalogue was served.
    pub(super) fn gini(&self) -> Estimate {
        self.estimate(gini)
    }

    fn estimate(&self, statistic: impl Fn(&[u32]) -> f64) -> Estimate {
        let mut counts = vec![0u32; self.tracks];
        self.served.iter().for_each(|(_, track)| counts[track.at()] += 1);
        let value = statistic(&counts);
        let mut without: Vec<f64> = Vec::new();
        for group in 0..GROUPS {
            let own = || self.served.iter().filter(|(of, _)| *of == group);
            if own().next().is_none() {
                continue;
            }
            own().for_each(|(_, track)| counts[track.at()] -= 1);
            without.push(statistic(&counts));
            own().for_each(|(_, track)| counts[track.at()] += 1);
        }
        let groups = without.len().max(1) as f64;
        let mean = without.iter().sum::<f64>() / groups;
        let variance = (groups - 1.0) / groups * without.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let half = DEVIATIONS * variance.sqrt();
        Estimate { value, low: value - half, high: value + half }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_tracks_once_for_coverage_and_each_time_for_gini() {
        let mut spread = Spread::new(4);
        assert_eq!((spread.coverage().value, spread.gini().value), (0.0, 0.0));
        (0..40).for_each(|user| spread.add(user, [TrackIx(0), TrackIx(user % 2)].into_iter()));
        assert_eq!(spread.coverage(), Estimate { value: 0.5, low: 0.5, high: 0.5 });
        assert_eq!(spread.gini().value, gini(&[60, 20, 0, 0]));
    }

    #[test]
    fn what_few_listeners_get_is_uncertain() {
        let mut spread = Spread::new(100);
        (0..20).for_each(|user| spread.add(user, [TrackIx(user)].into_iter()));
        let coverage = spread.coverage();
        assert_eq!(coverage.value, 0.2);
        assert!(coverage.high - coverage.low < 1e-9, "every group adds as much as the others: {coverage:?}");
        spread.add(0, (50..90).map(TrackIx));
        let coverage = spread.coverage();
        assert!(coverage.low < 0.4 && coverage.high > 0.7, "{coverage:?}");
    }
}
