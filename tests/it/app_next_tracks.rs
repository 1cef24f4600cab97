//! `POST /v1/next-tracks` through everything: what an answer holds, and what it must not.

use std::collections::HashSet;
use std::sync::Arc;

use segue::domain::{Answer, Request};
use segue::pipeline::Deadline;
use serde_json::{Value, json};

use crate::app_support::{TestApp, bundle, id_set, ids, request};

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[actix_web::test]
async fn a_full_answer_is_ranked_and_complete() {
    let app = TestApp::with(|config| (config.knobs.artist_window, config.rerank.album_window) = (1, 1));
    app.past("u1", [3, 4, 8]).await;
    let answer =
        app.next(json!({"user_id": "u1", "limit": 20, "diversity": 0, "discovery": 0, "surface": "chart"})).await;
    assert_eq!((&answer["rung"], &answer["degraded"]), (&json!("full"), &json!([])), "{answer}");
    assert_eq!(answer["bundle"], bundle(&app).version.as_ref());
    assert!(answer.get("unknown_ids").is_none() && answer.get("trace").is_none());
    let tracks = answer["tracks"].as_array().unwrap();
    assert_eq!(tracks.len(), 20);
    assert!(tracks.is_sorted_by(|a, b| number(&a["score"]) >= number(&b["score"])), "{answer}");
    for track in tracks {
        let row = app.track(track["track_id"].as_str().unwrap());
        assert_eq!((&track["artist_id"], &track["title"]), (&json!(row.artist_id), &json!(row.title)));
        let [complete, skip, like] = ["complete", "skip", "like"].map(|task| number(&track["scores"][task]));
        assert!([complete, skip, like].iter().all(|p| (0.0..=1.0).contains(p)), "{track}");
        let blended = complete - 0.6 * skip + 0.3 * like;
        assert!((number(&track["score"]) - blended).abs() < 1e-5, "{track}");
    }
    let pool = &answer["pool"];
    assert!(number(&pool["retrieved"]) > number(&pool["after_filters"]), "licences have ended: {pool}");
    assert_eq!(pool["after_filters"], pool["ranked"]);
}

#[actix_web::test]
async fn the_default_answer_keeps_artists_apart() {
    let app = TestApp::new();
    let answer = app.next(json!({"user_id": "u1", "limit": 10})).await;
    let artists: Vec<_> = ids(&answer).iter().map(|id| app.track(id).artist_id.clone()).collect();
    assert_eq!(artists.len(), 10);
    assert!(artists.windows(4).all(|w| w.iter().collect::<HashSet<_>>().len() == 4), "{artists:?}");
    for limit in [1, 2, 50, 100] {
        assert_eq!(ids(&app.next(json!({"user_id": "u1", "limit": limit})).await).len(), limit);
    }
}

#[actix_web::test]
async fn market_explicit_licence_and_exclusions_hold() {
    let app = TestApp::new();
    let explicit = app.tracks(|track| track.explicit);
    let licensed_in_part = app.tracks(|track| track.markets.is_some());
    let ended = app.tracks(|track| track.available_until_ms.is_some());
    let all = id_set(&app.next(json!({"user_id": "u1", "limit": 100})).await);
    assert!(!all.is_disjoint(&explicit) && !all.is_disjoint(&licensed_in_part) && all.is_disjoint(&ended));
    let recordings: HashSet<_> = all.iter().map(|id| app.track(id).recording_id.clone()).collect();
    assert_eq!(recordings.len(), all.len(), "a recording comes once");

    let ask = async |change: Value| {
        let mut body = json!({"user_id": "u1", "limit": 100});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        id_set(&app.next(body).await)
    };
    assert!(!ask(json!({"market": "SE"})).await.is_disjoint(&licensed_in_part));
    assert!(ask(json!({"market": "US"})).await.is_disjoint(&licensed_in_part));
    assert!(ask(json!({"market": "ZZ"})).await.is_disjoint(&licensed_in_part), "no licence names this market");
    assert!(ask(json!({"allow_explicit": false})).await.is_disjoint(&explicit));
    let some: Vec<_> = all.iter().take(40).cloned().collect();
    let without = ask(json!({"exclude_track_ids": some})).await;
    assert!(some.iter().all(|id| !without.contains(id)));
    let sounding = some[0].clone();
    assert!(!ask(json!({"current_track_id": sounding})).await.contains(&sounding));
    for reason in ["explicit", "market", "licence", "excluded", "same_recording"] {
        assert!(app.metric(&format!("segue_filter_removed_total{{reason=\"{reason}\"}}")) > 0, "{reason}");
    }
}

#[actix_web::test]
async fn unknown_ids_are_dropped_and_counted() {
    let app = TestApp::new();
    let body = json!({"user_id": "u1", "limit": 5, "current_track_id": "gone-1", "seed_track_ids": ["t3", "gone-2"],
        "seed_artist_ids": ["gone-3"], "exclude_track_ids": ["gone-4", "t4"]});
    let answer = app.next(body).await;
    assert_eq!((&answer["unknown_ids"], &answer["rung"]), (&json!(4), &json!("full")));
    assert_eq!(ids(&answer).len(), 5);
}

/// What a client sees of an answer, to the bit.
fn bits(answer: &Answer) -> Vec<(u32, u32, Option<[u32; 3]>)> {
    let tasks = |t: (f32, f32, f32)| [t.0, t.1, t.2].map(f32::to_bits);
    answer.tracks.iter().map(|t| (t.track.0, t.score.to_bits(), t.tasks.map(tasks))).collect()
}

#[actix_web::test]
async fn the_same_seed_and_state_give_the_same_bits() {
    let app = TestApp::new();
    app.past("u1", [3, 4, 8]).await;
    let asked = Arc::new(Request { discovery: 0.6, diversity: 0.5, limit: 40, seed: 99, ..request("u1", None) });
    let first = app.engine.current().next_tracks(Arc::clone(&asked), Deadline::never()).await.unwrap();
    assert_eq!(first.tracks.len(), 40);
    for _ in 0..6 {
        let again = app.engine.current().next_tracks(Arc::clone(&asked), Deadline::never()).await.unwrap();
        assert_eq!(bits(&again), bits(&first), "whichever lane answers");
    }
    // A new listener with a given hour: nothing of the question depends on the clock within a day.
    let body = json!({"user_id": "new", "seed": 5, "context": {"local_hour": 8, "device": "car"}});
    let (one, two) = (app.next(body.clone()).await, app.next(body).await);
    assert_eq!(one["tracks"], two["tracks"]);
    assert_ne!(one["recommendation_id"], two["recommendation_id"]);
}

#[actix_web::test]
async fn the_past_and_the_question_change_the_answer() {
    let app = TestApp::new();
    app.past("u1", [3, 4, 8]).await;
    app.past("u2", [140, 120, 101]).await;
    let ask = async |change: fn(&mut Request), user: &str| {
        let mut asked = request(user, None);
        change(&mut asked);
        bits(&app.engine.current().next_tracks(Arc::new(asked), Deadline::never()).await.unwrap())
    };
    let base = ask(|_| {}, "u1").await;
    assert_ne!(base, ask(|_| {}, "u2").await);
    assert_ne!(base, ask(|_| {}, "nobody").await);
    assert_ne!(base, ask(|r| r.diversity = 0.9, "u1").await);
    assert_ne!(base, ask(|r| r.discovery = 1.0, "u1").await);
    assert_ne!(base, ask(|r| r.target.energy = Some(0.05), "u1").await);
    assert_eq!(base, ask(|_| {}, "u1").await);
}
