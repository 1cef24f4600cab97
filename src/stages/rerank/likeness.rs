//! How alike two candidates are: the kernel by which diversity is measured.

use std::sync::Arc;

use crate::domain::{Catalogue, ItemVectors, Track, TrackIx};
use crate::features::Sound;
use crate::index::dot;

/// Components of a [`Point`]: six of the sound, one for tracks without audio, one that fills up what SIMD works on.
const POINT: usize = 8;
/// A sound as a point: each feature in units of its usual spread from its usual value, unknown ones at that value.
type Point = [f32; POINT];

/// Usual value and spread of log2 tempo, energy, valence, danceability, acousticness and loudness (dB) in popular music.
const USUAL: [(f32, f32); 6] = [(6.88, 0.3), (0.55, 0.25), (0.48, 0.25), (0.57, 0.18), (0.35, 0.33), (-9.0, 6.0)];
/// Tempo below which a number is no tempo, bpm.
const SLOWEST: f32 = 20.0;
/// Squared distance of points at which two tracks sound half alike: half of what two tracks drawn at random have.
const HALF: f32 = 6.0;

/// The likeness of candidates, 1 for a track with itself: `(1 - a) * cosine of the item vectors + a / (1 + d^2 / 6)`, where
/// `a` is the share of the audio and `d` the distance of the sounds. A track without a vector or without audio (tempo and
/// energy) is in that part like no other.
///
/// Every part is a positive semidefinite kernel (a Gram matrix; a Cauchy kernel, which is a mixture of Gaussians), so the
/// sum is one: what a determinantal point process asks for. Buffers are reused.
#[derive(Debug)]
pub struct Likeness {
    catalogue: Arc<Catalogue>,
    vectors: Arc<ItemVectors>,
    audio_share: f32,
    rows: Vec<f32>,
    points: Vec<Point>,
}

impl Likeness {
    /// Takes the bundle's tracks and the share of the audio, 0..1.
    pub fn new(catalogue: Arc<Catalogue>, vectors: Arc<ItemVectors>, audio_share: f32) -> Self {
        Self { catalogue, vectors, audio_share, rows: Vec::new(), points: Vec::new() }
    }

    /// Puts these tracks side by side: position i is the i-th of them from now on. `O(n * dim)`.
    pub fn load(&mut self, tracks: impl Iterator<Item = TrackIx>) {
        self.rows.clear();
        self.points.clear();
        for track in tracks {
            if track.at() < self.vectors.len() {
                self.rows.extend_from_slice(self.vectors.row(track.at()));
            } else {
                self.rows.resize(self.rows.len() + self.vectors.dim(), 0.0);
            }
            let audible = self.audio_share > 0.0 && track.at() < self.catalogue.len();
            let heard = if audible { point(self.catalogue.track(track)) } else { None };
            self.points.push(heard.unwrap_or_else(|| far_away(self.points.len())));
        }
    }

    /// How alike the tracks at two different positions are, -1..1. `O(dim)`.
    pub fn of(&self, a: usize, b: usize) -> f32 {
        let dim = self.vectors.dim();
        let row = |at: usize| &self.rows[at * dim..(at + 1) * dim];
        let audio = 1.0 / (1.0 + squared_distance(&self.points[a], &self.points[b]) / HALF);
        (1.0 - self.audio_share) * dot(row(a), row(b)) + self.audio_share * audio
    }
}

impl Likeness {
    /// Intra-list distance: `1 - likeness`, the mean over all pairs of these tracks. `None` for fewer than two. `O(n^2 * dim)`.
    pub fn distance(&mut self, tracks: impl Iterator<Item = TrackIx>) -> Option<f32> {
        self.load(tracks);
        let n = self.points.len();
        let pairs = (0..n).flat_map(|a| (0..a).map(move |b| (a, b)));
        let sum: f32 = pairs.map(|(a, b)| 1.0 - self.of(a, b)).sum();
        (n > 1).then(|| sum / (n * (n - 1) / 2) as f32)
    }
}

fn point(track: &Track) -> Option<Point> {
    let sound = Sound::of(track);
    let tempo = sound.tempo.map(|bpm| bpm.max(SLOWEST).log2());
    let features = [tempo, sound.energy, sound.valence, sound.danceability, sound.acousticness, sound.loudness];
    let mut point = [0.0; POINT];
    for ((to, feature), (usual, spread)) in point.iter_mut().zip(features).zip(USUAL) {
        *to = feature.map_or(0.0, |value| (value - usual) / spread);
    }
    sound.is_known().then_some(point)
}

/// The place of a track without audio: so far from every other that nothing is like it.
fn far_away(at: usize) -> Point {
    let mut point = [0.0; POINT];
    point[6] = 1e9 * (at + 1) as f32;
    point
}

