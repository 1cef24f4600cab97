//! What a source says of a track, gathered over all its rows.

use super::names;
use crate::domain::{ArtistId, IdError, Track, TrackId};

/// Longest title or name that is kept, in characters.
const MAX_NAME_CHARS: usize = 300;

/// Longest track that is believed, ms.
pub(super) const DAY_MS: i64 = 86_400_000;

/// The artist's name where the source has none.
const UNKNOWN_ARTIST: &str = "unknown artist";

/// Metadata of one track, named as the columns of `tracks.parquet`; what is absent may be filled from another row.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct About {
    pub(super) title: Option<String>,
    pub(super) artist_id: Option<String>,
    pub(super) artist_name: Option<String>,
    pub(super) album_id: Option<String>,
    pub(super) recording_id: Option<String>,
    pub(super) genre: Option<String>,
    pub(super) label: Option<String>,
    pub(super) release_day: Option<i32>,
    pub(super) duration_ms: Option<i64>,
    pub(super) explicit: Option<bool>,
    pub(super) tempo_bpm: Option<f32>,
    pub(super) energy: Option<f32>,
    pub(super) valence: Option<f32>,
    pub(super) danceability: Option<f32>,
    pub(super) acousticness: Option<f32>,
    pub(super) loudness_db: Option<f32>,
    pub(super) key: Option<i8>,
    pub(super) mode: Option<i8>,
}

impl About {
    /// Takes out what a catalogue cannot hold; `note` hears of each value that is lost.
    pub(super) fn clean(&mut self, note: &mut dyn FnMut(&'static str)) {
        let ids = [&mut self.genre, &mut self.label, &mut self.album_id, &mut self.recording_id];
        for name in [&mut self.title, &mut self.artist_name].into_iter().chain(ids) {
            tidy(name, note);
        }
        if self.artist_id.as_ref().is_some_and(|id| ArtistId::new(id).is_err()) {
            self.artist_id = None;
            note("artist id that is none");
        }
        if self.artist_id.is_none() {
            self.artist_id = self.artist_name.as_deref().map(names::artist);
        }
        keep(&mut self.duration_ms, |ms| *ms > 0 && *ms <= DAY_MS, || note("duration out of range"));
        keep(&mut self.tempo_bpm, |bpm| *bpm > 0.0 && *bpm < 1_000.0, || note("tempo out of range"));
        keep(&mut self.loudness_db, |db| (-200.0..=50.0).contains(db), || note("loudness out of range"));
        for part in [&mut self.energy, &mut self.valence, &mut self.danceability, &mut self.acousticness] {
            keep(part, |part| (0.0..=1.0).contains(part), || note("audio feature out of 0..1"));
        }
        keep(&mut self.key, |key| (0..12).contains(key), || note("key out of 0..11"));
        keep(&mut self.mode, |mode| (0..2).contains(mode), || note("mode out of 0..1"));
    }

    /// Fills what is absent from another row of the same track.
    pub(super) fn fill(&mut self, other: Self) {
        fill(&mut self.title, other.title);
        fill(&mut self.artist_id, other.artist_id);
        fill(&mut self.artist_name, other.artist_name);
        fill(&mut self.album_id, other.album_id);
        fill(&mut self.recording_id, other.recording_id);
        fill(&mut self.genre, other.genre);
        fill(&mut self.label, other.label);
        fill(&mut self.release_day, other.release_day);
        fill(&mut self.duration_ms, other.duration_ms);
        fill(&mut self.explicit, other.explicit);
        fill(&mut self.tempo_bpm, other.tempo_bpm);
        fill(&mut self.energy, other.energy);
        fill(&mut self.valence, other.valence);
        fill(&mut self.danceability, other.danceability);
        fill(&mut self.acousticness, other.acousticness);
        fill(&mut self.loudness_db, other.loudness_db);
        fill(&mut self.key, other.key);
        fill(&mut self.mode, other.mode);
    }

    /// The row of the catalogue. A track without an artist gets one of its own.
    ///
    /// # Errors
    /// An artist id that [`About::clean`] has not seen.
    pub(super) fn into_track(self, track_id: TrackId) -> Result<Track, IdError> {
        Ok(Track {
            title: self.title.unwrap_or_else(|| track_id.to_string()),
            artist_id: ArtistId::new(self.artist_id.as_deref().unwrap_or(track_id.as_str()))?,
            artist_name: self.artist_name.unwrap_or_else(|| UNKNOWN_ARTIST.to_owned()),
            album_id: self.album_id,
            recording_id: self.recording_id,
            genre: self.genre,
            label: self.label,
            release_day: self.release_day,
            duration_ms: self.duration_ms.and_then(|ms| i32::try_from(ms).ok()),
            explicit: self.explicit.unwrap_or(false),
            tempo_bpm: self.tempo_bpm,
            energy: self.energy,
            valence: self.valence,
            danceability: self.danceability,
            acousticness: self.acousticness,
            loudness_db: self.loudness_db,
            key: self.key,
            mode: self.mode,
            markets: None,
            available_from_ms: None,
            available_until_ms: None,
            track_id,
        })
    }
}

fn fill<T>(place: &mut Option<T>, other: Option<T>) {
    if place.is_none() {
        *place = other;
    }
}

/// Empties a place whose value does not fit.
fn keep<T>(place: &mut Option<T>, fits: impl Fn(&T) -> bool, lost: impl FnOnce()) {
    if place.as_ref().is_some_and(|value| !fits(value)) {
        *place = None;
        lost();
    }
}

/// Bounds a name and takes control characters out of it.
fn tidy(name: &mut Option<String>, note: &mut dyn FnMut(&'static str)) {
    let Some(text) = name else { return };
    if text.chars().any(char::is_control) {
        *text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        note("control characters in a name");
    }
    if let Some((cut, _)) = text.char_indices().nth(MAX_NAME_CHARS) {
        text.truncate(cut);
        note("name cut to 300 characters");
    }
    if text.trim().is_empty() {
        *name = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_taken_out_and_noted() {
        let mut about = About {
            title: Some(format!("a\n{}", "ü".repeat(400))),
            artist_name: Some(" Björk ".into()),
            genre: Some("  ".into()),
            duration_ms: Some(0),
            energy: Some(f32::NAN),
            valence: Some(0.5),
            key: Some(-1),
            ..About::default()
        };
        let mut notes = Vec::new();
        about.clean(&mut |note| notes.push(note));
        assert_eq!(about.title.as_ref().map(|t| t.chars().count()), Some(MAX_NAME_CHARS));
        assert_eq!((about.artist_id.as_deref(), about.genre, about.duration_ms), (Some("björk"), None, None));
        assert_eq!((about.energy, about.valence, about.key), (None, Some(0.5), None));
        assert_eq!(notes.len(), 5, "{notes:?}");
    }

    #[test]
    fn a_track_without_an_artist_gets_its_own() {
        let track = About::default().into_track(TrackId::new("t1").unwrap()).unwrap();
        assert_eq!((track.title.as_str(), track.artist_id.as_str()), ("t1", "t1"));
        assert_eq!(track.artist_name, UNKNOWN_ARTIST);
    }

    #[test]
    fn the_first_value_stays() {
        let mut about = About { title: Some("a".into()), ..About::default() };
        about.fill(About { title: Some("b".into()), genre: Some("g".into()), ..About::default() });
        assert_eq!((about.title.as_deref(), about.genre.as_deref()), (Some("a"), Some("g")));
    }
}
