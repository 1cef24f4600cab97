//! Tracks: one, its neighbours, and top lists.

use super::rfc3339;
use crate::domain::{Catalogue, Retrieved, TrackIx};

const MS_PER_DAY: i64 = 86_400_000;

/// A track of the catalogue.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct TrackView<'a> {
    track_id: &'a str,
    title: &'a str,
    artist: ArtistView<'a>,
    album_id: Option<&'a str>,
    /// Joins the releases of one recording.
    recording_id: Option<&'a str>,
    genre: Option<&'a str>,
    /// Record label.
    label: Option<&'a str>,
    /// `YYYY-MM-DD`.
    release_date: Option<String>,
    duration_ms: Option<i32>,
    explicit: bool,
    audio: AudioView,
    /// Countries where it may be played; null = everywhere.
    markets: Option<&'a [String]>,
    /// Begin of the licence, RFC 3339; null = open.
    available_from: Option<String>,
    /// End of the licence, RFC 3339; null = open.
    available_until: Option<String>,
    /// Taken down: not served.
    taken_down: bool,
}

/// An artist.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct ArtistView<'a> {
    artist_id: &'a str,
    name: &'a str,
}

/// What the audio sounds like; null where unknown.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct AudioView {
    tempo_bpm: Option<f32>,
    energy: Option<f32>,
    valence: Option<f32>,
    danceability: Option<f32>,
    acousticness: Option<f32>,
    loudness_db: Option<f32>,
    /// Pitch class, 0 = C to 11 = B.
    key: Option<i8>,
    /// 1 = major, 0 = minor.
    mode: Option<i8>,
}

impl<'a> TrackView<'a> {
    /// The wire form.
    pub fn new(track: TrackIx, catalogue: &'a Catalogue, taken_down: bool) -> Self {
        let row = catalogue.track(track);
        let date = |day: i32| rfc3339(i64::from(day) * MS_PER_DAY).map(|at| at.chars().take(10).collect());
        Self {
            track_id: row.track_id.as_str(),
            title: &row.title,
            artist: ArtistView { artist_id: row.artist_id.as_str(), name: &row.artist_name },
            album_id: row.album_id.as_deref(),
            recording_id: row.recording_id.as_deref(),
            genre: row.genre.as_deref(),
            label: row.label.as_deref(),
            release_date: row.release_day.and_then(date),
            duration_ms: row.duration_ms,
            explicit: row.explicit,
            audio: AudioView {
                tempo_bpm: row.tempo_bpm,
                energy: row.energy,
                valence: row.valence,
                danceability: row.danceability,
                acousticness: row.acousticness,
                loudness_db: row.loudness_db,
                key: row.key,
                mode: row.mode,
            },
            markets: row.markets.as_deref(),
            available_from: row.available_from_ms.and_then(rfc3339),
            available_until: row.available_until_ms.and_then(rfc3339),
            taken_down,
        }
    }
}

/// The nearest tracks of a track.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct SimilarResponse<'a> {
    track_id: &'a str,
    /// Nearest first.
    tracks: Vec<SimilarTrack<'a>>,
}

/// A neighbour.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct SimilarTrack<'a> {
    track_id: &'a str,
    artist_id: &'a str,
    title: &'a str,
    /// Cosine of the two item vectors, -1..1.
    similarity: f32,
}

impl<'a> SimilarResponse<'a> {
    /// The wire form.
    pub fn new(track: TrackIx, hits: &[Retrieved], catalogue: &'a Catalogue) -> Self {
        let tracks = hits.iter().map(|hit| {
            let row = catalogue.track(hit.track);
            SimilarTrack {
                track_id: row.track_id.as_str(),
                artist_id: row.artist_id.as_str(),
                title: &row.title,
                similarity: hit.score,
            }
        });
        Self { track_id: catalogue.track(track).track_id.as_str(), tracks: tracks.collect() }
    }
}

/// Most played tracks.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct TopResponse<'a> {
    /// Where the list is from: what was asked, or `global` for a market without plays.
    scope: String,
    /// Most played first.
    tracks: Vec<TopTrack<'a>>,
}

/// One of them.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct TopTrack<'a> {
    /// From 1.
    position: usize,
    track_id: &'a str,
    artist_id: &'a str,
    title: &'a str,
}

impl<'a> TopResponse<'a> {
    /// The wire form.
    pub fn new(scope: String, tracks: impl Iterator<Item = TrackIx>, catalogue: &'a Catalogue) -> Self {
        let tracks = tracks.enumerate().map(|(at, track)| {
            let row = catalogue.track(track);
            TopTrack {
                position: at + 1,
                track_id: row.track_id.as_str(),
                artist_id: row.artist_id.as_str(),
                title: &row.title,
            }
        });
        Self { scope, tracks: tracks.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::catalogue;

    #[test]
    fn dates_are_dates() {
        let catalogue = catalogue();
        let view = serde_json::to_value(TrackView::new(TrackIx(0), &catalogue, true)).unwrap();
        assert_eq!((&view["release_date"], &view["taken_down"]), (&"2022-01-08".into(), &true.into()));
        assert_eq!(view["audio"]["energy"], 0.5);
        assert_eq!(view["markets"], serde_json::Value::Null);
    }
}
