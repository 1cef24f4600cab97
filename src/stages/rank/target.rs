//! The sound that a request aims at.

use crate::domain::{Target, Track};

/// Most that a perfect match adds to the blended score: half of what a certain play is worth at default weights.
pub const TARGET_BONUS: f32 = 0.5;

/// Tempo gap at which a match is worth nothing, bpm.
const TEMPO_SCALE: f32 = 40.0;
/// Gap of energy and valence at which a match is worth nothing.
const UNIT_SCALE: f32 = 0.5;

/// What a track's sound adds to its score, 0..=[`TARGET_BONUS`]: the mean closeness over the parts of the target that
/// are set, each falling linearly from 1 (equal) to 0 (40 bpm, or 0.5 of energy or valence, apart). Half and double
/// tempo count as equal, for the beat is the same. A part that is unknown of the track counts 0. Without a target: 0.
pub fn target_bonus(target: &Target, track: &Track) -> f32 {
    let parts = [
        target.tempo.map(|wanted| track.tempo_bpm.map_or(0.0, |tempo| tempo_closeness(wanted, tempo))),
        target.energy.map(|wanted| track.energy.map_or(0.0, |energy| closeness(wanted - energy, UNIT_SCALE))),
        target.valence.map(|wanted| track.valence.map_or(0.0, |valence| closeness(wanted - valence, UNIT_SCALE))),
    ];
    let (sum, count) = parts.iter().flatten().fold((0.0, 0.0), |(sum, count), part| (sum + part, count + 1.0));
    if count > 0.0 { TARGET_BONUS * sum / count } else { 0.0 }
}

fn tempo_closeness(wanted: f32, tempo: f32) -> f32 {
    [tempo, tempo * 2.0, tempo / 2.0].map(|t| closeness(wanted - t, TEMPO_SCALE)).into_iter().fold(0.0, f32::max)
}

/// 1 at no gap, 0 from `scale` on; 0 for a gap that is not a number.
fn closeness(gap: f32, scale: f32) -> f32 {
    (1.0 - gap.abs() / scale).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::testing::track;
    use proptest::prelude::*;

    #[test]
    fn closeness_of_known_parts() {
        let mut row = track(0, "a");
        row.tempo_bpm = Some(120.0);
        let tempo = |tempo| Target { tempo: Some(tempo), ..Target::default() };
        assert_eq!(target_bonus(&Target::default(), &row), 0.0);
        assert_eq!(target_bonus(&tempo(120.0), &row), TARGET_BONUS);
        assert_eq!(target_bonus(&tempo(60.0), &row), TARGET_BONUS, "half the tempo is the same beat");
        assert_eq!(target_bonus(&tempo(100.0), &row), TARGET_BONUS / 2.0);
        let with_energy = Target { energy: Some(0.5), ..tempo(120.0) };
        assert_eq!(target_bonus(&with_energy, &row), TARGET_BONUS / 2.0, "unknown energy counts nothing");
    }

    proptest! {
        #[test]
        fn is_bounded_for_any_number(
            wanted in prop::option::of(any::<f32>()), tempo in prop::option::of(any::<f32>()), energy in prop::option::of(any::<f32>()),
        ) {
            let mut row = track(0, "a");
            (row.tempo_bpm, row.energy, row.valence) = (tempo, energy, energy);
            let bonus = target_bonus(&Target { tempo: wanted, energy: wanted, valence: wanted }, &row);
            prop_assert!((0.0..=TARGET_BONUS).contains(&bonus));
        }
    }
}
