//! ListenBrainz listens, one JSON record a line: dumps and exports.

use serde_json::Value;

use super::ImportError;
use super::about::About;
use super::cell::{Cell, Read};
use super::inputs::Input;
use super::intake::Intake;
use super::lines::Lines;
use super::play::{Fault, RawPlay};
use super::report::Reason;
use super::{names, times};

/// Reads one file.
///
/// # Errors
/// If it cannot be read.
pub(super) fn read(input: &Input, intake: &mut Intake<'_>) -> Result<(), ImportError> {
    let mut lines = Lines::open(&input.path)?;
    while let Some(line) = lines.next()? {
        if line.text.is_some_and(|text| text.trim_ascii().is_empty()) {
            continue;
        }
        if line.number.is_multiple_of(4_096) {
            intake.at_byte(line.bytes);
        }
        intake.row(line.number, parse(line.text).and_then(|listen| play(&listen, &input.listener)))?;
    }
    Ok(())
}

fn parse(line: Option<&[u8]>) -> Result<Value, Fault> {
    let text = line.ok_or_else(|| Fault::new(Reason::Malformed, "a line of more than a mebibyte"))?;
    let value: Value = serde_json::from_slice(text).map_err(|e| Fault::new(Reason::Malformed, e.to_string()))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(Fault::new(Reason::WrongType, Cell::from(&value).instead_of("a listen")))
    }
}

fn play(listen: &Value, listener: &str) -> Result<RawPlay, Fault> {
    let metadata = &listen["track_metadata"];
    let info = &metadata["additional_info"];
    let title = must(metadata, "track_name", Cell::text)?;
    let artist = must(metadata, "artist_name", Cell::text)?;
    let mut notes = Vec::new();
    let places = [info, &metadata["mbid_mapping"], listen, metadata];
    let mut id = |key: &str| places.iter().find_map(|place| may(place, key, Cell::text, &mut notes));
    let mbid = id("recording_mbid").or_else(|| id("recording_msid"));
    let by_names = || Some(names::from_names(&[artist.as_deref()?, title.as_deref()?]));
    let track = mbid
        .or_else(by_names)
        .ok_or_else(|| Fault::new(Reason::BadTrack, "no recording, and no track_name and artist_name"))?;
    let user = match must(listen, "user_name", Cell::text)? {
        Some(name) => Some(name),
        None => must(listen, "user_id", Cell::text)?,
    };
    let duration_s = may(info, "duration", Cell::number, &mut notes).map(|s| s * 1_000.0);
    let duration_ms = may(info, "duration_ms", Cell::number, &mut notes).or(duration_s);
    let album = may(metadata, "release_name", Cell::text, &mut notes);
    Ok(RawPlay {
        user: user.unwrap_or_else(|| listener.to_owned()),
        track,
        start_ms: listened_at(listen)?,
        about: About {
            album_id: album.map(|album| names::from_names(&[artist.as_deref().unwrap_or_default(), &album])),
            duration_ms: duration_ms.map(|ms| ms.round() as i64),
            title,
            artist_name: artist,
            ..About::default()
        },
        notes,
        ..RawPlay::default()
    })
}

fn listened_at(listen: &Value) -> Result<i64, Fault> {
    let key = if listen["listened_at"].is_null() { "timestamp" } else { "listened_at" };
    let cell = Cell::from(&listen[key]);
    let as_number = times::TimeFormat::Unix(1).read(&cell);
    let read = match &cell {
        Cell::Text(text) => as_number.or_else(|fault| times::iso(text).ok_or(fault)),
        Cell::Null | Cell::Bool(_) | Cell::Int(_) | Cell::Float(_) | Cell::Nested => as_number,
    };
    read.map_err(|detail| Fault::field(Reason::BadTime, key, &detail))
}

fn must<T>(record: &Value, key: &str, read: fn(&Cell) -> Read<T>) -> Result<Option<T>, Fault> {
    read(&Cell::from(&record[key])).map_err(|detail| Fault::field(Reason::WrongType, key, &detail))
}

/// A value that is passed over where it is of another type.
fn may<T>(record: &Value, key: &str, read: fn(&Cell) -> Read<T>, notes: &mut Vec<&'static str>) -> Option<T> {
    read(&Cell::from(&record[key])).unwrap_or_else(|_| {
        notes.push("value of another type in additional_info");
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::Format;
    use crate::import::testing::plays;

    #[test]
    fn dumps_and_exports_are_read() {
        let text = r#"{"user_id":3,"user_name":"rob","timestamp":1600000000,"recording_msid":"msid-1","track_metadata":{"artist_name":"Can","track_name":"Vitamin C","release_name":"Ege Bamyası","additional_info":{"recording_mbid":"mbid-1","artist_mbids":["x"],"duration_ms":212000}}}
{"listened_at":1600000300,"recording_msid":"msid-2","track_metadata":{"artist_name":"Can","track_name":"Spoon","additional_info":{"duration":"183","recording_mbid":["odd"]}}}
{"user_id":3,"timestamp":"2020-09-13T12:36:40Z","track_metadata":{"artist_name":"Can","track_name":"Soup"}}
"#;
        let (plays, report) = plays(Format::ListenBrainz, "1.listens", text);
        let ids: Vec<_> = plays.iter().map(|p| (p.user.as_str(), p.track.as_str())).collect();
        assert_eq!(ids[..2], [("rob", "mbid-1"), ("1", "msid-2")]);
        assert_eq!((ids[2].0, &plays[2].track), ("3", &names::from_names(&["can", "soup"])));
        let lengths: Vec<_> = plays.iter().map(|p| (p.start_ms, p.about.duration_ms)).collect();
        let t = 1_600_000_000_000;
        assert_eq!(lengths, [(t, Some(212_000)), (t + 300_000, Some(183_000)), (t + 600_000, None)]);
        assert_eq!(report.ignored_values["value of another type in additional_info"], 1);
    }

    #[test]
    fn a_bad_line_costs_itself_alone() {
        let good = r#"{"user_name":"u","listened_at":1600000000,"recording_msid":"m","track_metadata":{}}"#;
        let text = format!(
            "{good}\n{{\"user_name\":\n[1]\n{}\n{}\n{}\n\n{}\n",
            good.replace("1600000000", "null"),
            good.replace("\"m\"", "null"),
            good.replace("\"u\"", "true"),
            good.replace("1600000000", "1600000001"),
        );
        let (plays, report) = plays(Format::ListenBrainz, "x.jsonl", &text);
        let left: Vec<_> = report.left_out.iter().map(|(reason, left)| (*reason, left.count)).collect();
        assert_eq!(left, [("bad track id", 1), ("malformed row", 1), ("unreadable time", 1), ("wrong type", 2)]);
        assert_eq!((plays.len(), report.rows), (2, 7));
    }
}
