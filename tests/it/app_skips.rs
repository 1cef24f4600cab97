//! What skips of the session and plays of the past do to the next answer: one rule a test.

use std::collections::HashMap;

use segue::domain::{Track, TrackIx};
use serde_json::{Value, json};

use crate::app_support::{TestApp, bundle, event, finished, skip};

/// The weight of the penalty: so little that what is lowered stays in the list.
const WEIGHT: f64 = 0.02;

/// An application that lists what was played and orders by score.
fn listing() -> TestApp {
    TestApp::with(|config| {
        (config.filters.played_in_session, config.filters.served_before) = (false, false);
        config.state.session_idle_min = 1_440;
        (config.knobs.popularity_penalty, config.knobs.skip_penalty) = (0.0, WEIGHT as f32);
        config.exploration.positions.clear();
        config.exploration.more_positions.clear();
    })
}

async fn traced(app: &TestApp, user: &str) -> Value {
    let asked = json!({"user_id": user, "session_id": format!("s-{user}"), "limit": 100, "diversity": 0, "discovery": 0,
        "surface": "chart", "explain": "trace"});
    app.next(asked).await
}

/// By how much skips lowered each listed track of the listener's session.
async fn lowered(app: &TestApp, user: &str) -> HashMap<String, f64> {
    // Where little is licensed, everything that may be served is in the list.
    let asked = json!({"user_id": user, "session_id": format!("s-{user}"), "limit": 100, "diversity": 0, "discovery": 0,
        "surface": "chart", "explain": "trace", "market": "FR", "allow_explicit": false});
    between(&app.next(asked).await, "mmoe", "skip_penalty")
}

/// By how much each listed track was lowered from one stage to the next.
fn between(answer: &Value, before: &str, after: &str) -> HashMap<String, f64> {
    let step = |track: &Value, stage: &str| {
        let steps = track["way"]["steps"].as_array().unwrap();
        steps.iter().find(|step| step["stage"] == stage).unwrap()["score"].as_f64().unwrap()
    };
    let tracks = answer["tracks"].as_array().unwrap();
    let one =
        |track: &Value| (track["track_id"].as_str().unwrap().to_owned(), step(track, before) - step(track, after));
    let lowered: HashMap<_, _> = tracks.iter().map(one).collect();
    assert!(lowered.len() > 50, "{}", lowered.len());
    lowered
}

/// The factor that is the same for every track that was lowered before.
fn factor(before: &HashMap<String, f64>, after: &HashMap<String, f64>) -> f64 {
    let both = before.iter().filter(|(_, by)| **by > 0.001);
    let factors: Vec<f64> = both.filter_map(|(track, by)| Some(after.get(track)? / by)).collect();
    assert!(factors.len() > 5, "{factors:?}");
    assert!(factors.iter().all(|one| (one - factors[0]).abs() < 0.01), "{factors:?}");
    factors[0]
}

fn similarity(app: &TestApp, one: &str, other: &str) -> f64 {
    let bundle = bundle(app);
    let row = |id: &str| bundle.vectors.row(bundle.catalogue.find(id).unwrap().0 as usize);
    row(one).iter().zip(row(other)).map(|(a, b)| f64::from(a * b)).sum()
}

