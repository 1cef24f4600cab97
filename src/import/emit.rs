//! Settled plays as events in time order.

use super::ImportError;
use super::names;
use super::store::{Row, Store, known};
use crate::domain::{Event, EventId, EventType, SessionId};

/// Events between two calls of `progress`.
const STEP: u64 = 100_000;

/// Hands over every event in order of time. At the same time a play's end comes before the next play's start, and its
/// start before its end. `O(n log n)` time, 8 bytes a play.
///
/// # Errors
/// What `write` returns.
pub(super) fn events(
    store: &Store,
    sessions: &[SessionId],
    progress: &dyn Fn(u64, u64),
    write: &mut dyn FnMut(&Event) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let rows = &store.rows;
    let mut starts: Vec<u32> = (0..rows.len() as u32).collect();
    let mut ends = starts.clone();
    starts.sort_unstable_by_key(|at| (rows[*at as usize].start_ms, *at));
    ends.sort_unstable_by_key(|at| (rows[*at as usize].end_ms(), *at));
    let total = 2 * rows.len() as u64;
    let mut starts = starts.into_iter().peekable();
    for (done, end) in ends.into_iter().enumerate() {
        let end_row = &rows[end as usize];
        // Rows of a session lie in its order, so at equal times the lower row comes first.
        while let Some(start) = starts.next_if(|at| (rows[*at as usize].start_ms, *at) <= (end_row.end_ms(), end)) {
            write(&event(store, sessions, &rows[start as usize], Part::Start)?)?;
        }
        if end_row.liked {
            write(&event(store, sessions, end_row, Part::Like)?)?;
        }
        write(&event(store, sessions, end_row, Part::End)?)?;
        if (done as u64).is_multiple_of(STEP) {
            progress(2 * done as u64, total);
        }
    }
    progress(total, total);
    Ok(())
}

/// Which event of a play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Start,
    Like,
    End,
}

fn event(store: &Store, sessions: &[SessionId], row: &Row, part: Part) -> Result<Event, ImportError> {
    let user_id = store.users.all()[row.user as usize].clone();
    let track_id = store.tracks.all()[row.track as usize].clone();
    let (kind, reason_end) = match part {
        Part::Start => (EventType::PlayStart, None),
        Part::Like => (EventType::Like, None),
        Part::End => row.ending.event(),
    };
    let play = [user_id.as_str().as_bytes(), track_id.as_str().as_bytes(), &row.start_ms.to_le_bytes()];
    let letter = match part {
        Part::Start => 's',
        Part::Like => 'l',
        Part::End => 'e',
    };
    Ok(Event {
        event_id: EventId::new(format!("{}-{letter}", names::digest(&play)))?,
        session_id: sessions[row.session as usize].clone(),
        kind,
        ts_ms: if part == Part::Start { row.start_ms } else { row.end_ms() },
        track_id: Some(track_id),
        position_ms: None,
        duration_ms: known(row.duration_ms),
        played_ms: known(row.played_ms).filter(|_| part == Part::End),
        reason_start: row.reason_start.filter(|_| part == Part::Start),
        reason_end,
        recommendation_id: None,
        market: store.markets.all().get(usize::from(row.market)).map(|code| code.to_string()),
        device: row.device,
        local_hour: Some(row.local_hour).filter(|hour| *hour < 24),
        user_id,
    })
}
