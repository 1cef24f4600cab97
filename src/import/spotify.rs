//! Spotify's extended streaming history: JSON arrays of streams, each with its end, length and reasons.

use std::fmt;
use std::fs::File;
use std::io::BufReader;

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::ImportError;
use super::about::About;
use super::cell::{Cell, Read};
use super::estimate::Estimate;
use super::fields::device;
use super::inputs::Input;
use super::intake::Intake;
use super::play::{Fault, Hint, RawPlay};
use super::report::Reason;
use super::settle::Rules;
use super::{names, times};
use crate::domain::StartReason;

/// Lengths of tracks are not in it: the median of the streams that ran to the end stands for them.
pub(super) fn rules() -> Rules {
    Rules { estimate: Estimate::FinishedPlays, ..Rules::default() }
}

/// Reads one file, stream by stream.
///
/// # Errors
/// A file that is no whole JSON array.
pub(super) fn read(input: &Input, intake: &mut Intake<'_>) -> Result<(), ImportError> {
    let file = File::open(&input.path).map_err(|e| ImportError::file(&input.path, e))?;
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(file));
    let mut failed = None;
    let streams = Streams { input, intake, failed: &mut failed };
    let done = streams.deserialize(&mut json).and_then(|()| json.end());
    match (failed, done) {
        (Some(error), _) => Err(error),
        (None, Err(e)) => Err(ImportError::file(
            &input.path,
            format!("not a whole JSON array of streams: {e}; unpack the export again, or check --format"),
        )),
        (None, Ok(())) => Ok(()),
    }
}

/// Hands over the elements of the array one at a time.
struct Streams<'a, 'b> {
    input: &'a Input,
    intake: &'a mut Intake<'b>,
    failed: &'a mut Option<ImportError>,
}