#[actix_web::test]
async fn an_early_skip_lowers_track_artist_genre_and_direction() {
    let app = listing();
    let untouched = lowered(&app, "u1").await;
    assert!(untouched.values().all(|by| *by == 0.0));
    // A track of the list beside others of its artist and others of its genre.
    let beside = |id: &str, fits: &dyn Fn(&Track, &Track) -> bool| {
        untouched.keys().filter(|other| *other != id && fits(&app.track(id), &app.track(other))).count()
    };
    let by_artist = |one: &Track, other: &Track| one.artist_id == other.artist_id;
    let by_genre = |one: &Track, other: &Track| one.artist_id != other.artist_id && one.genre == other.genre;
    let fits = |id: &&String| beside(id, &by_artist) > 1 && beside(id, &by_genre) > 1;
    let skipped = untouched.keys().filter(fits).min().unwrap();
    app.accept(vec![skip("u1", "s-u1", skipped)]).await;
    let lowered = lowered(&app, "u1").await;
    for (id, by) in &lowered {
        let (track, skipped_track) = (app.track(id), app.track(skipped));
        let parts = [id == skipped, track.artist_id == skipped_track.artist_id, track.genre == skipped_track.genre];
        let [own, artist, genre] = parts.map(|same| if same { 0.5 } else { 0.0 });
        let expected = WEIGHT * (own + artist + 0.25 * genre + 0.5 * similarity(&app, skipped, id).clamp(0.0, 1.0));
        assert!((by - expected).abs() < 1e-4, "{id}: {by}, expected {expected}");
    }
    let listed = |fits: &dyn Fn(&Track, &Track) -> bool| {
        lowered.keys().filter(|id| *id != skipped && fits(&app.track(skipped), &app.track(id))).count()
    };
    assert!(lowered.contains_key(skipped) && listed(&by_artist) > 0 && listed(&by_genre) > 0, "{skipped}");
    assert!(lowered.values().any(|by| *by == 0.0), "what is nothing like it stays");
}

#[actix_web::test]
async fn a_skip_fades_with_later_plays() {
    let app = listing();
    app.accept(vec![skip("u1", "s-u1", "t3")]).await;
    let before = lowered(&app, "u1").await;
    let foreign = app.tracks(|track| track.artist_id != app.track("t3").artist_id).into_iter().min().unwrap();
    app.accept(vec![finished("u1", "s-u1", &foreign)]).await;
    assert!((factor(&before, &lowered(&app, "u1").await) - 0.85).abs() < 0.01);
}

#[actix_web::test]
async fn a_skip_fades_with_time() {
    let app = listing();
    let mut earlier = skip("u2", "s-u2", "t3");
    earlier["client_ts"] = json!((jiff::Timestamp::now() - jiff::SignedDuration::from_mins(30)).to_string());
    app.accept(vec![skip("u1", "s-u1", "t3"), earlier]).await;
    assert!((factor(&lowered(&app, "u1").await, &lowered(&app, "u2").await) - 0.5).abs() < 0.01);
}

#[actix_web::test]
async fn a_completed_play_of_the_artist_takes_part_of_it_back() {
    let app = listing();
    let artist = &app.track("t3").artist_id;
    let own =
        app.tracks(|track| track.artist_id == *artist && track.track_id.as_str() != "t3").into_iter().min().unwrap();
    app.accept(vec![skip("u1", "s-u1", "t3")]).await;
    let before = lowered(&app, "u1").await;
    app.accept(vec![finished("u1", "s-u1", &own)]).await;
    assert!((factor(&before, &lowered(&app, "u1").await) - 0.85 * 0.5).abs() < 0.01);
}

#[actix_web::test]
async fn pausing_and_stopping_change_nothing() {
    let app = listing();
    let still = ["play_start", "pause", "resume", "pause"].map(|kind| event("u1", "s-u1", kind, "t4"));
    let mut stop = event("u1", "s-u1", "stop", "t4");
    stop["played_ms"] = json!(4_000);
    let stopped: Vec<_> = still.into_iter().chain([stop]).collect();
    app.accept(stopped.clone()).await;
    assert!(lowered(&app, "u1").await.values().all(|by| *by == 0.0), "none of them is a skip");
    app.accept(vec![skip("u2", "s-u2", "t3")]).await;
    let before = lowered(&app, "u2").await;
    let again = stopped.into_iter().map(|mut event| {
        event["event_id"] = json!(format!("again-{}", event["event_id"].as_str().unwrap()));
        (event["user_id"], event["session_id"]) = (json!("u2"), json!("s-u2"));
        event
    });
    app.accept(again.collect()).await;
    assert!((factor(&before, &lowered(&app, "u2").await) - 1.0).abs() < 0.01, "none of them lets a skip fade");
}

