use std::collections::{HashMap, HashSet};

use super::*;
use crate::domain::{Catalogue, Event, EventType};
use crate::tables::{read_events, read_tracks};

fn small() -> WorldConfig {
    WorldConfig { tracks: 600, listeners: 120, days: 14, ..WorldConfig::default() }
}

fn made(config: &WorldConfig) -> (tempfile::TempDir, WorldSummary) {
    let dir = tempfile::tempdir().unwrap();
    let summary = generate(config, dir.path(), &|_, _| {}).unwrap();
    (dir, summary)
}

fn events(dir: &tempfile::TempDir) -> Vec<Event> {
    read_events(&dir.path().join("events.parquet")).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let (a, b) = (made(&small()).0, made(&small()).0);
    let other = made(&WorldConfig { seed: 8, ..small() }).0;
    for file in ["tracks.parquet", "events.parquet"] {
        let bytes = |dir: &tempfile::TempDir| std::fs::read(dir.path().join(file)).unwrap();
        assert_eq!(bytes(&a), bytes(&b));
        assert_ne!(bytes(&a), bytes(&other));
    }
}

#[test]
fn ranges_are_checked() {
    let error = generate(&WorldConfig { tracks: 9, ..small() }, std::path::Path::new("nowhere"), &|_, _| {});
    assert_eq!(error.unwrap_err().to_string(), "tracks = 9 is not in 10..=50000000");
}

#[test]
fn the_log_is_sorted_and_every_ending_has_its_beginning() {
    let (dir, summary) = made(&small());
    let events = events(&dir);
    assert_eq!(events.len() as u64, summary.events);
    assert!(events.windows(2).all(|pair| pair[0].ts_ms <= pair[1].ts_ms));
    assert_eq!(events.iter().map(|e| &e.event_id).collect::<HashSet<_>>().len(), events.len());
    let mut sounding = HashMap::new();
    for event in &events {
        if event.kind == EventType::PlayStart {
            sounding.insert(event.user_id.clone(), event.track_id.clone());
        } else if [EventType::PlayEnd, EventType::Skip, EventType::Stop].contains(&event.kind) {
            assert_eq!(sounding.remove(&event.user_id), Some(event.track_id.clone()));
        }
    }
}

#[test]
fn listeners_behave_believably() {
    let (dir, summary) = made(&small());
    let skip_rate = summary.skips as f64 / summary.plays as f64;
    assert!((0.18..0.42).contains(&skip_rate), "skip rate {skip_rate}");
    let like_rate = summary.likes as f64 / summary.plays as f64;
    assert!((0.01..0.08).contains(&like_rate), "like rate {like_rate}");
    let catalogue = Catalogue::new(read_tracks(&dir.path().join("tracks.parquet")).unwrap()).unwrap();
    let (mut last, mut same_artist, mut followed, mut repeats) = (HashMap::new(), 0u32, 0u32, 0u32);
    let mut known = HashSet::new();
    for event in events(&dir).iter().filter(|e| e.kind == EventType::PlayStart) {
        let track = catalogue.find(event.track_id.as_ref().unwrap().as_str()).unwrap();
        let row = catalogue.track(track);
        assert!(i64::from(row.release_day.unwrap()) * 86_400_000 <= event.ts_ms, "played before release");
        repeats += u32::from(!known.insert((event.user_id.clone(), track)));
        if let Some(previous) = last.insert(event.session_id.clone(), catalogue.artist_of(track)) {
            followed += 1;
            same_artist += u32::from(previous == catalogue.artist_of(track));
        }
    }
    let coherence = f64::from(same_artist) / f64::from(followed);
    assert!(coherence > 0.15 && coherence < 0.7, "same artist next {coherence}");
    assert!(f64::from(repeats) / summary.plays as f64 > 0.05, "repeats {repeats} of {}", summary.plays);
}

#[test]
fn names_read_like_music() {
    let world = catalogue::World::new(&small());
    let row = world.row(3).unwrap();
    assert!(!row.title.is_empty() && row.artist_name.chars().any(char::is_uppercase), "{row:?}");
    assert_eq!(row, world.row(3).unwrap());
}

/// Listeners still there after 40 days of tracks that `next` gives.
fn present_after(mut next: impl FnMut(&mut Crowd, u32) -> Option<u32>) -> usize {
    let config = small();
    let mut crowd = Crowd::new(&config, 300, 1).unwrap();
    for day in 0..40 {
        for (start_ms, listener) in crowd.begin_day(config.end_day + day) {
            crowd.sit_down(listener, start_ms);
            while let Some(track) = next(&mut crowd, listener) {
                let Some(heard) = crowd.hear(listener, track).unwrap() else { break };
                assert_eq!(heard.events[0].session_id, heard.events[heard.events.len() - 1].session_id);
                assert!(heard.events.windows(2).all(|pair| pair[0].ts_ms <= pair[1].ts_ms));
                if heard.leaves {
                    break;
                }
            }
            crowd.stand_up(listener);
            assert!(crowd.asking(listener).is_none());
        }
    }
    crowd.present()
}

#[test]
fn listeners_stay_for_music_they_like_and_leave_over_one_song() {
    let own = present_after(Crowd::own_choice);
    let one = present_after(|_, _| Some(0));
    assert!(own > one, "{own} stay with what they choose, {one} with one song again and again");
    assert_eq!(own, present_after(Crowd::own_choice));
}

#[test]
fn a_crowd_knows_the_tracks_of_its_world() {
    let (dir, _) = made(&small());
    let catalogue = || Catalogue::new(read_tracks(&dir.path().join("tracks.parquet")).unwrap()).unwrap();
    assert_eq!(Crowd::new(&small(), 1, 1).unwrap().stranger(&catalogue()), None);
    let other = Crowd::new(&WorldConfig { seed: 8, ..small() }, 1, 1).unwrap();
    assert!(other.stranger(&catalogue()).is_some());
    assert!(Crowd::new(&WorldConfig { tracks: 9, ..small() }, 1, 1).is_err());
}
