//! A track as the catalogue's owner tells it: the fields of `GET /v1/tracks/{id}`.

use super::{Checks, List};
use crate::domain::{ArtistId, Track, TrackId};
use crate::http::problem::ApiError;

/// Longest title or name, bytes.
const MAX_TEXT_BYTES: usize = 1_000;
/// Longest track: a day, ms.
const MAX_DURATION_MS: i32 = 86_400_000;
/// Most countries of a licence.
const MAX_MARKETS: usize = 256;

/// A track. What is absent is unknown.
#[derive(Debug, Clone, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutTrack {
    /// If given, the id of the path.
    #[schema(value_type = Option<String>, max_length = 128)]
    track_id: Option<TrackId>,
    #[schema(max_length = 1_000)]
    title: String,
    artist: PutArtist,
    #[schema(max_length = 128)]
    album_id: Option<String>,
    /// Joins the releases of one recording.
    #[schema(max_length = 128)]
    recording_id: Option<String>,
    /// A genre that no track of the bundle has counts as unknown until the next bundle.
    #[schema(max_length = 128)]
    genre: Option<String>,
    /// Record label.
    #[schema(max_length = 128)]
    label: Option<String>,
    /// `YYYY-MM-DD`.
    #[schema(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    release_date: Option<String>,
    #[schema(minimum = 1, maximum = 86_400_000)]
    duration_ms: Option<i32>,
    #[serde(default)]
    explicit: bool,
    #[serde(default)]
    audio: PutAudio,
    /// Countries where it may be played; absent = everywhere.
    #[schema(value_type = Option<Vec<String>>, max_items = 256)]
    markets: Option<List<String>>,
    /// Begin of the licence, RFC 3339; absent = open.
    #[schema(format = DateTime)]
    available_from: Option<String>,
    /// End of the licence, RFC 3339; absent = open.
    #[schema(format = DateTime)]
    available_until: Option<String>,
    /// May stand here because `GET` tells it; only `false` has a sense.
    #[serde(default)]
    taken_down: bool,
}

/// Its artist.
#[derive(Debug, Clone, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutArtist {
    #[schema(value_type = String, max_length = 128)]
    artist_id: ArtistId,
    #[schema(max_length = 1_000)]
    name: String,
}

/// What it sounds like; absent = unknown.
#[derive(Debug, Clone, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutAudio {
    #[schema(minimum = 1, maximum = 1_000)]
    tempo_bpm: Option<f32>,
    #[schema(minimum = 0, maximum = 1)]
    energy: Option<f32>,
    #[schema(minimum = 0, maximum = 1)]
    valence: Option<f32>,
    #[schema(minimum = 0, maximum = 1)]
    danceability: Option<f32>,
    #[schema(minimum = 0, maximum = 1)]
    acousticness: Option<f32>,
    #[schema(minimum = -100, maximum = 20)]
    loudness_db: Option<f32>,
    /// Pitch class, 0 = C to 11 = B.
    #[schema(minimum = 0, maximum = 11)]
    key: Option<i8>,
    /// 1 = major, 0 = minor.
    #[schema(minimum = 0, maximum = 1)]
    mode: Option<i8>,
}

impl PutTrack {
    /// The track under the path's id.
    ///
    /// # Errors
    /// Every field that is wrong.
    pub fn track(self, id: TrackId) -> Result<Track, ApiError> {
        let mut checks = Checks::default();
        if self.track_id.is_some_and(|own| own != id) {
            checks.fail("track_id", format!("must be the id of the path, {:?}", id.as_str()));
        }
        if self.taken_down {
            checks.fail("taken_down", "cannot be set here: DELETE the track");
        }
        text(&mut checks, "title", &self.title);
        text(&mut checks, "artist.name", &self.artist.name);
        let names = [
            ("album_id", &self.album_id),
            ("recording_id", &self.recording_id),
            ("genre", &self.genre),
            ("label", &self.label),
        ];
        names.into_iter().for_each(|(field, value)| value.iter().for_each(|value| text(&mut checks, field, value)));
        self.duration_ms.iter().for_each(|ms| checks.range("duration_ms", *ms, 1..=MAX_DURATION_MS));
        self.audio.check(&mut checks);
        let markets = self.markets.map(|markets| markets.0);
        if let Some(markets) = &markets {
            checks.list("markets", markets.len(), 0, MAX_MARKETS);
            markets.iter().for_each(|code| checks.market("markets", code));
        }
        let release_day = self.release_date.and_then(|date| day(&mut checks, &date));
        let available_from_ms = self.available_from.and_then(|at| instant(&mut checks, "available_from", &at));
        let available_until_ms = self.available_until.and_then(|at| instant(&mut checks, "available_until", &at));
        checks.finish()?;
        let audio = self.audio;
        Ok(Track {
            track_id: id,
            title: self.title,
            artist_id: self.artist.artist_id,
            artist_name: self.artist.name,
            album_id: self.album_id,
            recording_id: self.recording_id,
            genre: self.genre,
            label: self.label,
            release_day,
            duration_ms: self.duration_ms,
            explicit: self.explicit,
            tempo_bpm: audio.tempo_bpm,
            energy: audio.energy,
            valence: audio.valence,
            danceability: audio.danceability,
            acousticness: audio.acousticness,
            loudness_db: audio.loudness_db,
            key: audio.key,
            mode: audio.mode,
            markets,
            available_from_ms,
            available_until_ms,
        })
    }
}

