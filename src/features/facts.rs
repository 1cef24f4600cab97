//! Facts about tracks, with every number brought into its range: what the features and the session state are made of.

use crate::domain::Track;

/// What a track sounds like; absent parts are unknown.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sound {
    /// Beats per minute, 0..400.
    pub tempo: Option<f32>,
    /// 0..1.
    pub energy: Option<f32>,
    /// 0..1.
    pub valence: Option<f32>,
    /// 0..1.
    pub danceability: Option<f32>,
    /// 0..1.
    pub acousticness: Option<f32>,
    /// Decibel, -60..10.
    pub loudness: Option<f32>,
}

impl Sound {
    /// Reads a track's audio features; numbers out of range are clamped, numbers that are not finite are unknown.
    pub fn of(track: &Track) -> Self {
        Self {
            tempo: within(track.tempo_bpm, 0.0, 400.0),
            energy: within(track.energy, 0.0, 1.0),
            valence: within(track.valence, 0.0, 1.0),
            danceability: within(track.danceability, 0.0, 1.0),
            acousticness: within(track.acousticness, 0.0, 1.0),
            loudness: within(track.loudness_db, -60.0, 10.0),
        }
    }

    /// Whether tempo and energy are known: what counts as having audio features.
    pub fn is_known(&self) -> bool {
        self.tempo.is_some() && self.energy.is_some()
    }
}

/// The catalogue's length of a track; a length that is not positive is unknown.
pub fn duration_ms(track: &Track) -> Option<u32> {
    track.duration_ms.and_then(|d| u32::try_from(d).ok()).filter(|d| *d > 0)
}

fn within(value: Option<f32>, least: f32, most: f32) -> Option<f32> {
    value.filter(|v| v.is_finite()).map(|v| v.clamp(least, most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::testing::track;

    #[test]
    fn clamps_and_forgets_nonsense() {
        let mut wild = track("t0", "a");
        (wild.tempo_bpm, wild.energy, wild.valence) = (Some(f32::MAX), Some(f32::NAN), Some(-3.0));
        wild.duration_ms = Some(-5);
        let sound = Sound::of(&wild);
        assert_eq!((sound.tempo, sound.energy, sound.valence), (Some(400.0), None, Some(0.0)));
        assert!(!sound.is_known());
        assert_eq!(duration_ms(&wild), None);
    }
}
