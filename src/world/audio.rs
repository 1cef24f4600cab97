//! Genres and how they sound.

/// How a genre sounds: means of the audio features, and how often it is explicit.
pub(super) struct Genre {
    pub(super) name: &'static str,
    pub(super) tempo: f32,
    pub(super) energy: f32,
    pub(super) valence: f32,
    pub(super) danceability: f32,
    pub(super) acousticness: f32,
    pub(super) loudness: f32,
    pub(super) explicit: f32,
    /// How much of the catalogue it makes up, relative to the others.
    pub(super) share: f32,
}

const fn genre(name: &'static str, sound: [f32; 6], explicit: f32, share: f32) -> Genre {
    let [tempo, energy, valence, danceability, acousticness, loudness] = sound;
    Genre { name, tempo, energy, valence, danceability, acousticness, loudness, explicit, share }
}

/// The genres of the world.
pub(super) const GENRES: [Genre; 12] = [
    genre("pop", [116.0, 0.66, 0.58, 0.67, 0.22, -6.0], 0.12, 1.6),
    genre("rock", [126.0, 0.78, 0.50, 0.48, 0.10, -6.5], 0.08, 1.3),
    genre("hip hop", [98.0, 0.64, 0.50, 0.76, 0.16, -6.8], 0.55, 1.3),
    genre("electronic", [126.0, 0.82, 0.46, 0.70, 0.06, -6.0], 0.05, 1.2),
    genre("indie", [120.0, 0.56, 0.44, 0.52, 0.38, -8.5], 0.08, 1.0),
    genre("r&b", [104.0, 0.54, 0.50, 0.66, 0.30, -7.6], 0.25, 0.8),
    genre("metal", [138.0, 0.93, 0.30, 0.38, 0.03, -5.0], 0.18, 0.6),
    genre("jazz", [112.0, 0.36, 0.52, 0.54, 0.70, -12.5], 0.01, 0.5),
    genre("classical", [100.0, 0.20, 0.28, 0.30, 0.93, -19.0], 0.0, 0.4),
    genre("folk", [112.0, 0.38, 0.46, 0.48, 0.74, -11.0], 0.03, 0.6),
    genre("ambient", [92.0, 0.18, 0.18, 0.32, 0.82, -19.5], 0.0, 0.4),
    genre("latin", [108.0, 0.72, 0.70, 0.76, 0.20, -5.8], 0.15, 0.8),
];
