//! How well one track follows another.

use crate::domain::Track;
use crate::features::Sound;

/// What each part of a transition counts; together 1.
const TEMPO: f32 = 0.35;
const KEY: f32 = 0.25;
const ENERGY: f32 = 0.25;
const LOUDNESS: f32 = 0.15;

/// Difference of tempo that breaks the flow, octaves: a fifth faster or slower.
const TEMPO_BREAK: f32 = 0.25;
/// Steps on the circle of fifths from which keys clash alike.
const KEY_BREAK: f32 = 4.0;
/// Difference of energy that breaks the flow.
const ENERGY_BREAK: f32 = 0.5;
/// Difference of loudness that breaks the flow, dB.
const LOUDNESS_BREAK: f32 = 12.0;
/// What a part costs of which nothing is known: what two tracks drawn at random cost about.
const NEUTRAL: f32 = 0.5;
/// Tempo below which a number is no tempo, bpm.
const SLOWEST: f32 = 20.0;

/// What matters of a track to its neighbours. The catalogue knows a track as a whole, so its end and its start are that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Flow {
    /// log2 of the tempo.
    octave: Option<f32>,
    /// Place on the circle of fifths, a minor key at its relative major, and whether it is minor.
    key: Option<(i8, bool)>,
    energy: Option<f32>,
    loudness: Option<f32>,
}

impl Flow {
    /// Reads a track's audio columns; nonsense counts as unknown.
    pub(super) fn of(track: &Track) -> Self {
        let sound = Sound::of(track);
        let key = track.key.zip(track.mode).filter(|(key, mode)| (0..12).contains(key) && (0..2).contains(mode));
        let fifth = |(key, mode): (i8, i8)| {
            let major = if mode == 1 { key } else { key + 3 };
            (major * 7 % 12, mode == 0)
        };
        Self {
            octave: sound.tempo.filter(|bpm| *bpm >= SLOWEST).map(f32::log2),
            key: key.map(fifth),
            energy: sound.energy,
            loudness: sound.loudness,
        }
    }

    /// What it costs that one follows the other, 0 (flows) to 1 (breaks); the same both ways. A part that is unknown of
    /// either costs a half.
    pub(super) fn cost(&self, other: &Self) -> f32 {
        let part = |cost: Option<f32>| cost.map_or(NEUTRAL, |cost| cost.min(1.0));
        let apart = |a: Option<f32>, b: Option<f32>, most: f32| part(a.zip(b).map(|(a, b)| (a - b).abs() / most));
        TEMPO * part(self.octave.zip(other.octave).map(|(a, b)| octaves_apart(a, b) / TEMPO_BREAK))
            + KEY * part(self.key.zip(other.key).map(|(a, b)| f32::from(fifths_apart(a, b)) / KEY_BREAK))
            + ENERGY * apart(self.energy, other.energy, ENERGY_BREAK)
            + LOUDNESS * apart(self.loudness, other.loudness, LOUDNESS_BREAK)
    }
}

/// Distance of two tempi where half and double time are the same.
fn octaves_apart(a: f32, b: f32) -> f32 {
    let apart = (a - b).abs();
    apart.min((apart - 1.0).abs())
}

/// Steps on the circle of fifths; from a key to its relative is one step.
fn fifths_apart(a: (i8, bool), b: (i8, bool)) -> i8 {
    let around = (a.0 - b.0).abs();
    around.min(12 - around) + i8::from(a.1 != b.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::testing::track;
    use proptest::prelude::*;

    fn sounding(tempo: Option<f32>, key: Option<(i8, i8)>, energy: Option<f32>, loudness: Option<f32>) -> Flow {
        let mut track = track(0, "a");
        (track.tempo_bpm, track.energy, track.loudness_db) = (tempo, energy, loudness);
        (track.key, track.mode) = (key.map(|k| k.0), key.map(|k| k.1));
        Flow::of(&track)
    }

    /// Fewest steps between two keys, where a step is a fifth up, a fifth down or to the relative key: by walking.
    fn walked(from: (i8, i8), to: (i8, i8)) -> i8 {
        let mut reached = vec![from];
        for steps in 0.. {
            if reached.contains(&to) {
                return steps;
            }
            for (key, mode) in reached.clone() {
                let relative = if mode == 1 { ((key + 9) % 12, 0) } else { ((key + 3) % 12, 1) };
                reached.extend([((key + 7) % 12, mode), ((key + 5) % 12, mode), relative]);
            }
            reached.sort_unstable();
            reached.dedup();
        }
        unreachable!("every key is reached")
    }

    #[test]
    fn keys_are_as_far_as_the_circle_says() {
        let keys = || (0..12).flat_map(|key| [(key, 0), (key, 1)]);
        for (a, b) in keys().flat_map(|a| keys().map(move |b| (a, b))) {
            let place = |key| sounding(None, Some(key), None, None).key.unwrap();
            assert_eq!(fifths_apart(place(a), place(b)), walked(a, b), "{a:?} to {b:?}");
        }
    }

    #[test]
    fn half_and_double_time_flow() {
        let cost = |a: f32, b: f32| {
            let of = |bpm| sounding(Some(bpm), None, None, None);
            (of(a).cost(&of(b)) - NEUTRAL * (1.0 - TEMPO)) / TEMPO
        };
        for (a, b) in [(120.0, 120.0), (70.0, 140.0), (140.0, 70.0)] {
            assert!(cost(a, b).abs() < 1e-6, "{a} {b}");
        }
        assert!(cost(120.0, 126.0) < cost(120.0, 132.0) && cost(72.0, 140.0) < 0.2);
        assert!((cost(120.0, 150.0) - 1.0).abs() < 1e-6, "too far");
    }

    #[test]
    fn what_is_missing_or_nonsense_is_neutral() {
        let nothing = sounding(None, None, None, None);
        let wild = sounding(Some(f32::NAN), Some((-1, 1)), Some(f32::INFINITY), None);
        let known = sounding(Some(120.0), Some((0, 1)), Some(0.5), Some(-8.0));
        assert_eq!(nothing, wild);
        assert!((nothing.cost(&known) - NEUTRAL).abs() < 1e-6 && known.cost(&known) == 0.0);
        assert!((nothing.cost(&nothing) - NEUTRAL).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn costs_lie_between_flow_and_break_both_ways_alike(
            a in (prop::option::of(any::<f32>()), prop::option::of(any::<(i8, i8)>()), prop::option::of(any::<f32>())),
            b in (prop::option::of(30.0f32..300.0), prop::option::of((0i8..12, 0i8..2)), prop::option::of(0.0f32..1.0)),
        ) {
            let (a, b) = (sounding(a.0, a.1, a.2, a.2), sounding(b.0, b.1, b.2, None));
            prop_assert!((0.0..=1.0).contains(&a.cost(&b)), "{}", a.cost(&b));
            prop_assert_eq!(a.cost(&b), b.cost(&a));
        }
    }
}
