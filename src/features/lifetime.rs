//! When a session is over. Event time decides, never the clock of this process: a replay cuts sessions where serving did.

use crate::domain::{SessionState, TrackIx};

/// Tracks remembered as served to a session; the oldest go first.
pub const MAX_SERVED: usize = 500;

/// Whether a session has had no event for more than `idle_ms`; one without any event, no answer.
fn is_over(session: &SessionState, now_ms: i64, idle_ms: i64) -> bool {
    let last_ms = if session.user_id.is_some() { session.last_ms } else { session.served_ms };
    is_past(last_ms, now_ms, idle_ms)
}

fn is_past(then_ms: i64, now_ms: i64, idle_ms: i64) -> bool {
    now_ms.saturating_sub(then_ms) > idle_ms
}

/// What a session that is over leaves to the next one under its id; `None` while it is not over. Answers that are not yet
/// `idle_ms` old are kept: the next session begins with the request that comes before its first event.
pub(super) fn remains(session: &SessionState, now_ms: i64, idle_ms: i64) -> Option<SessionState> {
    if !is_over(session, now_ms, idle_ms) {
        return None;
    }
    let mut rest = SessionState::default();
    if !is_past(session.served_ms, now_ms, idle_ms) {
        (rest.served, rest.served_ms) = (session.served.clone(), session.served_ms);
    }
    Some(rest)
}

/// Remembers what was served, newest last. Of a session that is over only the answers go: the rest is for events to end,
/// so that what is served changes nothing that a replay of the events would not know.
pub(super) fn record_served(session: &mut SessionState, tracks: &[TrackIx], now_ms: i64, idle_ms: i64) {
    if is_over(session, now_ms, idle_ms) && is_past(session.served_ms, now_ms, idle_ms) {
        session.served.clear();
    }
    let tracks = &tracks[tracks.len().saturating_sub(MAX_SERVED)..];
    let surplus = (session.served.len() + tracks.len()).saturating_sub(MAX_SERVED);
    session.served.drain(..surplus);
    session.served.reserve_exact(tracks.len());
    session.served.extend_from_slice(tracks);
    session.served_ms = session.served_ms.max(now_ms);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UserId;

    const IDLE_MS: i64 = 100;

    fn served(session: &SessionState, now_ms: i64) -> Vec<u32> {
        let rest = remains(session, now_ms, IDLE_MS);
        rest.as_ref().unwrap_or(session).served.iter().map(|track| track.0).collect()
    }

    #[test]
    fn served_tracks_are_bounded() {
        let mut session = SessionState::default();
        record_served(&mut session, &(0..700).map(TrackIx).collect::<Vec<_>>(), 1, IDLE_MS);
        record_served(&mut session, &[TrackIx(9)], 1, IDLE_MS);
        assert_eq!((session.served.len(), session.served[0], session.served[499]), (500, TrackIx(201), TrackIx(9)));
    }

    #[test]
    fn a_session_without_an_event_lasts_from_its_latest_answer() {
        let mut session = SessionState::default();
        record_served(&mut session, &[TrackIx(1)], 1_000, IDLE_MS);
        assert_eq!((served(&session, 1_100), served(&session, 1_101)), (vec![1], vec![]));
        record_served(&mut session, &[TrackIx(2)], 1_090, IDLE_MS);
        assert_eq!(served(&session, 1_190), [1, 2]);
        record_served(&mut session, &[TrackIx(3)], 1_191, IDLE_MS);
        assert_eq!(session.served, [TrackIx(3)]);
    }

    #[test]
    fn events_alone_keep_a_session_and_answers_outlive_it() {
        let user_id = Some(UserId::new("u").unwrap());
        let mut session = SessionState { user_id, last_ms: 1_000, plays: 7, ..SessionState::default() };
        record_served(&mut session, &[TrackIx(1)], 1_050, IDLE_MS);
        assert_eq!(remains(&session, 1_100, IDLE_MS), None);
        assert_eq!(remains(&session, 900, IDLE_MS), None, "a late event finds the session as it is");
        let rest = remains(&session, 1_101, IDLE_MS).unwrap();
        assert_eq!((rest.plays, &rest.user_id, served(&session, 1_101)), (0, &None, vec![1]));
        record_served(&mut session, &[TrackIx(2)], 1_200, IDLE_MS);
        assert_eq!((session.plays, served(&session, 1_200)), (7, vec![2]), "serving ends nothing");
        session.last_ms = 1_290;
        assert_eq!(remains(&session, 1_301, IDLE_MS), None);
    }
}
