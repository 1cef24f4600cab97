//! Rows of plays that have begun and not ended.

use std::collections::HashMap;

use crate::domain::{Event, EventType, SessionId, TrackIx};
use crate::features::{EndedPlay, is_terminal};

/// A play that has not ended by then never will, ms.
const LONGEST_PLAY_MS: i64 = 12 * 3_600_000;
/// Open plays beyond which the stale ones are looked for.
const OPEN_PLAYS: usize = 100_000;

/// Rows of open plays, one a session. A row is given out only at the end of the very play that it was made for.
pub(super) struct Open<T> {
    plays: HashMap<SessionId, OpenPlay<T>>,
    sweep_at: usize,
}

struct OpenPlay<T> {
    track: TrackIx,
    began_ms: i64,
    row: T,
}

impl<T> Open<T> {
    pub(super) fn new() -> Self {
        Self { plays: HashMap::new(), sweep_at: OPEN_PLAYS }
    }

    /// Whether this event is the first that is known of a play: its beginning, or an end out of nowhere.
    pub(super) fn begins(&self, event: &Event, track: TrackIx) -> bool {
        event.kind == EventType::PlayStart
            || (is_terminal(event.kind) && self.plays.get(&event.session_id).is_none_or(|open| open.track != track))
    }

    /// Keeps the row of a play, which begins with this event, until it ends; what was open in the session ended unseen.
    pub(super) fn begin(&mut self, event: &Event, track: TrackIx, row: T) {
        if self.plays.len() >= self.sweep_at {
            self.plays.retain(|_, open| event.ts_ms - open.began_ms < LONGEST_PLAY_MS);
            self.sweep_at = OPEN_PLAYS.max(2 * self.plays.len());
        }
        self.plays.insert(event.session_id.clone(), OpenPlay { track, began_ms: event.ts_ms, row });
    }

    /// Drops the row of the session's play: another play begins there, or what happens is not known.
    pub(super) fn drop_row(&mut self, session: &SessionId) {
        self.plays.remove(session);
    }

    /// The row of the play that this event ended, if it was made when that play began.
    pub(super) fn end(&mut self, event: &Event, ended: &EndedPlay) -> Option<T> {
        let open = self.plays.get(&event.session_id)?;
        let began_ms = ended.began_ms.unwrap_or(event.ts_ms);
        if (open.track, open.began_ms) != (ended.play.track, began_ms) {
            return None;
        }
        self.plays.remove(&event.session_id).map(|open| open.row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Play;
    use crate::features::Verdict;
    use crate::features::testing::event;

    fn start(ts_ms: i64) -> Event {
        event("e", "u", "s", EventType::PlayStart, Some("t1"), ts_ms)
    }

    fn ended(track: u32, began_ms: Option<i64>) -> EndedPlay {
        let play = Play { track: TrackIx(track), signal: 0.0, played_fraction: 0.0, ts_ms: 90, liked: false };
        EndedPlay { play, began_ms, verdict: Verdict::UNKNOWN }
    }

    #[test]
    fn a_row_is_given_out_at_the_end_of_its_own_play_only() {
        let end = event("e", "u", "s", EventType::PlayEnd, Some("t1"), 90);
        let elsewhere = event("e", "u", "s2", EventType::PlayEnd, Some("t1"), 90);
        let mut open = Open::new();
        open.begin(&start(10), TrackIx(1), "row");
        assert_eq!(open.end(&end, &ended(2, Some(10))), None, "another track");
        assert_eq!(open.end(&end, &ended(1, Some(20))), None, "another play of the track");
        assert_eq!(open.end(&end, &ended(1, None)), None, "a play whose beginning nobody saw");
        assert_eq!(open.end(&elsewhere, &ended(1, Some(10))), None, "another session");
        assert_eq!(open.end(&end, &ended(1, Some(10))), Some("row"));
        assert_eq!(open.end(&end, &ended(1, Some(10))), None, "once");
        open.begin(&start(30), TrackIx(1), "dropped");
        open.drop_row(&end.session_id);
        assert_eq!(open.end(&end, &ended(1, Some(30))), None);
        open.begin(&end, TrackIx(1), "out of nowhere");
        assert_eq!(open.end(&end, &ended(1, None)), Some("out of nowhere"));
    }
}
