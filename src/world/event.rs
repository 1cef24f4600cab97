//! What a client reports of a play.

use super::behaviour::Play;
use super::catalogue::{MARKETS, World};
use super::listener::Listener;
use crate::domain::{Event, EventId, EventType, IdError, SessionId, TrackId, UserId};

/// One moment of a play that is worth an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) kind: EventType,
    pub(super) ts_ms: i64,
    pub(super) position_ms: u32,
}

impl Play {
    /// All of them, in time order.
    pub(super) fn tells(&self) -> impl Iterator<Item = Told> {
        let start = Told { kind: EventType::PlayStart, ts_ms: self.start_ms, position_ms: 0 };
        let end = Told { kind: self.ending, ts_ms: self.end_ms, position_ms: self.played_ms };
        std::iter::once(start).chain(self.asides.iter().copied()).chain(std::iter::once(end))
    }
}

/// The event that tells a moment of a play. `who`: the listener, their number, and the number of their session.
///
/// # Errors
/// Never for numbers of this world; ids are well formed.
pub(super) fn event(
    world: &World,
    (listener, number, session): (&Listener, u32, u32),
    play: &Play,
    told: Told,
    id: String,
) -> Result<Event, IdError> {
    let starts = told.kind == EventType::PlayStart;
    let ends = told.kind == play.ending;
    Ok(Event {
        event_id: EventId::new(id)?,
        user_id: UserId::new(format!("u{number}"))?,
        session_id: SessionId::new(format!("s{number}-{session}"))?,
        kind: told.kind,
        ts_ms: told.ts_ms,
        track_id: Some(TrackId::new(format!("t{}", play.track))?),
        position_ms: Some(told.position_ms),
        duration_ms: Some(world.songs[play.track as usize].duration_ms),
        played_ms: ends.then_some(play.played_ms),
        reason_start: starts.then_some(play.reason_start),
        reason_end: ends.then_some(play.reason_end),
        recommendation_id: None,
        market: Some(MARKETS[listener.market as usize].into()),
        device: Some(listener.device),
        local_hour: Some(listener.local_hour(told.ts_ms)),
    })
}
