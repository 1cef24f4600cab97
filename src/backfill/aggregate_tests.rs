//! The aggregates against sums over all events.

use std::collections::{BTreeMap, HashMap};

use super::aggregate::TasteRow;
use super::tests::Fixture;
use super::{AggregatePlan, aggregate};
use crate::domain::{Catalogue, Event, EventType};
use crate::features::{duration_ms, grade};
use crate::tables::{read_rows, read_tracks};

const DAY_MS: f64 = 86_400_000.0;

/// What a listener likes, as a plain sum: an addition for each graded play and for each change to liked.
fn sums(fixture: &Fixture, catalogue: &Catalogue, as_of_ms: i64) -> BTreeMap<(String, String, String), f64> {
    let mut sums = BTreeMap::new();
    let mut liked: HashMap<(String, String), bool> = HashMap::new();
    for event in fixture.events.iter().filter(|event| event.ts_ms < as_of_ms) {
        let Some(id) = &event.track_id else { continue };
        let track = catalogue.find(id.as_str()).unwrap();
        let likes = [EventType::Like, EventType::AddToPlaylist];
        let takes_back = [EventType::Unlike, EventType::Dislike];
        let weight = if likes.contains(&event.kind) || takes_back.contains(&event.kind) {
            let now = likes.contains(&event.kind);
            let before = liked.insert((event.user_id.to_string(), id.to_string()), now).unwrap_or_default();
            if now && !before { 1.0 } else { 0.0 }
        } else {
            played(fixture, event, duration_ms(catalogue.track(track)))
        };
        let left = weight * 2f64.powf(-((as_of_ms - event.ts_ms) as f64) / (60.0 * DAY_MS));
        let genre = catalogue.genres()[catalogue.genre_of(track).at()].clone();
        let artist = catalogue.artist(catalogue.artist_of(track)).id.to_string();
        for (kind, key) in [("artist", artist), ("genre", genre)] {
            if left > 0.0 {
                *sums.entry((event.user_id.to_string(), kind.to_owned(), key)).or_default() += left;
            }
        }
    }
    sums
}

fn played(fixture: &Fixture, event: &Event, duration_ms: Option<u32>) -> f64 {
    grade(event, duration_ms, None, &fixture.config.signals).map_or(0.0, |verdict| f64::from(verdict.signal.max(0.0)))
}

#[test]
fn tastes_are_sums_and_popularity_is_the_bundles() {
    let mut fixture = Fixture::new();
    fixture.disturb();
    let rank_from_ms = fixture.towers().rank_from_ms;
    fixture.bundle();
    let catalogue = Catalogue::new(read_tracks(&fixture.at("tracks.parquet")).unwrap()).unwrap();
    for as_of_ms in [Some(rank_from_ms), None] {
        let plan = AggregatePlan { data: fixture.at(""), out: fixture.at("daily"), as_of_ms };
        let done = aggregate(&plan, &fixture.config, &mut |_| {}).unwrap();
        let expected = sums(&fixture, &catalogue, done.as_of_ms);
        let rows: Vec<TasteRow> =
            read_rows(&fixture.at("daily/tastes.parquet")).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!((done.refused, done.tastes as usize, rows.len()), (0, rows.len(), expected.len()));
        for row in rows {
            let sum = expected[&(row.user_id.clone(), row.kind.clone(), row.key.clone())];
            assert!((f64::from(row.weight) - sum).abs() <= 1e-5 * sum, "{row:?} {sum}");
        }
    }
    let plan = AggregatePlan { data: fixture.at(""), out: fixture.at("daily"), as_of_ms: Some(rank_from_ms) };
    aggregate(&plan, &fixture.config, &mut |_| {}).unwrap();
    let [daily, bundle] =
        ["daily", "bundle"].map(|dir| std::fs::read(fixture.at(dir).join("popularity.parquet")).unwrap());
    assert_eq!(daily, bundle, "byte for byte");
}

#[test]
fn state_that_finds_no_room_is_an_error() {
    let mut fixture = Fixture::new();
    (fixture.config.state.sessions_mib, fixture.config.state.profiles_mib) = (0, 0);
    let plan = AggregatePlan { data: fixture.at(""), out: fixture.at("daily"), as_of_ms: None };
    let error = aggregate(&plan, &fixture.config, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("raise state.sessions_mib"), "{error}");
}
