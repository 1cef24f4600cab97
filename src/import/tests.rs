//! Whole imports of small made-up histories.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use proptest::prelude::*;

use super::testing::{NOW_MS, file, import, plan};
use super::*;
use crate::domain::{Catalogue, EndReason, Event, EventType, SessionId, TrackId};
use crate::tables::{Column, RowWriter, Type, read_events, read_tracks};

const T: i64 = 1_600_000_000;

fn events(out: &Path) -> Vec<Event> {
    read_events(&out.join("events.parquet")).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Checks what holds of every import; returns plays as (track, ending type, reason, played).
fn check(out: &Path) -> Vec<(String, EventType, Option<EndReason>, Option<u32>)> {
    let catalogue = Catalogue::new(read_tracks(&out.join("tracks.parquet")).unwrap()).unwrap();
    let events = events(out);
    assert!(events.is_sorted_by_key(|e| e.ts_ms));
    let ids: HashSet<_> = events.iter().map(|e| e.event_id.clone()).collect();
    assert_eq!(ids.len(), events.len(), "event ids are unique");
    let mut open: HashMap<SessionId, TrackId> = HashMap::new();
    let mut owner = HashMap::new();
    let mut plays = Vec::new();
    for event in &events {
        let track = event.track_id.clone().unwrap();
        assert!(catalogue.find(track.as_str()).is_some());
        assert_eq!(owner.entry(event.session_id.clone()).or_insert(event.user_id.clone()), &event.user_id);
        if event.kind == EventType::PlayStart {
            assert_eq!(open.insert(event.session_id.clone(), track), None, "the play before has ended");
        } else if event.kind == EventType::Like {
            assert_eq!(open.get(&event.session_id), Some(&track));
        } else {
            assert_eq!(open.remove(&event.session_id).as_ref(), Some(&track));
            plays.push((track.to_string(), event.kind, event.reason_end, event.played_ms));
        }
    }
    assert!(open.is_empty(), "every play ends");
    plays
}

#[derive(serde::Serialize)]
struct ThirtyMusicRow {
    session_id: i64,
    user_id: i64,
    song_id: Option<i64>,
    ts: i64,
    playtime: i64,
}

fn thirty_music_file(path: &Path, rows: impl IntoIterator<Item = (i64, i64, Option<i64>, i64, i64)>) {
    let columns = [
        Column::required("session_id", Type::Int64),
        Column::required("user_id", Type::Int64),
        Column::optional("song_id", Type::Int64),
        Column::required("ts", Type::Int64),
        Column::required("playtime", Type::Int64),
    ];
    let mut writer = RowWriter::create(path, &columns).unwrap();
    for (session_id, user_id, song_id, ts, playtime) in rows {
        writer.write(ThirtyMusicRow { session_id, user_id, song_id, ts, playtime }).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn thirty_music_ends_plays_by_the_quartile_of_the_song() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("x.parquet");
    let full = (0..4).map(|n| (100 + n, 9, Some(1), T + 90_000 * n, 200));
    let session = [(1, 7, Some(1), T, 100), (1, 7, Some(1), T + 100, 190), (1, 7, Some(1), T + 400, 50)];
    let bad = [(1, 7, None, T, 5), (1, 7, Some(1), T, 100), (1, 7, Some(1), T + 900, -1), (1, 7, Some(1), 0, 1)];
    thirty_music_file(&input, full.chain(session).chain(bad));
    let out = dir.path().join("out");
    let report = import(&plan(Format::ThirtyMusic, &input, &out)).unwrap();
    assert_eq!((report.rows, report.plays, report.events, report.sessions, report.users), (11, 7, 14, 5, 2));
    let left: Vec<_> = report.left_out.iter().map(|(reason, left)| (*reason, left.count)).collect();
    let expected = [("bad track id", 1), ("before 2000-01-01", 1), ("duplicate play", 1), ("negative playtime", 1)];
    assert_eq!(left, expected);
    let tracks = read_tracks(&out.join("tracks.parquet")).unwrap();
    assert_eq!((tracks[0].duration_ms, tracks[0].artist_id.as_str()), (Some(200_000), "1"));
    assert_eq!(tracks[0].artist_name, "unknown artist");
    let ended = check(&out);
    let of = |kind| ended.iter().filter(|play| play.1 == kind).map(|play| play.3.unwrap()).collect::<Vec<_>>();
    assert_eq!(of(EventType::Skip), [100_000]);
    assert_eq!(of(EventType::Stop), [50_000]);
    assert_eq!(of(EventType::PlayEnd).len(), 5);
}

#[test]
fn scrobbles_are_cut_into_sessions_and_bounded_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let listen = |at: i64, track: &str, duration: i64| {
        format!(
            "{{\"user_name\":\"u\",\"listened_at\":{},\"track_metadata\":{{\"artist_name\":\"a\",\"track_name\":\"{track}\",\
             \"additional_info\":{{\"recording_mbid\":\"{track}\",\"duration_ms\":{duration}}}}}}}\n",
            T + at
        )
    };
    let text =
        [listen(0, "x", 200_000), listen(210, "y", 200_000), listen(330, "z", 0), listen(330 + 1_801, "w", 200_000)];
    let input = file(dir.path(), "1.listens", &text.concat());
    let out = dir.path().join("out");
    let report = import(&plan(Format::ListenBrainz, &input, &out)).unwrap();
    assert_eq!((report.sessions, report.ignored_values["duration out of range"]), (2, 1));
    let expected = [
        ("x".to_owned(), EventType::PlayEnd, Some(EndReason::Done), Some(200_000)),
        ("y".to_owned(), EventType::Skip, Some(EndReason::Skip), Some(120_000)),
        ("z".to_owned(), EventType::Stop, None, Some(31_000)),
        ("w".to_owned(), EventType::Stop, None, Some(100_000)),
    ];
    assert_eq!(check(&out), expected);
}

const MAPPING: &str = r#"
[plays]
user = "who"
track = "what"
time = "when"
session = "sitting"
played = "secs"
skipped = "skip"
liked = "heart"
market = "land"
device = "on"
local_hour = "hour"
[time]
format = "%Y-%m-%d %H:%M"
[units]
played = "s"
[tracks]
file = "songs.csv"
columns = { track = "id", title = "name", artist = "by", genre = "style", label = "imprint", energy = "nrg", released = "date", duration = "len" }
duration_unit = "s"
"#;

#[test]
fn a_mapped_csv_with_a_catalogue_is_imported() {
    let dir = tempfile::tempdir().unwrap();
    let songs = "id,name,by,style,imprint,nrg,date,len\nt2,Two,Ann,pop,Gold,0.5,2001-02,100\nt9,Nine,Bo,,,7,,\nt2,Again,,,,,,\n,x,,,,,,\n\
                 t3,3,Ann,pop,,,,1\nt4,4,Ann,pop,,,,1\n";
    file(dir.path(), "songs.csv", songs);
    let plays = "who,what,when,sitting,secs,skip,heart,land,on,hour\n\
                 u,t1,2020-09-13 12:00,s,40,1,0,se,iPhone,14\n\
                 u,t2,2020-09-13 12:01,s,95,,yes,Sweden,car,99\n\
                 v,t1,2020-09-13 12:01,s,10,no,,,,\n\
                 u,\"t1,2020-09-13 12:09,s,40,1,0,se,iPhone,14\n\
                 u,t1,2020-09-13 12:09,s,x,1,0,se,iPhone,14\n";
    let input = file(dir.path(), "plays.csv", plays);
    let out = dir.path().join("out");
    let mut plan = plan(Format::Csv, &input, &out);
    plan.mapping = Some(file(dir.path(), "map.toml", MAPPING));
    let report = import(&plan).unwrap();
    assert_eq!((report.rows, report.plays, report.sessions, report.events), (5, 3, 2, 7));
    assert_eq!((report.catalogue_rows, report.left_out["bad catalogue row"].count), (6, 1));
    assert_eq!(report.left_out["repeated catalogue row"].samples[0].row, 4);
    assert_eq!((report.left_out["malformed row"].samples[0].row, report.left_out["wrong type"].count), (5, 1));
    assert_eq!(report.ignored_values["audio feature out of 0..1"], 1);
    let ended: BTreeMap<_, _> = check(&out).into_iter().map(|play| (play.3, play.1)).collect();
    assert_eq!(ended[&Some(40_000)], EventType::Skip);
    assert_eq!(ended[&Some(95_000)], EventType::PlayEnd);
    let first = &events(&out)[0];
    assert_eq!((first.market.as_deref(), first.local_hour), (Some("SE"), Some(14)));
    let tracks = read_tracks(&out.join("tracks.parquet")).unwrap();
    let ids: Vec<_> = tracks.iter().map(|t| t.track_id.as_str()).collect();
    assert_eq!(ids, ["t1", "t2", "t9", "t3", "t4"]);
    assert_eq!((tracks[1].label.as_deref(), &tracks[2].label), (Some("Gold"), &None));
    assert_eq!(
        (tracks[1].title.as_str(), tracks[1].duration_ms, tracks[1].release_day),
        ("Two", Some(100_000), Some(11_354))
    );
}

#[test]
fn a_mapped_parquet_is_imported() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("x.parquet");
    thirty_music_file(&input, [(1, 7, Some(1), T, 100), (1, 7, Some(2), T + 100, 190)]);
    let mapping = "[plays]\nuser='user_id'\ntrack='song_id'\ntime='ts'\nplayed='playtime'\n[time]\nformat='unix_s'\n\
                   [units]\nplayed='s'\n";
    let mut given = plan(Format::Parquet, &input, &dir.path().join("out"));
    given.mapping = Some(file(dir.path(), "map.toml", mapping));
    assert_eq!(import(&given).unwrap().plays, 2);
    assert_eq!(check(&given.out).len(), 2);
    given.out = dir.path().join("other");
    given.mapping = Some(file(dir.path(), "map.toml", &mapping.replace("'ts'", "'when'")));
    let fault = import(&given).unwrap_err().to_string();
    assert!(fault.contains("no column \"when\" for `time`") && fault.contains("playtime"), "{fault}");
}

