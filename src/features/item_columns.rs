//! Dense item-side columns: fixed for the life of a bundle, computed once.

use super::affinity;
use super::facts::{Sound, duration_ms};
use super::numbers::tidy;
use super::schema::{ITEM, TEMPO_CENTRE, TEMPO_SCALE};
use crate::domain::{Appended, ArtistIx, Catalogue, Popularity, Track, TrackIx};

/// Number of item columns (I).
pub const ITEM_LEN: usize = ITEM.len();

/// Longest duration told apart, ms: one hour.
const MAX_DURATION_MS: u32 = 3_600_000;

/// The item matrix `[tracks, I]`, row = [`TrackIx`]. Rows of tracks that the catalogue got later stand behind it.
#[derive(Debug, Clone)]
pub struct ItemColumns {
    data: Vec<f32>,
    added: Appended<[f32; ITEM_LEN]>,
    as_of_day: i32,
}

impl ItemColumns {
    /// Computes every row. `as_of_day` (days since 1970-01-01) is the bundle's date, against which age is measured.
    /// `O(tracks)`.
    pub fn new(catalogue: &Catalogue, popularity: &Popularity, as_of_day: i32) -> Self {
        let mut data = Vec::with_capacity(catalogue.len() * ITEM_LEN);
        for row in 0..catalogue.len() {
            let track = TrackIx(row as u32);
            let plays = popularity.score.get(row).copied();
            let artist = Some(catalogue.artist_of(track));
            data.extend_from_slice(&item_row(catalogue.track(track), plays, artist, popularity, as_of_day));
        }
        Self { data, added: Appended::default(), as_of_day }
    }

    /// The row of a track that nobody has played yet; `artist`: where the catalogue has the artist.
    pub fn of_new(&self, facts: &Track, artist: Option<ArtistIx>, popularity: &Popularity) -> [f32; ITEM_LEN] {
        item_row(facts, None, artist, popularity, self.as_of_day)
    }

    /// Adds the row of the next track while others read. Only one thread at a time may add.
    pub fn add(&self, row: [f32; ITEM_LEN]) {
        self.added.push(row);
    }

    /// The row of one track.
    ///
    /// # Panics
    /// If the track is not of the catalogue this was built from.
    #[inline]
    pub fn row(&self, track: TrackIx) -> &[f32] {
        match self.data.get(track.at() * ITEM_LEN..(track.at() + 1) * ITEM_LEN) {
            Some(row) => row,
            None => &self.added[track.at() - self.data.len() / ITEM_LEN],
        }
    }

    /// The bundle's matrix, row-major `[tracks * I]`.
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }
}

/// The day of a moment, days since 1970-01-01.
pub fn day_of(ms: i64) -> i32 {
    ms.div_euclid(affinity::DAY_MS).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// `plays`: the track's score in `popularity`.
fn item_row(
    facts: &Track,
    plays: Option<f32>,
    artist: Option<ArtistIx>,
    popularity: &Popularity,
    as_of_day: i32,
) -> [f32; ITEM_LEN] {
    let sound = Sound::of(facts);
    let age_days = facts.release_day.map(|day| (i64::from(as_of_day) - i64::from(day)).max(0) as f32);
    let row = [
        Some(f32::from(sound.is_known())),
        sound.tempo.map(|bpm| (bpm - TEMPO_CENTRE) / TEMPO_SCALE),
        sound.energy,
        sound.valence,
        sound.danceability,
        sound.acousticness,
        sound.loudness.map(|db| (db + 60.0) / 60.0),
        plays,
        artist.and_then(|artist| popularity.artist_score.get(artist.at()).copied()),
        Some(f32::from(age_days.is_some())),
        age_days.map(|days| days.ln_1p() / 10.0),
        duration_ms(facts).map(|ms| ms.min(MAX_DURATION_MS) as f32 / 60_000.0 / 5.0),
        Some(f32::from(facts.explicit)),
    ];
    std::array::from_fn(|at| tidy(row[at].unwrap_or(ITEM[at].default), ITEM[at].default))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::testing::{catalogue, track};
    use proptest::prelude::*;

    fn value(columns: &ItemColumns, row: u32, name: &str) -> f32 {
        columns.row(TrackIx(row))[ITEM.iter().position(|c| c.name == name).unwrap()]
    }

    #[test]
    fn each_column_is_what_the_schema_says() {
        let catalogue = catalogue();
        let plays: Vec<f32> = (0..12u8).map(f32::from).collect();
        let popularity = Popularity::new(&catalogue, &plays, vec![]);
        let columns = ItemColumns::new(&catalogue, &popularity, 19_010);
        assert_eq!(columns.as_slice().len(), 12 * ITEM_LEN);
        for row in 0..12u32 {
            let facts = catalogue.track(TrackIx(row));
            let expected = [
                ("has_audio", f32::from(facts.energy.is_some())),
                ("tempo", facts.tempo_bpm.map_or(0.0, |bpm| (bpm - 120.0) / 60.0)),
                ("energy", facts.energy.unwrap_or(0.5)),
                ("valence", facts.valence.unwrap_or(0.5)),
                ("danceability", facts.danceability.unwrap_or(0.5)),
                ("acousticness", facts.acousticness.unwrap_or(0.5)),
                ("loudness", facts.loudness_db.map_or(0.8, |db| (db + 60.0) / 60.0)),
                ("popularity", popularity.score[row as usize]),
                ("artist_popularity", popularity.artist_score[catalogue.artist_of(TrackIx(row)).at()]),
                ("has_release_day", f32::from(facts.release_day.is_some())),
                ("age_log", facts.release_day.map_or(0.0, |day| (1.0 + (19_010 - day).max(0) as f32).ln() / 10.0)),
                ("duration", 200.0 / 60.0 / 5.0),
                ("explicit", f32::from(facts.explicit)),
            ];
            assert_eq!(expected.len(), ITEM_LEN);
            for (name, expected) in expected {
                assert!((value(&columns, row, name) - expected).abs() < 1e-6, "{name} of row {row}");
            }
        }
    }

    #[test]
    fn a_new_track_has_the_columns_of_one_without_plays() {
        let catalogue = catalogue();
        let popularity = Popularity::new(&catalogue, &[0.0; 12], vec![]);
        let columns = ItemColumns::new(&catalogue, &popularity, 19_010);
        let facts = catalogue.track(TrackIx(3));
        let new = columns.of_new(facts, Some(catalogue.artist_of(TrackIx(3))), &popularity);
        columns.add(new);
        assert_eq!((columns.row(TrackIx(12)), columns.row(TrackIx(11)).len()), (columns.row(TrackIx(3)), ITEM_LEN));
    }

    #[test]
    fn days_of_moments() {
        assert_eq!((day_of(-1), day_of(0), day_of(i64::MAX)), (-1, 0, i32::MAX));
    }

    proptest! {
        #[test]
        fn is_finite_whatever_the_catalogue_holds(
            audio in prop::option::of(prop::sample::select(vec![f32::MAX, f32::MIN, 0.0, 120.0])),
            day in prop::option::of(any::<i32>()), duration in prop::option::of(any::<i32>()), as_of in any::<i32>(),
        ) {
            let mut wild = track("t0", "a");
            (wild.tempo_bpm, wild.energy, wild.loudness_db) = (audio, audio, audio);
            (wild.release_day, wild.duration_ms) = (day, duration);
            let catalogue = Catalogue::new(vec![wild]).unwrap();
            let columns = ItemColumns::new(&catalogue, &Popularity::default(), as_of);
            prop_assert!(columns.as_slice().iter().all(|v| v.is_finite() && v.abs() <= 12.0));
        }
    }
}
