//! 30Music: Parquet of sessions with the time that each song really sounded.

use super::Format;
use super::ImportError;
use super::estimate::Estimate;
use super::fields::{Field, read_plays};
use super::inputs::Input;
use super::intake::Intake;
use super::mapping::{Columns, Dialect, Mapping, Marks, Meaning, Time, Unit, Units};
use super::settle::Rules;
use super::times::TimeFormat;

/// Lengths of songs are not in it: the 75th percentile of a song's plays stands for its length.
pub(super) fn rules() -> Rules {
    Rules { estimate: Estimate::AllPlays, ..Rules::default() }
}

/// Reads one file.
///
/// # Errors
/// A file that is no Parquet or lacks a column.
pub(super) fn read(input: &Input, intake: &mut Intake<'_>) -> Result<(), ImportError> {
    read_plays(input, Format::ThirtyMusic, &mapping(), intake)
}

fn mapping() -> Mapping {
    let columns = [
        (Field::User, "user_id"),
        (Field::Track, "song_id"),
        (Field::Time, "ts"),
        (Field::Session, "session_id"),
        (Field::Played, "playtime"),
    ];
    Mapping {
        plays: columns.map(|(field, name)| (field, name.to_owned())).into_iter().collect::<Columns>(),
        time: Time { format: TimeFormat::Unix(1), marks: Marks::Start },
        units: Units { played: Unit::S, duration: Unit::S },
        csv: Dialect::default(),
        meaning: Meaning::default(),
        tracks: None,
    }
}
