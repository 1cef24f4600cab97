//! Which column of a source holds what: the `--mapping` file of the generic formats, and the presets of the others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ImportError;
use super::estimate::Estimate;
use super::fields::Field;
use super::settle::Rules;
use super::times::TimeFormat;

/// Column of each field.
pub(super) type Columns = BTreeMap<Field, String>;

/// A whole mapping.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mapping {
    /// Columns of a play.
    pub(super) plays: Columns,
    /// How time is written.
    pub(super) time: Time,
    /// Units of lengths.
    #[serde(default)]
    pub(super) units: Units,
    /// Dialect of text files.
    #[serde(default)]
    pub(super) csv: Dialect,
    /// What a play means.
    #[serde(default)]
    pub(super) meaning: Meaning,
    /// A second file with metadata.
    #[serde(default)]
    pub(super) tracks: Option<Tracks>,
}

/// How time is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Time {
    /// `unix_s`, `unix_ms`, `unix_us`, `unix_ns`, `iso` or a `strftime` pattern.
    pub(super) format: TimeFormat,
    /// Whether it is the start or the end of the play.
    #[serde(default)]
    pub(super) marks: Marks,
}

/// Which moment of a play a time marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Marks {
    /// Its start.
    #[default]
    Start,
    /// Its end; the time played leads back to the start.
    End,
}

/// A unit of length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unit {
    /// Milliseconds.
    #[default]
    Ms,
    /// Seconds.
    S,
}

impl Unit {
    /// Milliseconds of so many.
    pub(super) fn to_ms(self, number: f64) -> f64 {
        match self {
            Self::Ms => number,
            Self::S => number * 1_000.0,
        }
    }
}

/// Units of lengths.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Units {
    /// Of `played`.
    pub(super) played: Unit,
    /// Of `duration`.
    pub(super) duration: Unit,
}

/// Dialect of a text file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Dialect {
    /// One ASCII character between values.
    pub(super) delimiter: char,
    /// Whether values may stand in double quotes.
    pub(super) quotes: bool,
    /// Names of the columns where the file has no header.
    pub(super) header: Option<Vec<String>>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { delimiter: ',', quotes: true, header: None }
    }
}

/// What a play means.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Meaning {
    /// Plays are only there after half the track or four minutes.
    pub(super) scrobbles: bool,
    /// Take the 75th percentile of a track's plays for its length where no length is given.
    pub(super) estimate_durations: bool,
}

/// The catalogue file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tracks {
    /// The file, from the mapping's own folder; Parquet by its name, else text.
    pub(super) file: PathBuf,
    /// Columns.
    pub(super) columns: Columns,
    /// Unit of `duration`.
    #[serde(default)]
    pub(super) duration_unit: Unit,
    /// Dialect of a text file.
    #[serde(default)]
    pub(super) csv: Dialect,
    /// Whether tracks that nobody played are kept.
    #[serde(default = "yes")]
    pub(super) unplayed: bool,
}

fn yes() -> bool {
    true
}

impl Mapping {
    /// Reads and checks a mapping.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(super) fn load(path: &Path) -> Result<Self, ImportError> {
        let text = std::fs::read_to_string(path).map_err(|e| ImportError::file(path, e))?;
        let mut mapping = Self::parse(&text).map_err(|e| ImportError::Mapping(format!("{}: {e}", path.display())))?;
        if let (Some(tracks), Some(folder)) = (&mut mapping.tracks, path.parent()) {
            tracks.file = folder.join(&tracks.file);
        }
        Ok(mapping)
    }

    /// Parses and checks the text of a mapping.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mapping: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        mapping.check()?;
        Ok(mapping)
    }

    fn check(&self) -> Result<(), String> {
        let has = |field| self.plays.contains_key(&field);
        if !has(Field::Time) {
            return Err("[plays] names no column for `time`".into());
        }
        let named = has(Field::Title) && has(Field::Artist);
        if !has(Field::Track) && !named {
            return Err("[plays] names no column for `track`, nor both `title` and `artist`".into());
        }
        if self.time.marks == Marks::End && !has(Field::Played) {
            return Err("[time] marks the end of plays: [plays] must name a column for `played`".into());
        }
        self.csv.check("[csv]")?;
        let Some(tracks) = &self.tracks else { return Ok(()) };
        if !tracks.columns.contains_key(&Field::Track) {
            return Err("[tracks.columns] names no column for `track`".into());
        }
        if let Some(field) = tracks.columns.keys().find(|field| **field != Field::Track && !field.is_of_track()) {
            return Err(format!("[tracks.columns] `{}` is a field of a play", field.as_str()));
        }
        tracks.csv.check("[tracks.csv]")
    }

    /// How its plays are to be understood.
    pub(super) fn rules(&self) -> Rules {
        let estimate = if self.meaning.estimate_durations { Estimate::AllPlays } else { Estimate::No };
        Rules { scrobbles: self.meaning.scrobbles, estimate, session_gap_ms: 0 }
    }
}

impl Dialect {
    fn check(&self, section: &str) -> Result<(), String> {
        if self.delimiter.is_ascii() && !matches!(self.delimiter, '"' | '\n' | '\r') {
            Ok(())
        } else {
            Err(format!("{section} delimiter must be one ASCII character, such as \",\" or \"\\t\""))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "[plays]\nuser = 'u'\ntrack = 't'\ntime = 'at'\n[time]\nformat = 'unix_s'\n";

    #[test]
    fn defaults_fill_the_least_mapping() {
        let mapping = Mapping::parse(LEAST).unwrap();
        assert_eq!((mapping.csv.delimiter, mapping.time.marks, mapping.units.played), (',', Marks::Start, Unit::Ms));
        assert_eq!(mapping.time.format, TimeFormat::Unix(1));
    }

    #[test]
    fn every_mistake_is_named() {
        let table: [(&str, &str, &str); 8] = [
            ("user = 'u'", "usr = 'u'", "unknown variant `usr`"),
            ("time = 'at'", "", "no column for `time`"),
            ("track = 't'", "title = 't'", "nor both `title` and `artist`"),
            ("[time]", "[time]\nmarks = 'end'", "column for `played`"),
            ("[time]", "[csv]\ndelimiter = 'é'\n[time]", "one ASCII character"),
            ("[time]", "[csv]\nseparator = ','\n[time]", "unknown field `separator`"),
            ("[time]", "[tracks]\nfile = 'x'\ncolumns = {title = 'a'}\n[time]", "no column for `track`"),
            (
                "[time]",
                "[tracks]\nfile = 'x'\ncolumns = {track = 'a', user = 'b'}\n[time]",
                "`user` is a field of a play",
            ),
        ];
        for (from, to, begins) in table {
            let fault = Mapping::parse(&LEAST.replace(from, to)).unwrap_err();
            assert!(fault.contains(begins), "{fault}");
        }
    }
}