fn squared_distance(a: &Point, b: &Point) -> f32 {
    let mut squares = [0.0; POINT];
    for at in 0..POINT {
        squares[at] = (a[at] - b[at]) * (a[at] - b[at]);
    }
    squares.iter().sum()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::UnitVector;
    use crate::stages::testing::track;
    use proptest::prelude::*;

    pub(in crate::stages::rerank) const DIM: usize = 3;

    /// One track in a test: a direction, and tempo, energy and loudness where it has audio.
    pub(in crate::stages::rerank) type Heard = ([f32; DIM], Option<(f32, f32, Option<f32>)>);

    pub(in crate::stages::rerank) fn heard() -> impl Strategy<Value = Heard> {
        let loudness = prop::option::of(-30.0f32..0.0);
        ([0.1f32..1.0, -1.0..1.0, -1.0..1.0], prop::option::of((60.0f32..200.0, 0.0f32..1.0, loudness)))
    }

    pub(in crate::stages::rerank) fn parts(tracks: &[Heard]) -> (Arc<Catalogue>, Arc<ItemVectors>) {
        let rows = tracks.iter().enumerate().map(|(row, (_, audio))| {
            let mut track = track(row, "a");
            if let Some((tempo, energy, loudness)) = audio {
                (track.tempo_bpm, track.energy, track.loudness_db) = (Some(*tempo), Some(*energy), *loudness);
            }
            track
        });
        let unit = tracks.iter().flat_map(|(v, _)| UnitVector::new(v.to_vec(), DIM).unwrap().as_slice().to_vec());
        let vectors = ItemVectors::from_raw(unit.collect(), DIM).unwrap();
        (Arc::new(Catalogue::new(rows.collect()).unwrap()), Arc::new(vectors))
    }

    /// The likeness of all of these tracks, loaded.
    pub(in crate::stages::rerank) fn loaded(tracks: &[Heard], audio_share: f32) -> Likeness {
        let (catalogue, vectors) = parts(tracks);
        let mut likeness = Likeness::new(catalogue, vectors, audio_share);
        likeness.load((0..tracks.len() as u32).map(TrackIx));
        likeness
    }

    proptest! {
        /// A Cholesky factor exists, but for rounding: no quadratic form of the matrix is negative.
        #[test]
        fn is_a_positive_semidefinite_kernel(
            tracks in prop::collection::vec(heard(), 1..9), weights in prop::collection::vec(-1.0f64..1.0, 9),
            share in 0.0f32..=1.0,
        ) {
            let likeness = loaded(&tracks, share);
            let of = |a: usize, b: usize| if a == b { 1.0 } else { f64::from(likeness.of(a, b)) };
            let n = tracks.len();
            let form: f64 = (0..n).flat_map(|a| (0..n).map(move |b| (a, b))).map(|(a, b)| weights[a] * weights[b] * of(a, b)).sum();
            prop_assert!(form > -1e-4, "{form}");
            for a in 0..n {
                for b in 0..a {
                    prop_assert_eq!(likeness.of(a, b), likeness.of(b, a));
                    prop_assert!(likeness.of(a, b).abs() <= 1.0 + 1e-4);
                }
            }
        }
    }

    #[test]
    fn the_distance_of_a_list_is_that_of_its_pairs() {
        let [east, north] = [([1.0, 0.0, 0.0], None), ([0.0, 1.0, 0.0], None)];
        let mut likeness = loaded(&[east, north, east], 0.0);
        let mut distance = |tracks: &[u32]| likeness.distance(tracks.iter().map(|row| TrackIx(*row)));
        assert_eq!([distance(&[0, 1]), distance(&[0, 2]), distance(&[1])], [Some(1.0), Some(0.0), None]);
        assert!((distance(&[0, 1, 2]).unwrap() - 2.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn what_is_not_known_is_like_nothing() {
        let east = [1.0, 0.0, 0.0];
        let tracks = [(east, None), (east, None), (east, Some((120.0, 0.5, None))), (east, Some((120.0, 0.5, None)))];
        let likeness = loaded(&tracks, 0.4);
        assert!((likeness.of(0, 1) - 0.6).abs() < 1e-6 && (likeness.of(0, 2) - 0.6).abs() < 1e-6);
        assert!((likeness.of(2, 3) - 1.0).abs() < 1e-6, "the same vector and sound");
        let (catalogue, _) = parts(&tracks);
        let mut bare = Likeness::new(catalogue, Arc::new(ItemVectors::none()), 0.4);
        bare.load([TrackIx(2), TrackIx(3), TrackIx(9)].into_iter());
        assert!((bare.of(0, 1) - 0.4).abs() < 1e-6 && bare.of(0, 2).abs() < 1e-6);
    }
}