impl PutAudio {
    fn check(&self, checks: &mut Checks) {
        let ranges = [
            ("audio.tempo_bpm", self.tempo_bpm, 1.0..=1_000.0),
            ("audio.energy", self.energy, 0.0..=1.0),
            ("audio.valence", self.valence, 0.0..=1.0),
            ("audio.danceability", self.danceability, 0.0..=1.0),
            ("audio.acousticness", self.acousticness, 0.0..=1.0),
            ("audio.loudness_db", self.loudness_db, -100.0..=20.0),
        ];
        for (field, value, range) in ranges {
            value.iter().for_each(|value| checks.range(field, *value, range.clone()));
        }
        self.key.iter().for_each(|key| checks.range("audio.key", *key, 0..=11));
        self.mode.iter().for_each(|mode| checks.range("audio.mode", *mode, 0..=1));
    }
}

fn text(checks: &mut Checks, field: &str, value: &str) {
    if value.is_empty() || value.len() > MAX_TEXT_BYTES {
        checks.fail(field, format!("must be 1 to {MAX_TEXT_BYTES} bytes"));
    }
}

/// Days since 1970-01-01.
fn day(checks: &mut Checks, date: &str) -> Option<i32> {
    let days = date.parse::<jiff::civil::Date>().ok().and_then(|date| {
        let epoch = jiff::civil::date(1970, 1, 1);
        epoch.until((jiff::Unit::Day, date)).ok().map(|span| span.get_days())
    });
    if days.is_none() {
        checks.fail("release_date", "must be a date such as 2026-01-31");
    }
    days
}

fn instant(checks: &mut Checks, field: &str, text: &str) -> Option<i64> {
    let at = text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
    if at.is_none() {
        checks.fail(field, "must be an instant such as 2026-01-31T00:00:00Z");
    }
    at
}

#[cfg(test)]
mod tests {
    use super::super::TrackView;
    use super::*;
    use crate::domain::TrackIx;
    use crate::http::testing::catalogue;

    fn parse(json: serde_json::Value, id: &str) -> Result<Track, ApiError> {
        serde_json::from_value::<PutTrack>(json).unwrap().track(TrackId::new(id).unwrap())
    }

    #[test]
    fn what_get_tells_can_be_put() {
        let catalogue = catalogue();
        for row in (0..catalogue.len() as u32).map(TrackIx) {
            let told = serde_json::to_value(TrackView::new(row, &catalogue, false)).unwrap();
            let track = catalogue.track(row);
            assert_eq!(parse(told, track.track_id.as_str()).as_ref(), Ok(track));
        }
    }

    #[test]
    fn every_wrong_field_is_told() {
        let wrong = serde_json::json!({
            "track_id": "other", "title": "", "artist": { "artist_id": "a", "name": "A" }, "release_date": "2026-02-30",
            "duration_ms": 0, "audio": { "energy": 1.5, "key": 12, "tempo_bpm": 0.5 }, "markets": ["SE", "sweden"],
            "available_from": "tomorrow", "taken_down": true,
        });
        let Err(ApiError::Invalid(errors)) = parse(wrong, "t1") else { panic!("faults were sent") };
        let fields: Vec<_> = errors.iter().map(|error| &*error.field).collect();
        let expected = [
            "track_id",
            "taken_down",
            "title",
            "duration_ms",
            "audio.tempo_bpm",
            "audio.energy",
            "audio.key",
            "markets",
            "release_date",
            "available_from",
        ];
        assert_eq!(fields, expected);
    }
}
