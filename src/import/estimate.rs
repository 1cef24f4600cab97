//! Lengths of tracks from how long they were played, where the source gives none.

use super::play::Hint;
use super::store::{NONE, Row, Store};

/// Which plays tell the length of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Estimate {
    /// None do.
    #[default]
    No,
    /// All: the 75th percentile of their length.
    AllPlays,
    /// Those that ran to the end: the median of their length.
    FinishedPlays,
}

/// Gives each track without a length an estimate; `O(n log n)` time, 8 bytes a play.
pub(super) fn durations(store: &mut Store, estimate: Estimate) {
    let (counts, q): (fn(&Row) -> bool, f64) = match estimate {
        Estimate::No => return,
        Estimate::AllPlays => (|_| true, 0.75),
        Estimate::FinishedPlays => (|row| row.hint == Hint::Done, 0.5),
    };
    let told = store.rows.iter().filter(|row| row.played_ms != NONE && row.played_ms > 0 && counts(row));
    let mut played: Vec<(u32, u32)> = told.map(|row| (row.track, row.played_ms)).collect();
    played.sort_unstable();
    for of_track in played.chunk_by(|a, b| a.0 == b.0) {
        let about = &mut store.about[of_track[0].0 as usize];
        if about.duration_ms.is_none() {
            about.duration_ms = Some(quantile(of_track, q));
        }
    }
}

/// Quantile with linear interpolation between the two nearest; `sorted` is not empty.
fn quantile(sorted: &[(u32, u32)], q: f64) -> i64 {
    let at = q * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize].1, sorted[at.ceil() as usize].1);
    (f64::from(low) + (f64::from(high) - f64::from(low)) * at.fract()).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        let of = |lengths: &[u32]| lengths.iter().map(|l| (0, *l)).collect::<Vec<_>>();
        assert_eq!(quantile(&of(&[7]), 0.75), 7);
        assert_eq!(quantile(&of(&[0, 100]), 0.75), 75);
        assert_eq!(quantile(&of(&[1, 2, 3, 4, 5]), 0.75), 4);
        assert_eq!(quantile(&of(&[1, 2, 4]), 0.5), 2);
    }
}
