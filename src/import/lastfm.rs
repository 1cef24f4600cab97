//! Last.fm scrobbles: the TSV of the public 1K-users set, and the CSV that export tools write.

use super::fields::{Field, read_plays};
use super::inputs::Input;
use super::intake::Intake;
use super::mapping::{Columns, Dialect, Mapping, Marks, Meaning, Time, Units};
use super::times::TimeFormat;
use super::{Format, ImportError, delimited};

/// Columns of the 1K-users set, which has no header.
const ONE_K: [&str; 6] = ["userid", "timestamp", "artist-mbid", "artist-name", "track-mbid", "track-name"];

/// Reads one file of either kind.
///
/// # Errors
/// A file that is neither, or cannot be read.
pub(super) fn read(input: &Input, intake: &mut Intake<'_>) -> Result<(), ImportError> {
    let tabs = Dialect { delimiter: '\t', quotes: false, header: None };
    let by_tabs = delimited::header(&input.path, &tabs)?;
    let by_commas = delimited::header(&input.path, &Dialect::default())?;
    let named = |names: &[String]| ["uts", "artist", "track"].iter().all(|name| names.iter().any(|n| n == name));
    let mapping = if named(&by_commas) {
        export(&by_commas, Dialect::default())
    } else if named(&by_tabs) {
        export(&by_tabs, tabs)
    } else if by_tabs.len() == ONE_K.len() {
        one_k(tabs)
    } else {
        let fault = format!(
            "neither an export with a header (uts, artist, track, ...) nor the 1K-users set (six columns between tabs: \
             {}); other files need --format csv and a mapping",
            ONE_K.join(", ")
        );
        return Err(ImportError::file(&input.path, fault));
    };
    read_plays(input, Format::LastFm, &mapping, intake)
}

fn one_k(tabs: Dialect) -> Mapping {
    let columns = [
        (Field::User, "userid"),
        (Field::Time, "timestamp"),
        (Field::Artist, "artist-name"),
        (Field::Track, "track-mbid"),
        (Field::Title, "track-name"),
    ];
    let header = Some(ONE_K.map(str::to_owned).into());
    mapping(columns.map(owned).into(), TimeFormat::Iso, Dialect { header, ..tabs })
}

fn export(header: &[String], dialect: Dialect) -> Mapping {
    let columns = [
        (Field::Time, "uts"),
        (Field::Artist, "artist"),
        (Field::Track, "track_mbid"),
        (Field::Title, "track"),
        (Field::User, "user"),
        (Field::Album, "album"),
    ];
    let there = columns.into_iter().filter(|(_, name)| header.iter().any(|n| n == name));
    mapping(there.map(owned).collect(), TimeFormat::Unix(1), dialect)
}

fn owned((field, name): (Field, &str)) -> (Field, String) {
    (field, name.to_owned())
}

fn mapping(plays: Columns, format: TimeFormat, csv: Dialect) -> Mapping {
    Mapping {
        plays,
        time: Time { format, marks: Marks::Start },
        units: Units::default(),
        csv,
        meaning: Meaning { scrobbles: true, estimate_durations: false },
        tracks: None,
    }
}

#[cfg(test)]
mod tests {
    use crate::import::Format;
    use crate::import::names::from_names;
    use crate::import::testing::{fault, plays};

    #[test]
    fn the_1k_set_is_read() {
        let text = "user_1\t2009-05-04T23:08:57Z\tmbid-a\tThe Example\t\tA song \"live\n\
                    user_1\t2009-05-04T13:54:10Z\tmbid-b\t坂本\tmbid-t\tAnother\n\
                    user_1\tyesterday\tmbid-b\tx\ty\tz\n";
        let (plays, report) = plays(Format::LastFm, "x.tsv", text);
        assert_eq!(plays[0].track, from_names(&["The Example", "A song \"live"]));
        assert_eq!((plays[1].track.as_str(), plays[1].about.artist_id.as_deref()), ("mbid-t", Some("坂本")));
        assert_eq!((plays[1].user.as_str(), plays[1].start_ms), ("user_1", 1_241_445_250_000));
        assert_eq!((report.rows, report.left_out["unreadable time"].samples[0].row), (3, 3));
    }

    #[test]
    fn an_export_is_read() {
        let text = "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n\
                    \"1600000000\",\"13 Sep 2020, 12:26\",\"Björk\",\"\",\"Post\",\"\",\"Hyperballad, live\",\"\"\n\
                    \"1600000300\",\"13 Sep 2020, 12:31\",\"Björk\",\"\",\"\",\"\",\"\",\"\"\n";
        let (plays, report) = plays(Format::LastFm, "anna.csv", text);
        assert_eq!((plays.len(), plays[0].user.as_str(), plays[0].start_ms), (1, "anna", 1_600_000_000_000));
        assert_eq!(plays[0].about.title.as_deref(), Some("Hyperballad, live"));
        assert_eq!(report.left_out["bad track id"].count, 1);
    }

    #[test]
    fn another_file_is_refused() {
        assert!(fault(Format::LastFm, "x.csv", "a,b\n1,2\n").contains("--format csv"));
        assert!(fault(Format::LastFm, "x.csv", "").contains("is empty"));
    }
}
