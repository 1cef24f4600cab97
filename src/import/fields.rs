//! Rows of named columns, read by a mapping.

use super::about::About;
use super::cell::Cell;
use super::inputs::Input;
use super::intake::{Described, Intake, hint_of_flag};
use super::mapping::{Columns, Dialect, Mapping, Marks, Tracks, Unit};
use super::play::{Fault, RawPlay};
use super::report::Reason;
use super::{Format, ImportError, columnar, delimited, names, times};
use crate::domain::Device;

macro_rules! fields {
    ($($variant:ident = $text:literal),* $(,)?) => {
        /// What a column of a source can hold; the keys of `[plays]` and `[tracks.columns]`, described in
        /// `docs/import.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
        pub(super) enum Field { $(#[serde(rename = $text)] $variant),* }

        impl Field {
            /// How many there are.
            const COUNT: usize = [$($text),*].len();

            /// The name in a mapping.
            pub(super) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

fields! {
    User = "user", Track = "track", Time = "time", Session = "session", Played = "played", Skipped = "skipped",
    Liked = "liked", Market = "market", Device = "device", LocalHour = "local_hour",
    Duration = "duration", Title = "title", Artist = "artist", ArtistId = "artist_id", Album = "album",
    Recording = "recording", Genre = "genre", Label = "label", Released = "released", Explicit = "explicit",
    TempoBpm = "tempo_bpm", Energy = "energy", Valence = "valence", Danceability = "danceability", Acousticness = "acousticness",
    LoudnessDb = "loudness_db", Key = "key", Mode = "mode",
}

impl Field {
    /// Whether it tells of the track and not of the play.
    pub(super) fn is_of_track(self) -> bool {
        self >= Self::Duration
    }
}

/// The mapped values of one row.
#[derive(Debug, Clone)]
pub(super) struct Cells(Vec<Cell>);

impl Cells {
    /// A row without values.
    pub(super) fn new() -> Self {
        Self(vec![Cell::Null; Field::COUNT])
    }

    /// Sets a value.
    pub(super) fn set(&mut self, field: Field, cell: Cell) {
        self.0[field as usize] = cell;
    }

    fn get(&self, field: Field) -> &Cell {
        &self.0[field as usize]
    }

    /// A value that must be readable.
    fn must<T>(&self, field: Field, read: fn(&Cell) -> super::cell::Read<T>) -> Result<Option<T>, Fault> {
        read(self.get(field)).map_err(|detail| Fault::field(Reason::WrongType, field.as_str(), &detail))
    }

    /// A value that is passed over where it cannot be read.
    fn may<T>(
        &self,
        field: Field,
        read: fn(&Cell) -> super::cell::Read<T>,
        notes: &mut Vec<&'static str>,
    ) -> Option<T> {
        read(self.get(field)).unwrap_or_else(|_| {
            notes.push(field.as_str());
            None
        })
    }
}

/// Hears each row of a file: its number, its values or what is wrong with it, and the bytes read so far.
pub(super) type EachRow<'a> = dyn FnMut(u64, Result<&Cells, Fault>, u64) -> Result<(), ImportError> + 'a;

/// Reads plays by a mapping.
///
/// # Errors
/// A file that cannot be read or lacks a mapped column.
pub(super) fn read_plays(
    input: &Input,
    format: Format,
    mapping: &Mapping,
    intake: &mut Intake<'_>,
) -> Result<(), ImportError> {
    let mut each = |at: u64, cells: Result<&Cells, Fault>, bytes: u64| {
        if at.is_multiple_of(4_096) {
            intake.at_byte(bytes);
        }
        intake.row(at, cells.and_then(|cells| play(cells, mapping, &input.listener)))
    };
    match format {
        Format::ThirtyMusic | Format::Parquet => columnar::read(&input.path, &mapping.plays, &mut each),
        Format::Spotify | Format::ListenBrainz | Format::LastFm | Format::Csv => {
            delimited::read(&input.path, &mapping.plays, &mapping.csv, &mut each)
        }
    }
}

/// Reads the catalogue file of a mapping.
///
/// # Errors
/// As [`read_plays`].
pub(super) fn read_catalogue(tracks: &Tracks, intake: &mut Intake<'_>) -> Result<(), ImportError> {
    let mut each = |at: u64, cells: Result<&Cells, Fault>, _: u64| {
        let row = cells.and_then(|cells| {
            let mut notes = Vec::new();
            let track = cells.must(Field::Track, Cell::text)?.unwrap_or_default();
            Ok(Described { track, about: about(cells, tracks.duration_unit, &mut notes), notes })
        });
        intake.catalogue_row(at, row, tracks.unplayed)
    };
    let columns: &Columns = &tracks.columns;
    let dialect: &Dialect = &tracks.csv;
    if Format::Parquet.takes(&tracks.file.to_string_lossy()) {
        columnar::read(&tracks.file, columns, &mut each)
    } else {
        delimited::read(&tracks.file, columns, dialect, &mut each)
    }
}

/// One row as a play. Without a user it is the input's listener's; without a track id, title and artist make one.
fn play(cells: &Cells, mapping: &Mapping, listener: &str) -> Result<RawPlay, Fault> {
    let mut notes = Vec::new();
    let user = cells.must(Field::User, Cell::text)?;
    if user.is_none() && mapping.plays.contains_key(&Field::User) {
        return Err(Fault::new(Reason::BadUser, "no user"));
    }
    let at_ms = mapping
        .time
        .format
        .read(cells.get(Field::Time))
        .map_err(|detail| Fault::field(Reason::BadTime, "time", &detail))?;
    let played_ms = cells.must(Field::Played, Cell::number)?.map(|n| mapping.units.played.to_ms(n).round() as i64);
    let start_ms = match mapping.time.marks {
        Marks::Start => at_ms,
        Marks::End => at_ms.saturating_sub(played_ms.unwrap_or(0).max(0)),
    };
    let about = about(cells, mapping.units.duration, &mut notes);
    let track = cells.must(Field::Track, Cell::text)?;
    let track = track.or_else(|| Some(names::from_names(&[about.artist_name.as_deref()?, about.title.as_deref()?])));
    let hour = cells.may(Field::LocalHour, Cell::number, &mut notes);
    Ok(RawPlay {
        user: user.unwrap_or_else(|| listener.to_owned()),
        track: track.ok_or_else(|| Fault::new(Reason::BadTrack, "no track id, and no title and artist"))?,
        start_ms,
        session: cells.must(Field::Session, Cell::text)?,
        played_ms,
        hint: hint_of_flag(cells.must(Field::Skipped, Cell::flag)?),
        reason_start: None,
        liked: cells.must(Field::Liked, Cell::flag)?.unwrap_or(false),
        market: cells.may(Field::Market, Cell::text, &mut notes),
        device: cells.may(Field::Device, Cell::text, &mut notes).map(|name| device(&name)),
        local_hour: hour.filter(|hour| (0.0..24.0).contains(hour)).map(|hour| hour as u8),
        about,
        notes,
    })
}

fn about(cells: &Cells, duration_unit: Unit, notes: &mut Vec<&'static str>) -> About {
    let mut text = |field| cells.may(field, Cell::text, notes);
    let (title, artist_name, artist_id) = (text(Field::Title), text(Field::Artist), text(Field::ArtistId));
    let (album_id, recording_id, genre) = (text(Field::Album), text(Field::Recording), text(Field::Genre));
    let (label, released) = (text(Field::Label), text(Field::Released));
    let release_day = released.as_deref().and_then(times::day);
    if released.is_some() && release_day.is_none() {
        notes.push(Field::Released.as_str());
    }
    let mut number = |field| cells.may(field, Cell::number, notes);
    let duration_ms = number(Field::Duration).map(|n| duration_unit.to_ms(n).round() as i64);
    let mut audio = |field| number(field).map(|n| n as f32);
    About {
        title,
        artist_id,
        artist_name,
        album_id,
        recording_id,
        genre,
        label,
        release_day,
        duration_ms,
        tempo_bpm: audio(Field::TempoBpm),
        energy: audio(Field::Energy),
        valence: audio(Field::Valence),
        danceability: audio(Field::Danceability),
        acousticness: audio(Field::Acousticness),
        loudness_db: audio(Field::LoudnessDb),
        key: audio(Field::Key).map(|n| n as i8),
        mode: audio(Field::Mode).map(|n| n as i8),
        explicit: cells.may(Field::Explicit, Cell::flag, notes),
    }
}

/// The kind of device that a service's free text names; the first word that fits, from the most particular on.
pub(super) fn device(platform: &str) -> Device {
    const WORDS: [(Device, &[&str]); 5] = [
        (Device::Car, &["car", "carplay", "android auto", "automotive", "tesla", "carthing"]),
        (Device::Tv, &["tv", "roku", "chromecast", "playstation", "ps3", "ps4", "ps5", "xbox", "webos", "tizen"]),
        (Device::Speaker, &["speaker", "sonos", "echo", "alexa", "google home", "homepod", "bose", "amplifier"]),
        (Device::Phone, &["phone", "android", "ios", "iphone", "ipad", "ipod", "tablet", "mobile"]),
        (
            Device::Desktop,
            &["desktop", "windows", "os x", "osx", "macos", "mac", "linux", "web", "browser", "computer"],
        ),
    ];
    let plain: String = platform.to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let spaced = format!(" {} ", words.join(" "));
    let named = |word: &str| spaced.contains(&format!(" {word} "));
    WORDS.iter().find(|(_, words)| words.iter().any(|word| named(word))).map_or(Device::Other, |(device, _)| *device)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPPING: &str = "[plays]\nuser='u'\ntitle='t'\nartist='a'\ntime='at'\nplayed='p'\nenergy='e'\n\
        [time]\nformat='unix_s'\nmarks='end'\n[units]\nplayed='s'\n";

    fn cells(values: &[(Field, Cell)]) -> Cells {
        let mut cells = Cells::new();
        values.iter().for_each(|(field, cell)| cells.set(*field, cell.clone()));
        cells
    }

    #[test]
    fn a_row_becomes_a_play() {
        let mapping = Mapping::parse(MAPPING).unwrap();
        let text = |t: &str| Cell::Text(t.into());
        let row = cells(&[
            (Field::User, Cell::Int(7)),
            (Field::Title, text("Creep")),
            (Field::Artist, text("Radiohead")),
            (Field::Time, Cell::Int(1_600_000_000)),
            (Field::Played, text("12.5")),
            (Field::Energy, text("loud")),
        ]);
        let play = play(&row, &mapping, "x").unwrap();
        assert_eq!((play.user.as_str(), play.start_ms, play.played_ms), ("7", 1_599_999_987_500, Some(12_500)));
        assert_eq!(play.track, names::from_names(&["Radiohead", "Creep"]));
        assert_eq!((play.about.energy, play.notes.as_slice()), (None, &["energy"][..]));
    }

    #[test]
    fn what_a_play_cannot_do_without_is_a_fault() {
        let mapping = Mapping::parse(MAPPING).unwrap();
        let reason = |values: &[(Field, Cell)]| play(&cells(values), &mapping, "x").unwrap_err().reason;
        let (user, time) = ((Field::User, Cell::Int(7)), (Field::Time, Cell::Int(1_600_000_000)));
        assert_eq!(reason(&[]), Reason::BadUser);
        assert_eq!(reason(&[(Field::User, Cell::Nested)]), Reason::WrongType);
        assert_eq!(reason(std::slice::from_ref(&user)), Reason::BadTime);
        assert_eq!(reason(&[user.clone(), time.clone()]), Reason::BadTrack);
        assert_eq!(reason(&[user, time, (Field::Played, Cell::Text("x".into()))]), Reason::WrongType);
    }

    #[test]
    fn platforms_are_known_by_their_words() {
        let table = [
            ("Android OS 4.2.2 API 17 (samsung, GT-I9195)", Device::Phone),
            ("iOS 14.2 (iPhone12,1)", Device::Phone),
            ("Windows 10 (10.0.19041; x64)", Device::Desktop),
            ("OS X 12.6 [arm 2]", Device::Desktop),
            ("web_player windows 10;chrome 88", Device::Desktop),
            ("Partner google cast_tv;Chromecast", Device::Tv),
            ("Partner sonos_ppc Sonos;Play1", Device::Speaker),
            ("Android Auto", Device::Car),
            ("carrot", Device::Other),
            ("", Device::Other),
        ];
        table.iter().for_each(|(platform, expected)| assert_eq!(device(platform), *expected, "{platform}"));
    }
}