#[test]
fn what_cannot_be_imported_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let input = file(dir.path(), "x.csv", "uts,artist,track\nx,a,t\ny,a,t\n1600000000,a,t\n");
    let given = plan(Format::LastFm, &input, &out);
    let fault = import(&given).unwrap_err().to_string();
    assert!(
        fault.contains("2 of 3 rows") && fault.contains("unreadable time") && fault.contains("x.csv row 2"),
        "{fault}"
    );
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(out.join(REPORT_FILE)).unwrap()).unwrap();
    assert_eq!(report["left_out"]["unreadable time"]["count"], 2);
    assert!(!out.join("events.parquet").exists());
    assert_eq!(import(&Plan { max_bad_share: 0.9, ..given.clone() }).unwrap().plays, 1);
    assert!(import(&given).unwrap_err().to_string().contains("choose another --out"));
    let other = Plan { out: dir.path().join("other"), ..given };
    let empty = Plan { inputs: vec![file(dir.path(), "e.csv", "uts,artist,track\n")], ..other.clone() };
    assert!(import(&empty).unwrap_err().to_string().contains("the files are empty"));
    let mapped = Plan { format: Format::Csv, ..other.clone() };
    assert!(import(&mapped).unwrap_err().to_string().contains("needs --mapping FILE"));
    let late = Plan { now_ms: T * 1_000 - 1, max_bad_share: 1.0, ..other };
    assert!(import(&late).unwrap_err().to_string().contains("no play in 3 rows"));
}

