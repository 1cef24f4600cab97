//! What a listener does counts from the next request on.

use serde_json::{Value, json};

use crate::app_support::{TRACKS, TestApp, event, finished, id_set, ids, skip};
use crate::http_support::post;

/// Every track of the world, ranked for a session; serves nothing.
async fn ranking(app: &TestApp, user: &str, session: &str) -> Value {
    let all: Vec<_> = (0..TRACKS).map(|row| format!("t{row}")).collect();
    app.rank(json!({"user_id": user, "session_id": session, "track_ids": all, "limit": 100})).await
}

fn score(answer: &Value, track: &str) -> Option<f64> {
    let tracks = answer["tracks"].as_array().unwrap();
    tracks.iter().find(|t| t["track_id"] == track).map(|t| t["score"].as_f64().unwrap())
}

fn penalties(session: &Value) -> Vec<(String, f64)> {
    let penalties = session["artist_penalties"].as_array().unwrap();
    let one = |p: &Value| (p["artist_id"].as_str().unwrap().to_owned(), p["penalty"].as_f64().unwrap());
    penalties.iter().map(one).collect()
}

#[actix_web::test]
async fn a_skip_counts_at_once() {
    let app = TestApp::new();
    app.past("u1", [3, 4, 8]).await;
    let before = ranking(&app, "u1", "s1").await;
    let skipped = ids(&before)[0].clone();
    let artist = app.track(&skipped).artist_id.to_string();
    app.accept(vec![event("u1", "s1", "play_start", &skipped), skip("u1", "s1", &skipped)]).await;
    let session = app.get("/v1/sessions/s1").await;
    assert_eq!((&session["skips"], &session["skips_in_row"], &session["plays"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!(session["recent"][0]["signal"], -1.0);
    assert_eq!(penalties(&session), [(artist.clone(), 0.5)]);

    let after = ranking(&app, "u1", "s1").await;
    assert_eq!(score(&after, &skipped), None, "the track is gone");
    let others = ids(&before).into_iter().filter(|id| *id != skipped && app.track(id).artist_id.as_str() == artist);
    let moved = others.filter_map(|id| Some(score(&after, &id)? - score(&before, &id)?)).collect::<Vec<_>>();
    assert!(!moved.is_empty() && moved.iter().all(|by| by.abs() > 1e-7), "the ranker sees the penalty: {moved:?}");
    let next = app.next(json!({"user_id": "u1", "session_id": "s1", "limit": 100})).await;
    assert!(!id_set(&next).contains(&skipped));
    let elsewhere = app.rank(json!({"user_id": "u1", "session_id": "s2", "track_ids": [skipped]})).await;
    assert_eq!(ids(&elsewhere), [skipped], "an early skip is a verdict on this session");
}

#[actix_web::test]
async fn finishing_takes_part_of_a_penalty_back() {
    let app = TestApp::new();
    let artist = app.track("t3").artist_id.clone();
    let same = app.tracks(|track| track.artist_id == artist);
    let [one, two] = ["s1", "s2"].map(|session| (format!("u-{session}"), session));
    let own = same.iter().find(|id| *id != "t3").unwrap();
    let foreign = app.tracks(|track| track.artist_id != artist).into_iter().next().unwrap();
    for ((user, session), then, expected) in [(&one, own, 0.5 * 0.85 * 0.5), (&two, &foreign, 0.5 * 0.85)] {
        app.accept(vec![skip(user, session, "t3"), finished(user, session, then)]).await;
        let view = app.get(&format!("/v1/sessions/{session}")).await;
        let left = penalties(&view);
        assert_eq!((left.len(), left[0].0.as_str()), (1, artist.as_str()));
        assert!((left[0].1 - expected).abs() < 1e-6, "{left:?}, expected {expected}");
        assert_eq!((&view["completes"], &view["skips_in_row"]), (&json!(1), &json!(0)));
    }
}

#[actix_web::test]
async fn pausing_and_stopping_are_no_verdicts() {
    let app = TestApp::new();
    let started = ["play_start", "pause", "resume", "seek", "pause"].map(|kind| event("u1", "s1", kind, "t3"));
    app.accept(started.to_vec()).await;
    let sounding = app.get("/v1/sessions/s1").await;
    assert_eq!((&sounding["plays"], &sounding["current"]["track_id"]), (&json!(0), &json!("t3")));
    let mut stop = event("u1", "s1", "stop", "t3");
    stop["played_ms"] = json!(4_000);
    let mut closed = event("u1", "s1", "play_end", "t4");
    (closed["played_ms"], closed["reason_end"]) = (json!(2_000), json!("app_closed"));
    app.accept(vec![stop, closed]).await;
    let view = app.get("/v1/sessions/s1").await;
    let counters = ["plays", "skips", "completes", "skips_in_row"].map(|key| view[key].as_u64().unwrap());
    assert_eq!((counters, penalties(&view).len()), ([2, 0, 0, 0], 0));
    assert!(view["recent"].as_array().unwrap().iter().all(|play| play["signal"] == 0.0), "{view}");
    assert!(view["current"].is_null());
}

#[actix_web::test]
async fn dislikes_and_blocks_are_hard_filters() {
    let app = TestApp::new();
    let ask = async || ids(&app.next(json!({"user_id": "u1", "limit": 100})).await);
    let before = ask().await;
    let disliked = before[0].clone();
    let blocked = before.iter().find(|id| app.track(id).artist_id != app.track(&disliked).artist_id).unwrap();
    let artist = &app.track(blocked).artist_id;
    app.accept(vec![event("u1", "s1", "dislike", &disliked)]).await;
    assert!(!ask().await.contains(&disliked));
    app.accept(vec![event("u1", "s1", "block_artist", blocked)]).await;
    let after = ask().await;
    assert!(after.iter().all(|id| app.track(id).artist_id != *artist) && !after.contains(&disliked));
    let own = async || ids(&app.rank(json!({"user_id": "u1", "track_ids": [blocked, disliked]})).await);
    assert!(own().await.is_empty(), "the caller's own list too");
    app.accept(vec![event("u1", "s1", "like", &disliked)]).await;
    assert_eq!(own().await, [disliked.as_str()], "a like takes the dislike back");
    let another = app.next(json!({"user_id": "u2", "limit": 100})).await;
    assert!(ids(&another).iter().any(|id| app.track(id).artist_id == *artist), "only for the listener who said so");
}

#[actix_web::test]
async fn an_event_counts_once() {
    let app = TestApp::new();
    let once = skip("u1", "s1", "t3");
    let reply = app.send(vec![once.clone(), once.clone()]).await;
    let statuses: Vec<_> = reply["events"].as_array().unwrap().iter().map(|e| e["status"].clone()).collect();
    assert_eq!(statuses, ["accepted", "duplicate"]);
    assert_eq!(app.send(vec![once]).await["duplicate"], 1);
    let view = app.get("/v1/sessions/s1").await;
    assert_eq!((&view["plays"], &view["skips"]), (&json!(1), &json!(1)));
    assert_eq!(app.metric("segue_events_received_total{status=\"accepted\"}"), 1);
    assert_eq!(app.metric("segue_events_received_total{status=\"duplicate\"}"), 2);
}

#[actix_web::test]
async fn what_the_catalogue_does_not_know_is_refused_by_name() {
    let app = TestApp::new();
    let mut searched = event("u1", "s1", "search", "anything");
    searched.as_object_mut().unwrap().remove("track_id");
    let mut nothing = event("u1", "s1", "skip", "t1");
    nothing.as_object_mut().unwrap().remove("track_id");
    let reply = app.send(vec![skip("u1", "s1", "gone"), nothing, searched]).await;
    let field = |at: usize| [&reply["events"][at]["status"], &reply["events"][at]["field"]].map(|v| v.as_str());
    assert_eq!(field(0), [Some("rejected"), Some("track_id")]);
    assert!(reply["events"][0]["reason"].as_str().unwrap().contains("gone"), "{reply}");
    assert_eq!((field(1), field(2)[0]), ([Some("rejected"), Some("track_id")], Some("accepted")));
    assert_eq!(app.metric("segue_events_received_total{status=\"rejected\"}"), 2);
}

#[actix_web::test]
async fn a_session_is_its_listeners_own() {
    let app = TestApp::new();
    app.accept(vec![finished("u1", "s1", "t3"), finished("u1", "s1", "t4")]).await;
    let reply = app.send(vec![skip("thief", "s1", "t5")]).await;
    let refused = &reply["events"][0];
    assert_eq!([&refused["status"], &refused["field"]], ["rejected", "session_id"]);
    let theirs = app.next(json!({"user_id": "thief", "session_id": "s1", "limit": 100, "explain": "reasons"})).await;
    assert_eq!(theirs["degraded"], json!([{"stage": "session", "reason": "failed"}]));
    for track in theirs["tracks"].as_array().unwrap() {
        let reasons = track["reasons"].as_array().unwrap();
        let told = reasons.iter().any(|r| r == "session_artist" || r.as_str().unwrap().starts_with("similar_to"));
        assert!(!told, "tells what another listener heard: {track}");
    }
    let own = app.rank(json!({"user_id": "thief", "session_id": "s1", "track_ids": ["t3", "t4"]})).await;
    assert_eq!(ids(&own).len(), 2, "what the other has played may be played here");
    let view = app.get("/v1/sessions/s1").await;
    assert_eq!((&view["user_id"], &view["skips"]), (&json!("u1"), &json!(0)));
    assert_eq!(view["served_track_ids"], json!([]), "what was served to the other is not noted here");
}

#[actix_web::test]
async fn a_session_hears_nothing_twice() {
    let app = TestApp::new();
    let ask = async |session: &str| app.next(json!({"user_id": "u1", "session_id": session, "limit": 20})).await;
    let first = ask("s1").await;
    app.accept(vec![finished("u1", "s1", &ids(&first)[0])]).await;
    let first = id_set(&first);
    let (second, third) = (id_set(&ask("s1").await), id_set(&ask("s1").await));
    assert!(first.is_disjoint(&second) && first.is_disjoint(&third) && second.is_disjoint(&third));
    assert_eq!([first.len(), second.len(), third.len()], [20; 3]);
    assert!(!id_set(&ask("s2").await).is_disjoint(&first), "another session may hear it again");
    let mut heard = &(&first | &second) | &third;
    let mut last = ask("s1").await;
    while !relaxed(&last) {
        assert!(!ids(&last).is_empty() && ids(&last).into_iter().all(|id| heard.insert(id)), "{last}");
        last = ask("s1").await;
    }
    assert!(heard.len() > 100, "all that may be served comes before anything comes again: {}", heard.len());
    assert!(!id_set(&last).is_disjoint(&heard), "then the session repeats: {last}");
}

/// Whether an answer says that it repeats what the session had.
fn relaxed(answer: &Value) -> bool {
    answer["degraded"].as_array().unwrap().iter().any(|d| d["stage"] == "filter" && d["reason"] == "relaxed")
}

#[actix_web::test]
async fn late_and_corrected_events_are_counted() {
    let app = TestApp::new();
    let at = |kind: &str, track: &str, minutes: i64| {
        let mut event = event("u1", "s1", kind, track);
        event["client_ts"] = json!((jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes)).to_string());
        event
    };
    app.accept(vec![at("play_start", "t3", 0)]).await;
    app.accept(vec![at("play_start", "t4", -20)]).await;
    let view = app.get("/v1/sessions/s1").await;
    assert_eq!(view["current"]["track_id"], "t3", "a start of twenty minutes ago stops nothing");
    let sent = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(9_000)).as_millisecond();
    let batch = json!({"events": [at("skip", "t3", -9_000 * 60)]});
    let got = app.ask(post("/v1/events", &batch).insert_header(("X-Sent-At-Ms", sent.to_string()))).await;
    assert_eq!(got.json()["accepted"], 1);
    assert_eq!(app.get("/v1/sessions/s1").await["skips"], 1, "it was just now");
    let counts = ["segue_events_late_total", "segue_events_clock_corrected_total"].map(|name| app.metric(name));
    assert_eq!(counts, [1, 1]);
}
