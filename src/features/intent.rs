//! A session as a point of the embedding space, and what that says of its intent. Bundles are built and requests are
//! answered by this one code.

use crate::domain::{IntentPrototypes, ItemVectors, Play, TrackIx};

use super::numbers::dot;

/// What a play counts beside the one after it: of a session of any length the last three plays weigh four fifths.
const FADE: f32 = 0.6;
/// A sum shorter than this has no direction: the plays cancel each other out.
const SHORTEST: f32 = 1e-3;

/// The plays of a window that say what the session is for, newest first: track and signal of those that were wanted.
pub fn wanted(window: &[Play]) -> impl Iterator<Item = (TrackIx, f32)> {
    window.iter().rev().filter(|play| play.signal > 0.0).map(|play| (play.track, play.signal))
}

/// Where a session is now. Keeps its memory.
#[derive(Debug, Default, Clone)]
pub struct SessionPoint {
    direction: Vec<f32>,
    cosines: Vec<f32>,
    plays: usize,
}

impl SessionPoint {
    /// Takes plays with their weights, newest first: each counts .6 times what the one after it does. Whether they
    /// have a direction. `O(plays * dim)`, no allocation once warm.
    pub fn read(&mut self, plays: impl Iterator<Item = (TrackIx, f32)>, vectors: &ItemVectors) -> bool {
        self.direction.clear();
        self.direction.resize(vectors.dim(), 0.0);
        let mut left = 1.0;
        self.plays = 0;
        for (track, weight) in plays.filter(|(track, _)| track.at() < vectors.len()) {
            let weight = left * weight;
            self.direction.iter_mut().zip(vectors.row(track.at())).for_each(|(sum, value)| *sum += weight * value);
            left *= FADE;
            self.plays += 1;
        }
        scale(&mut self.direction)
    }

    /// The share of each label for the plays that were read last. `O(prototypes * dim)`, no allocation once warm.
    pub fn shares(&mut self, prototypes: &IntentPrototypes, out: &mut Vec<f32>) {
        let Self { direction, cosines, plays } = self;
        cosines.clear();
        cosines.extend(prototypes.prototypes().iter().map(|prototype| dot(&prototype.direction, direction)));
        prototypes.shares(cosines, *plays, out);
    }

    /// The direction, of length 1.
    pub fn direction(&self) -> &[f32] {
        &self.direction
    }
}

/// Writes the direction of the mean of some tracks' vectors, each counted alike, to `out`; whether there is one.
pub fn mean_direction(tracks: impl Iterator<Item = TrackIx>, vectors: &ItemVectors, out: &mut [f32]) -> bool {
    out.fill(0.0);
    for track in tracks {
        out.iter_mut().zip(vectors.row(track.at())).for_each(|(sum, value)| *sum += value);
    }
    scale(out)
}

/// Scales to length 1; `false` where there is no direction.
fn scale(sum: &mut [f32]) -> bool {
    let norm = dot(sum, sum).sqrt();
    if !(norm.is_finite() && norm > SHORTEST) {
        return false;
    }
    sum.iter_mut().for_each(|value| *value /= norm);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Prototype, SessionProfile};
    use proptest::prelude::*;

    /// Rows 0 and 1 along the first axis, 2 and 3 along the second, 4 against the first.
    fn vectors() -> ItemVectors {
        let rows = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.0, 1.0], [-1.0, 0.0]];
        ItemVectors::from_raw(rows.concat(), 2).unwrap()
    }

    fn prototypes(sharpness: f32) -> IntentPrototypes {
        let prototype = |label: &str, direction: [f32; 2]| Prototype {
            label: label.into(),
            sessions: 1,
            profile: SessionProfile::default(),
            genres: Vec::new(),
            direction: direction.to_vec(),
        };
        IntentPrototypes::new(vec![prototype("x", [1.0, 0.0]), prototype("y", [0.0, 1.0])], vec![sharpness])
    }

    fn play(track: u32, signal: f32) -> Play {
        Play { track: TrackIx(track), signal, played_fraction: 1.0, ts_ms: 0, liked: false }
    }

    #[test]
    fn three_plays_turn_a_session_of_any_length() {
        let (mut point, mut shares) = (SessionPoint::default(), Vec::new());
        let mut window = vec![play(0, 1.0); 40];
        let mut of_y = Vec::new();
        for next in [None, Some(play(2, 1.0)), Some(play(4, -1.0)), Some(play(3, 1.0)), Some(play(2, 1.0))] {
            window.extend(next);
            assert!(point.read(wanted(&window), &vectors()));
            point.shares(&prototypes(10.0), &mut shares);
            of_y.push(shares[1]);
        }
        assert!(of_y[0] < 0.01 && of_y[4] > 0.9, "{of_y:?}");
        assert_eq!(of_y[1], of_y[2], "what was skipped says nothing of what it is for");
        assert!(of_y.is_sorted());
    }

    #[test]
    fn plays_without_a_direction_are_none() {
        let mut point = SessionPoint::default();
        assert!(!point.read(std::iter::empty(), &vectors()));
        assert!(!point.read(wanted(&[play(0, -1.0), play(0, 0.0)]), &vectors()));
        assert!(!point.read([(TrackIx(0), FADE), (TrackIx(4), 1.0)].into_iter(), &vectors()), "they cancel out");
        assert!(!point.read([(TrackIx(99), 1.0)].into_iter(), &vectors()), "a row of another catalogue");
        let mut mean = [0.0; 2];
        assert!(mean_direction([TrackIx(0), TrackIx(2)].into_iter(), &vectors(), &mut mean));
        assert!((mean[0] - mean[1]).abs() < 1e-6 && (mean[0] - 0.5f32.sqrt()).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn equals_the_sum_written_out(plays in prop::collection::vec((0u32..4, -1.0f32..=1.0), 0..60)) {
            let window: Vec<Play> = plays.iter().map(|(track, signal)| play(*track, *signal)).collect();
            let mut point = SessionPoint::default();
            let found = point.read(wanted(&window), &vectors());
            let kept: Vec<_> = plays.iter().rev().filter(|(_, signal)| *signal > 0.0).collect();
            let mut sum = [0.0f64; 2];
            for (at, (track, signal)) in kept.iter().enumerate() {
                let weight = f64::from(FADE).powi(at as i32) * f64::from(*signal);
                let row = vectors().row(*track as usize).to_vec();
                sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * f64::from(value));
            }
            let norm = (sum[0] * sum[0] + sum[1] * sum[1]).sqrt();
            prop_assert!(found == (norm > f64::from(SHORTEST)) || (norm - f64::from(SHORTEST)).abs() < 1e-5);
            if found {
                prop_assert!(point.direction().iter().zip(sum).all(|(a, b)| (f64::from(*a) - b / norm).abs() < 1e-3));
            }
        }
    }
}