#[test]
fn the_same_history_gives_the_same_files() {
    let dir = tempfile::tempdir().unwrap();
    let text: String = (0..500).map(|n| format!("{},a{},t{}\n", T + n * 97 % 40_000, n % 7, n % 31)).collect();
    let input = file(dir.path(), "x.csv", &format!("uts,artist,track\n{text}"));
    let bytes = |name: &str| {
        let out = dir.path().join(name);
        import(&plan(Format::LastFm, &input, &out)).unwrap();
        check(&out);
        ["tracks.parquet", "events.parquet", REPORT_FILE].map(|file| std::fs::read(out.join(file)).unwrap())
    };
    assert!(bytes("one") == bytes("two"));
}

/// A made-up row: user, track, start, played, session, skipped, liked.
type Made = (u8, u8, i64, Option<u32>, Option<u8>, Option<bool>, bool);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_history_gives_events_in_order_and_plays_that_end_once(
        rows in prop::collection::vec(
            (0u8..3, 0u8..4, 0i64..6_000, prop::option::of(0u32..400), prop::option::of(0u8..3), any::<Option<bool>>(), any::<bool>()),
            1..60,
        ),
        scrobbles: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let line = |(user, track, start, played, session, skipped, liked): &Made| {
            let text = |n: Option<String>| n.unwrap_or_default();
            format!("u{user},t{track},{},{},{},{},{liked}\n", T + start, text(played.map(|n| n.to_string())),
                text(session.map(|n| n.to_string())), text(skipped.map(|n| n.to_string())))
        };
        let lines: String = rows.iter().map(line).collect();
        let input = file(dir.path(), "x.csv", &format!("u,t,at,p,s,k,l\n{lines}"));
        let mapping = format!("[plays]\nuser='u'\ntrack='t'\ntime='at'\nplayed='p'\nsession='s'\nskipped='k'\nliked='l'\n\
            [time]\nformat='unix_s'\n[units]\nplayed='s'\n[meaning]\nscrobbles={scrobbles}\nestimate_durations=true\n");
        let mut plan = plan(Format::Csv, &input, &dir.path().join("out"));
        plan.mapping = Some(file(dir.path(), "map.toml", &mapping));
        prop_assert!(plan.now_ms == NOW_MS);
        let report = import(&plan).unwrap();
        let ended = check(&plan.out);
        let distinct: HashSet<_> = rows.iter().map(|row| (row.0, row.1, row.2)).collect();
        prop_assert_eq!(ended.len(), distinct.len());
        prop_assert_eq!(report.plays, distinct.len() as u64);
        prop_assert_eq!(report.rows, rows.len() as u64);
    }
}
