use proptest::prelude::*;

use super::*;
use crate::domain::{Event, EventId, EventType, SessionId, Track, TrackId, UserId};

fn track(at: usize) -> Track {
    let mut track = crate::domain::bare_track(&format!("t{at}"), "a");
    track.markets = at.is_multiple_of(2).then(|| vec!["SE".into(), "DE".into()]);
    track.energy = at.is_multiple_of(3).then_some(0.25);
    track.label = at.is_multiple_of(5).then(|| format!("label {}", at % 7));
    track
}

fn event(at: usize) -> Event {
    Event {
        event_id: EventId::new(format!("e{at}")).unwrap(),
        user_id: UserId::new("u").unwrap(),
        session_id: SessionId::new("s").unwrap(),
        kind: EventType::ALL[at % EventType::ALL.len()],
        ts_ms: at as i64,
        track_id: at.is_multiple_of(2).then(|| TrackId::new("t").unwrap()),
        position_ms: Some(at as u32),
        duration_ms: None,
        played_ms: Some(3),
        reason_start: None,
        reason_end: Some(crate::domain::EndReason::Done),
        recommendation_id: None,
        market: Some("SE".into()),
        device: Some(crate::domain::Device::Car),
        local_hour: Some((at % 24) as u8),
    }
}

#[test]
fn what_is_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (tracks, events) = (dir.path().join("tracks.parquet"), dir.path().join("events.parquet"));
    let all: Vec<_> = (0..10_000).map(track).collect();
    assert_eq!(write_tracks(&tracks, all.clone()), Ok(10_000));
    assert_eq!(read_tracks(&tracks).unwrap(), all);
    let unlabelled = || all.iter().map(|track| Track { label: None, ..track.clone() });
    let without = dir.path().join("without.parquet");
    assert_eq!(write_unlabelled_tracks(&without, unlabelled()), Ok(10_000));
    assert_eq!(read_tracks(&without).unwrap(), unlabelled().collect::<Vec<_>>(), "a column that may be absent");
    std::fs::remove_file(without).unwrap();
    let mut writer = EventWriter::create(&events).unwrap();
    (0..100).for_each(|at| writer.write(&event(at)).unwrap());
    writer.finish().unwrap();
    let back: Result<Vec<_>, _> = read_events(&events).unwrap().collect();
    assert_eq!(back.unwrap(), (0..100).map(event).collect::<Vec<_>>());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "no partial file stays");
}

#[test]
fn an_unfinished_table_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(&dir.path().join("events.parquet")).unwrap();
    writer.write(&event(0)).unwrap();
    drop(writer);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_bad_row_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.parquet");
    let mut writer = EventWriter::create(&path).unwrap();
    writer.write(&event(0)).unwrap();
    writer.write(&Event { market: None, track_id: None, ..event(1) }).unwrap();
    writer.finish().unwrap();
    let rows: Vec<_> = read_rows::<std::collections::BTreeMap<String, i64>>(&path).unwrap().collect();
    let error = rows[0].as_ref().unwrap_err().to_string();
    assert!(error.contains("events.parquet") && error.contains("rows from 0"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damage_is_an_error_or_changes_nothing_but_never_a_panic(cut in 0usize..4000, flip in 0usize..4000) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tracks.parquet");
        write_tracks(&path, (0..20).map(track)).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let at = flip % bytes.len();
        bytes[at] ^= 0x55;
        std::fs::write(&path, &bytes).unwrap();
        let _ = read_tracks(&path);
        bytes.truncate(cut % bytes.len());
        std::fs::write(&path, &bytes).unwrap();
        prop_assert!(read_tracks(&path).is_err());
    }
}