impl<'de> DeserializeSeed<'de> for Streams<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Streams<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of streams")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        let mut at = 0u64;
        while let Some(value) = array.next_element::<Value>()? {
            at += 1;
            let stream = value
                .as_object()
                .ok_or_else(|| Fault::new(Reason::WrongType, Cell::from(&value).instead_of("a stream")));
            let play = stream.and_then(|stream| play(stream, &self.input.listener));
            if let Err(error) = self.intake.row(at, play) {
                *self.failed = Some(error);
                return Err(serde::de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

/// One stream as a play.
fn play(stream: &Map<String, Value>, listener: &str) -> Result<RawPlay, Fault> {
    let text = |key: &str| must(stream, key, Cell::text);
    let title = text("master_metadata_track_name")?;
    let artist = text("master_metadata_album_artist_name")?;
    let uri = text("spotify_track_uri")?;
    if title.is_none() && uri.is_none() {
        return Err(no_music(stream));
    }
    // A private session is no taste to learn from, and its listener asked not to be known by it.
    if must(stream, "incognito_mode", Cell::flag)? == Some(true) {
        return Err(Fault::new(Reason::Private, "incognito_mode"));
    }
    let end = text("ts")?.ok_or_else(|| Fault::new(Reason::BadTime, "no ts"))?;
    let end_ms = times::iso(&end).ok_or_else(|| {
        Fault::field(Reason::BadTime, "ts", &Cell::Text(end.clone()).instead_of("a time such as 2024-01-31T18:00:00Z"))
    })?;
    let played_ms = must(stream, "ms_played", Cell::number)?
        .map(|ms| ms.round() as i64)
        .ok_or_else(|| Fault::new(Reason::WrongType, "no ms_played"))?;
    let album = text("master_metadata_album_album_name")?;
    let (artist_name, title_name) = (artist.as_deref().unwrap_or_default(), title.as_deref().unwrap_or_default());
    let track = match uri.as_deref().and_then(|uri| uri.strip_prefix("spotify:track:")) {
        Some(id) => id.to_owned(),
        // Local files have a URI of names, which may be long.
        None => names::from_names(&[artist_name, title_name]),
    };
    let skipped = must(stream, "skipped", Cell::flag)?;
    let mut notes = Vec::new();
    let hint = ended(text("reason_end")?.as_deref(), skipped, &mut notes);
    Ok(RawPlay {
        user: text("username")?.unwrap_or_else(|| listener.to_owned()),
        track,
        start_ms: end_ms.saturating_sub(played_ms.max(0)),
        session: None,
        played_ms: Some(played_ms),
        hint,
        reason_start: began(text("reason_start")?.as_deref(), &mut notes),
        liked: false,
        market: text("conn_country")?,
        device: text("platform")?.map(|platform| device(&platform)),
        local_hour: None,
        about: About {
            album_id: album.map(|album| names::from_names(&[artist_name, &album])),
            artist_name: artist,
            title,
            ..About::default()
        },
        notes,
    })
}

fn must<T>(stream: &Map<String, Value>, key: &str, read: fn(&Cell) -> Read<T>) -> Result<Option<T>, Fault> {
    let cell = stream.get(key).map(Cell::from).unwrap_or_default();
    read(&cell).map_err(|detail| Fault::field(Reason::WrongType, key, &detail))
}

/// Why a stream without a track is none.
fn no_music(stream: &Map<String, Value>) -> Fault {
    let has = |key: &str| stream.get(key).is_some_and(|value| !value.is_null());
    if has("episode_name") || has("spotify_episode_uri") {
        Fault::new(Reason::NotMusic, "a podcast")
    } else if has("audiobook_title") || has("audiobook_uri") {
        Fault::new(Reason::NotMusic, "an audiobook")
    } else if has("endTime") {
        Fault::new(Reason::Malformed, "the short history of \"Account data\": ask for \"Extended streaming history\"")
    } else {
        Fault::new(Reason::BadTrack, "no track and no episode")
    }
}

/// What `reason_start` says.
fn began(reason: Option<&str>, notes: &mut Vec<&'static str>) -> Option<StartReason> {
    match reason? {
        // Next after a skip is the queue's choice, not the listener's.
        "trackdone" | "fwdbtn" | "trackerror" | "endplay" => Some(StartReason::Auto),
        "clickrow" | "playbtn" | "clickside" | "uriopen" | "remote" | "popup" => Some(StartReason::Click),
        "backbtn" => Some(StartReason::Back),
        "appload" | "unknown" | "persisted" => None,
        _ => {
            notes.push("reason_start that is not known");
            None
        }
    }
}

/// What `reason_end` and, where it says nothing, `skipped` say.
fn ended(reason: Option<&str>, skipped: Option<bool>, notes: &mut Vec<&'static str>) -> Hint {
    let by_flag = |otherwise| if skipped == Some(true) { Hint::Skipped } else { otherwise };
    match reason.unwrap_or("unknown") {
        "trackdone" => Hint::Done,
        "fwdbtn" | "clickrow" | "playbtn" | "clickside" | "uriopen" | "popup" => Hint::Skipped,
        "backbtn" => Hint::Back,
        "endplay" => by_flag(Hint::Replaced),
        "logout" => Hint::Logout,
        "unexpected-exit" | "unexpected-exit-while-paused" | "appload" => Hint::AppClosed,
        "remote" | "trackerror" => Hint::Stopped,
        "unknown" => by_flag(Hint::Stopped),
        _ => {
            notes.push("reason_end that is not known");
            by_flag(Hint::Stopped)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Device;
    use crate::import::Format;
    use crate::import::testing::{fault, plays};
    use serde_json::json;

    fn stream(change: impl Fn(&mut Value)) -> Value {
        let mut stream = json!({
            "ts": "2020-09-13T12:26:40Z", "platform": "Android OS 10", "ms_played": 35_000, "conn_country": "SE",
            "ip_addr": "192.0.2.1", "master_metadata_track_name": "Army of Me",
            "master_metadata_album_artist_name": "Björk", "master_metadata_album_album_name": "Post",
            "spotify_track_uri": "spotify:track:5yXuTgrqTxdXh2ZyYBWTzN", "episode_name": null,
            "spotify_episode_uri": null, "reason_start": "clickrow", "reason_end": "fwdbtn", "shuffle": false,
            "skipped": true, "offline": false, "incognito_mode": false
        });
        change(&mut stream);
        stream
    }

    fn read_all(streams: &[Value]) -> (Vec<RawPlay>, crate::import::Report) {
        plays(Format::Spotify, "endsong_0.json", &serde_json::to_string(streams).unwrap())
    }

    #[test]
    fn a_stream_becomes_a_play() {
        let (plays, report) = read_all(&[stream(|_| {})]);
        let play = &plays[0];
        assert_eq!((play.user.as_str(), play.track.as_str()), ("endsong_0", "5yXuTgrqTxdXh2ZyYBWTzN"));
        assert_eq!((play.start_ms, play.played_ms), (1_599_999_965_000, Some(35_000)));
        assert_eq!((play.hint, play.reason_start), (Hint::Skipped, Some(StartReason::Click)));
        assert_eq!((play.market.as_deref(), play.device), (Some("SE"), Some(Device::Phone)));
        assert_eq!((play.about.artist_id.as_deref(), play.about.title.as_deref()), (Some("björk"), Some("Army of Me")));
        assert!(report.left_out.is_empty());
    }

    #[test]
    fn what_is_no_music_or_broken_is_counted_by_kind() {
        let streams = [
            stream(|_| {}),
            stream(|s| {
                (s["master_metadata_track_name"], s["spotify_track_uri"]) = (Value::Null, Value::Null);
                s["episode_name"] = "A talk".into();
            }),
            stream(|s| (s["master_metadata_track_name"], s["spotify_track_uri"]) = (Value::Null, Value::Null)),
            stream(|s| s["incognito_mode"] = true.into()),
            stream(|s| s["ts"] = "once".into()),
            stream(|s| s["ms_played"] = (-5).into()),
            stream(|s| s["ms_played"] = "long".into()),
            stream(|s| s["username"] = "u\u{1}".into()),
            json!(7),
        ];
        let (plays, report) = read_all(&streams);
        let left: Vec<_> = report.left_out.iter().map(|(reason, left)| (*reason, left.count)).collect();
        let expected = [
            ("bad track id", 1),
            ("bad user id", 1),
            ("negative playtime", 1),
            ("not music", 1),
            ("private session", 1),
            ("unreadable time", 1),
            ("wrong type", 2),
        ];
        assert_eq!((plays.len(), left.as_slice()), (1, &expected[..]));
        assert_eq!(report.left_out["wrong type"].samples[1].row, 9);
    }

    #[test]
    fn reasons_follow_the_table() {
        let table = [
            ("trackdone", false, Hint::Done),
            ("backbtn", false, Hint::Back),
            ("endplay", false, Hint::Replaced),
            ("endplay", true, Hint::Skipped),
            ("logout", true, Hint::Logout),
            ("unexpected-exit-while-paused", false, Hint::AppClosed),
            ("remote", false, Hint::Stopped),
            ("unknown", true, Hint::Skipped),
        ];
        for (reason, skipped, hint) in table {
            let mut notes = Vec::new();
            assert_eq!((ended(Some(reason), Some(skipped), &mut notes), notes.len()), (hint, 0), "{reason}");
        }
        let mut notes = Vec::new();
        assert_eq!(ended(Some("magic"), None, &mut notes), Hint::Stopped);
        assert_eq!(began(Some("magic"), &mut notes), None);
        assert_eq!(began(Some("fwdbtn"), &mut notes), Some(StartReason::Auto));
        assert_eq!(notes.len(), 2);
    }

    #[test]
    fn a_local_file_and_an_unknown_country_are_taken() {
        let (plays, report) = read_all(&[stream(|s| {
            s["spotify_track_uri"] = format!("spotify:local:{}", "x".repeat(200)).into();
            s["conn_country"] = "ZZ".into();
        })]);
        assert_eq!((plays[0].track.clone(), &plays[0].market), (names::from_names(&["björk", "army of me"]), &None));
        assert_eq!(report.ignored_values["market that is no ISO 3166 code"], 1);
    }

    #[test]
    fn a_broken_or_foreign_file_is_an_error() {
        assert!(fault(Format::Spotify, "endsong_0.json", "[{\"ts\": \"2020").contains("not a whole JSON array"));
        assert!(fault(Format::Spotify, "endsong_0.json", "{}").contains("not a whole JSON array"));
        let short =
            "[{\"endTime\": \"2020-01-01 10:00\", \"artistName\": \"a\", \"trackName\": \"t\", \"msPlayed\": 1}]";
        assert!(fault(Format::Spotify, "x.json", short).contains("Extended streaming history"));
    }
}