/// The allowed tracks, nearest to this one first.
fn nearest(app: &TestApp, to: &str) -> Vec<String> {
    let catalogue = &crate::app_support::bundle(app).catalogue;
    let rows = (0..catalogue.len() as u32).map(TrackIx).map(|row| catalogue.track(row));
    let free = rows.filter(|track| track.available_until_ms.is_none() && track.markets.is_none());
    let mut ids: Vec<String> = free.map(|track| track.track_id.to_string()).collect();
    ids.sort_by(|a, b| similarity(app, to, b).total_cmp(&similarity(app, to, a)));
    ids
}

#[actix_web::test]
async fn three_skips_in_a_row_bring_in_other_interests() {
    let found = async |after_skips: f32, skips: usize| {
        let app = TestApp::with(|config| {
            let sources = &mut config.retrieval;
            (sources.popular, sources.session_artists, sources.sequential_rules) = (0, 0, 0);
            (sources.own_tracks, sources.fresh, sources.exploration) = (0, 0, 0);
            (sources.two_tower, sources.queries.after_skips) = (30, after_skips);
        });
        let near = nearest(&app, "t3");
        let (one, other) = (&near[..10], nearest(&app, near.last().unwrap()));
        let past: Vec<_> = one[..5].iter().chain(&other[..3]).map(|track| finished("u1", "past", track)).collect();
        app.accept(past).await;
        app.accept(one[5..5 + skips].iter().map(|track| skip("u1", "s-u1", track)).collect()).await;
        let answer = traced(&app, "u1").await;
        let stages = answer["trace"]["stages"].as_array().unwrap();
        let notes = stages.iter().find(|stage| stage["stage"] == "two_tower").unwrap()["notes"].clone();
        let listed = crate::app_support::id_set(&answer);
        (other[..15].iter().filter(|track| listed.contains(*track)).count(), notes)
    };
    let (narrow, nothing) = found(0.0, 3).await;
    assert_eq!((&nothing, found(0.3, 2).await.1), (&Value::Null, Value::Null), "two are no row");
    let (wide, told) = found(0.3, 3).await;
    assert_eq!(told, json!([{"note": "after_skips", "value": 9.0}]));
    assert!(wide >= narrow + 4, "{wide} of the other interest's 15 tracks, {narrow} before");
}

#[actix_web::test]
async fn what_was_heard_returns_but_not_at_once() {
    let app = listing();
    let heard = crate::app_support::ids(&traced(&app, "nobody").await)[0].clone();
    let played = |user: &str, hours: i64| {
        let mut play = finished(user, &format!("past-{user}"), &heard);
        play["client_ts"] = json!((jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours)).to_string());
        play
    };
    app.accept(vec![played("now", 0), played("day", 24), played("month", 24 * 29)]).await;
    let mut by = Vec::new();
    for user in ["now", "day", "month"] {
        let answer = traced(&app, user).await;
        let lowered = between(&answer, "skip_penalty", "satiation");
        assert!(lowered.iter().all(|(track, by)| *track == heard || *by == 0.0), "{lowered:?}");
        by.push(lowered[&heard]);
    }
    // One completed play is a third of a favourite: 18 h.
    let expected = [0.0, 24.0, 24.0 * 29.0].map(|hours| 0.2 * (1.0 - 0.5f64.powf(0.5f64.powf(hours / 18.0))));
    assert!(by.iter().zip(expected).all(|(by, expected)| (by - expected).abs() < 1e-3), "{by:?}, {expected:?}");
    let own = app.rank(json!({"user_id": "now", "track_ids": [heard]})).await;
    assert_eq!(crate::app_support::ids(&own), [heard.as_str()], "a caller's own list is left alone");
}
