//! A tiny bundle for tests: 40 tracks, two weeks of plays, the fixture models.

use std::path::{Path, PathBuf};

use super::{BuildConfig, Manifest, build};
use crate::domain::{ArtistId, Catalogue};
use crate::domain::{EndReason, Event, EventId, EventType, SessionId, Track, TrackId, UserId};
use crate::features::schema::{self, RowsInfo};
use crate::inference::test_runtime;
use crate::tables;

/// Tracks of the fixture.
pub(crate) const TRACKS: usize = 40;
/// Where its events begin, Unix ms: 2026-01-01.
pub(crate) const START_MS: i64 = 1_767_225_600_000;
const HOUR_MS: i64 = 3_600_000;

/// Forty tracks of twelve artists in five genres; every seventh without audio, every fifth only in SE and DE.
pub(crate) fn tracks() -> Vec<Track> {
    (0..TRACKS).map(track).collect()
}

fn track(at: usize) -> Track {
    let audio = |value: f32| (at % 7 != 6).then_some(value);
    Track {
        track_id: TrackId::new(format!("t{at}")).unwrap(),
        title: format!("Song {at}"),
        artist_id: ArtistId::new(format!("a{}", at % 12)).unwrap(),
        artist_name: format!("Artist {}", at % 12),
        album_id: Some(format!("al{}", at % 20)),
        recording_id: None,
        genre: (at % 9 != 8).then(|| format!("genre {}", at % 5)),
        label: (at % 3 == 1).then(|| format!("label {}", at % 2)),
        release_day: Some(20_000 + at as i32 * 10),
        duration_ms: Some(180_000 + at as i32 * 1_000),
        explicit: at % 10 == 9,
        tempo_bpm: audio(80.0 + at as f32 * 2.0),
        energy: audio(at as f32 / TRACKS as f32),
        valence: audio(1.0 - at as f32 / TRACKS as f32),
        danceability: audio(0.5),
        acousticness: audio(0.3),
        loudness_db: audio(-8.0),
        key: None,
        mode: None,
        markets: (at % 5 == 4).then(|| vec!["SE".into(), "DE".into()]),
        available_from_ms: None,
        available_until_ms: None,
    }
}

/// Two weeks of plays by six listeners, one an hour; low rows are played most, every fourth play is an early skip.
pub(crate) fn events() -> Vec<Event> {
    (0..14 * 24).map(event).collect()
}

fn event(hour: usize) -> Event {
    let skipped = hour % 4 == 3;
    Event {
        event_id: EventId::new(format!("e{hour}")).unwrap(),
        user_id: UserId::new(format!("u{}", hour % 6)).unwrap(),
        session_id: SessionId::new(format!("s{}", hour / 12)).unwrap(),
        kind: if skipped { EventType::Skip } else { EventType::PlayEnd },
        ts_ms: START_MS + hour as i64 * HOUR_MS,
        track_id: Some(TrackId::new(format!("t{}", (hour * hour) % (TRACKS - 5))).unwrap()),
        position_ms: None,
        duration_ms: None,
        played_ms: Some(if skipped { 4_000 } else { 175_000 }),
        reason_start: None,
        reason_end: Some(if skipped { EndReason::Skip } else { EndReason::Done }),
        recommendation_id: None,
        market: ["SE", "DE", "US"].get(hour % 4).map(ToString::to_string),
        device: None,
        local_hour: None,
    }
}

/// Writes canonical tables and `schema.json` under `root`.
pub(crate) fn write_sources(root: &Path) {
    let tracks = tracks();
    tables::write_tracks(&root.join("tracks.parquet"), tracks.clone()).unwrap();
    let mut writer = tables::EventWriter::create(&root.join("events.parquet")).unwrap();
    events().iter().for_each(|event| writer.write(event).unwrap());
    writer.finish().unwrap();
    let catalogue = Catalogue::new(tracks).unwrap();
    let schema = schema::describe(&RowsInfo {
        dim: None,
        tracks: catalogue.len(),
        artists: catalogue.artist_count(),
        genres: catalogue.genres().len(),
        rank_from_ms: START_MS + 8 * 24 * HOUR_MS,
        test_from_ms: START_MS + 12 * 24 * HOUR_MS,
    });
    std::fs::write(root.join("schema.json"), schema.to_string()).unwrap();
}

/// What [`write_sources`] wrote, the fixture models, and a bundle at `root/bundle`.
pub(crate) fn config(root: &Path) -> BuildConfig {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models");
    BuildConfig::new(root, models, root, root.join("bundle"))
}

/// Builds the fixture bundle under `root` and returns its directory and manifest.
pub(crate) fn bundle(root: &Path) -> (PathBuf, Manifest) {
    write_sources(root);
    let config = config(root);
    let manifest = build(&config, &test_runtime(), &mut |_| {}).unwrap().0;
    (config.out, manifest)
}
