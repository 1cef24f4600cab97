//! Bodies of requests, and what is read of an answer.

use serde_json::{Map, Value, json};

use super::crowd::{Listener, Play};
use super::mix::Ask;

/// A session as the server knows it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Session {
    /// The listener's id.
    pub(super) user: String,
    /// The session's id.
    pub(super) id: String,
    /// What the client knows of the moment.
    context: Option<Value>,
    market: Option<String>,
}

impl Session {
    /// The session of a request; `run` makes ids that no other worker and run has.
    pub(super) fn of(ask: &Ask<'_>, run: &str) -> Self {
        let number = ask.session;
        let user = |listener: &Listener| listener.user.as_str().to_owned();
        Self {
            user: ask.listener.map_or_else(|| format!("n{run}-{number}"), user),
            id: format!("s{run}-{number}"),
            context: ask.listener.and_then(|who| who.device).map(|device| json!({"device": device})),
            market: ask.listener.and_then(|who| who.market.clone()),
        }
    }
}

/// `POST /v1/next-tracks`; `current` is what sounds, `fields` stand in every request.
pub(super) fn question(
    session: &Session,
    ask: &Ask<'_>,
    limit: usize,
    fields: &Map<String, Value>,
    current: Option<&str>,
) -> String {
    let mut body = json!({"user_id": session.user, "session_id": session.id, "limit": limit});
    for (key, value) in fields {
        body[key] = value.clone();
    }
    for (key, value) in [
        ("market", session.market.clone().map(Value::from)),
        ("context", session.context.clone()),
        ("current_track_id", current.map(Value::from)),
        ("seed_track_ids", ask.seed_track.map(|track| json!([track]))),
    ] {
        if let Some(value) = value {
            body[key] = value;
        }
    }
    body.to_string()
}

/// What is read of an answer.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub(super) struct Answered {
    recommendation_id: Option<String>,
    tracks: Vec<AnsweredTrack>,
}

#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
struct AnsweredTrack {
    track_id: String,
}

impl Answered {
    /// Reads a body; none where it is no answer.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// The last of the tracks that so many plays hear.
    pub(super) fn last_heard(&self, plays: usize) -> Option<&str> {
        self.tracks.iter().take(plays).next_back().map(|track| track.track_id.as_str())
    }

    /// `POST /v1/events`: the first tracks, heard one after the other; each event's id is `name` and a number. Their times end at
    /// `now_ms`, a millisecond apart: how long each play sounded is said by `played_ms`.
    pub(super) fn events(&self, session: &Session, plays: &[Play], name: &str, now_ms: i64) -> String {
        let heard = self.tracks.iter().zip(plays);
        let first = now_ms - 2 * heard.len() as i64 + 1;
        let events = heard.enumerate().flat_map(|(at, (track, play))| {
            let event = |number: usize, kind: &str| {
                let mut event = json!({
                    "event_id": format!("{name}-{number}"), "user_id": session.user, "session_id": session.id,
                    "track_id": track.track_id, "type": kind, "client_ts": instant(first + number as i64),
                });
                let answer = self.recommendation_id.clone().map(Value::from);
                let market = session.market.clone().map(|market| json!({"market": market}));
                let context = session.context.clone().or(market);
                for (key, value) in [("recommendation_id", answer), ("context", context)] {
                    if let Some(value) = value {
                        event[key] = value;
                    }
                }
                event
            };
            let mut start = event(2 * at, "play_start");
            start["reason_start"] = "auto".into();
            let mut end = event(2 * at + 1, play.kind.as_str());
            end["played_ms"] = play.played_ms.into();
            if let Some(reason) = play.reason {
                end["reason_end"] = reason.as_str().into();
            }
            [start, end]
        });
        json!({"events": events.collect::<Vec<_>>()}).to_string()
    }
}

fn instant(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |instant| instant.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::crowd::Crowd;
    use super::super::crowd::tests::play;
    use super::*;
    use crate::domain::EventType;
    use crate::events::RawEvent;
    use crate::http::wire::NextTracksRequest;

    fn with_ask<T>(is_new: bool, test: impl FnOnce(&Ask<'_>) -> T) -> T {
        let crowd = Crowd::of(play("u1", "t1", 1, EventType::Skip, 4_000).to_vec()).unwrap();
        let listener = &crowd.listeners[0];
        let plays = vec![listener.plays[0], Play { kind: EventType::PlayEnd, reason: None, played_ms: 9 }];
        let seed_track = Some(listener.tracks[0].as_str());
        test(&Ask {
            session: 3,
            listener: (!is_new).then_some(listener),
            seed_track,
            plays,
            think: Duration::from_secs(1),
        })
    }

    #[test]
    fn questions_are_what_the_server_takes() {
        for is_new in [false, true] {
            with_ask(is_new, |ask| {
                let session = Session::of(ask, "7");
                let fields = json!({"diversity": 0}).as_object().cloned().unwrap();
                let body = question(&session, ask, 20, &fields, Some("t9"));
                serde_json::from_str::<NextTracksRequest>(&body).unwrap();
                let body: Value = serde_json::from_str(&body).unwrap();
                assert_eq!(body["diversity"], 0);
                assert_eq!(body["user_id"], if is_new { "n7-3" } else { "u1" });
                assert_eq!(body.get("market").is_some(), !is_new);
                assert_eq!((&body["current_track_id"], &body["seed_track_ids"][0]), (&json!("t9"), &json!("t1")));
            });
        }
    }

    #[test]
    fn the_first_tracks_are_heard_in_order() {
        let body =
            br#"{"recommendation_id":"r-1","tracks":[{"track_id":"a","score":1},{"track_id":"b"},{"track_id":"c"}]}"#;
        let answered = Answered::read(body).unwrap();
        assert_eq!((answered.last_heard(2), answered.last_heard(9)), (Some("b"), Some("c")));
        with_ask(false, |ask| {
            let sent = answered.events(&Session::of(ask, "7"), &ask.plays, "e", 1_000);
            let events: Value = serde_json::from_str(&sent).unwrap();
            let events: Vec<RawEvent> = serde_json::from_value(events["events"].clone()).unwrap();
            let told = events.iter().map(|event| {
                let at: jiff::Timestamp = event.client_ts.parse().unwrap();
                (event.track_id.as_ref().unwrap().as_str(), event.kind, event.played_ms, at.as_millisecond())
            });
            assert_eq!(
                told.collect::<Vec<_>>(),
                [
                    ("a", EventType::PlayStart, None, 997),
                    ("a", EventType::Skip, Some(4_000), 998),
                    ("b", EventType::PlayStart, None, 999),
                    ("b", EventType::PlayEnd, Some(9), 1_000),
                ]
            );
            assert!(events.iter().all(|event| event.recommendation_id.is_some() && event.context.is_some()));
        });
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for body in ["", "[]", "{}", r#"{"tracks":[{}]}"#, "<html>"] {
            assert!(Answered::read(body.as_bytes()).is_none(), "{body}");
        }
    }
}
