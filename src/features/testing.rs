//! Small catalogues, vectors and events for tests.

pub(crate) use crate::domain::bare_track as track;
use crate::domain::{Catalogue, Event, EventId, EventType, ItemVectors, Request, SessionId, TrackId, UserId};

/// Twelve tracks `t0`..`t11` by four artists `a0`..`a3` in two genres and three albums; the odd ones have audio.
pub(crate) fn catalogue() -> Catalogue {
    let rows = (0..12u16).map(|i| {
        let mut row = track(&format!("t{i}"), &format!("a{}", i % 4));
        row.genre = (i != 10).then(|| format!("g{}", i % 2));
        row.album_id = (i < 9).then(|| format!("b{}", i % 3));
        row.release_day = (i != 4).then_some(19_000 + i32::from(i));
        row.explicit = i % 5 == 0;
        if i % 2 == 1 {
            (row.tempo_bpm, row.energy) = (Some(80.0 + f32::from(i) * 7.0), Some(f32::from(i) / 12.0));
            row.valence = Some(1.0 - f32::from(i) / 12.0);
            (row.danceability, row.acousticness, row.loudness_db) = (Some(0.4), Some(0.2), Some(-8.0));
        }
        row
    });
    Catalogue::new(rows.collect()).unwrap()
}

/// One unit vector of dimension 3 a track.
pub(crate) fn vectors(rows: usize) -> ItemVectors {
    let data = (0..rows).flat_map(|row| {
        let (a, b) = (row as f32 * 0.9, row as f32 * 0.37);
        [a.cos() * b.cos(), a.sin() * b.cos(), b.sin()]
    });
    ItemVectors::from_raw(data.collect(), 3).unwrap()
}

/// An event with nothing but the given fields.
pub(crate) fn event(id: &str, user: &str, session: &str, kind: EventType, track: Option<&str>, ts_ms: i64) -> Event {
    Event {
        event_id: EventId::new(id).unwrap(),
        user_id: UserId::new(user).unwrap(),
        session_id: SessionId::new(session).unwrap(),
        kind,
        ts_ms,
        track_id: track.map(|t| TrackId::new(t).unwrap()),
        position_ms: None,
        duration_ms: None,
        played_ms: None,
        reason_start: None,
        reason_end: None,
        recommendation_id: None,
        market: None,
        device: None,
        local_hour: None,
    }
}

/// A request with nothing but a listener and a clock.
pub(crate) fn request(user: &str, now_ms: i64) -> Request {
    Request { limit: 10, ..Request::new(UserId::new(user).unwrap(), now_ms) }
}

/// Random listening of one user in one session: any event type on any of the twelve tracks, times not always in order.
pub(crate) fn random_events(max: usize) -> impl proptest::strategy::Strategy<Value = Vec<Event>> {
    use proptest::prelude::*;
    let kinds = vec![
        (4, EventType::PlayStart),
        (3, EventType::Skip),
        (3, EventType::PlayEnd),
        (1, EventType::Stop),
        (1, EventType::Like),
        (1, EventType::Unlike),
        (1, EventType::AddToPlaylist),
        (1, EventType::Dislike),
        (1, EventType::BlockArtist),
        (1, EventType::Pause),
        (1, EventType::Search),
    ];
    let kind = prop::strategy::Union::new_weighted(kinds.into_iter().map(|(w, k)| (w, Just(k))).collect());
    let one = (kind, 0usize..12, 0i64..400_000, prop::option::of(0u32..250_000), prop::option::of(0u8..24));
    prop::collection::vec(one, 0..max).prop_map(|rows| {
        let mut now = 1_700_000_000_000i64;
        let event_of = |(at, (kind, track, gap, played, hour))| {
            now += gap - 40_000;
            let mut event = event(&format!("e{at}"), "u", "s", kind, Some(&format!("t{track}")), now);
            (event.played_ms, event.local_hour) = (played, hour);
            event
        };
        rows.into_iter().enumerate().map(event_of).collect()
    })
}
