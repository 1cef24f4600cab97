//! Who asks: listeners of a canonical file of events, with what they did.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::LoadError;
use crate::domain::{Device, EndReason, Event, EventType, TrackId, UserId};
use crate::tables::read_events;

/// Of a file's events, those of its last days are history, ms.
const HISTORY_MS: i64 = 14 * 86_400_000;
/// Tracks of a listener that radios start from.
const SEEDS: usize = 20;

/// How one play ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Play {
    /// `play_end`, `skip` or `stop`.
    pub kind: EventType,
    /// Why.
    pub reason: Option<EndReason>,
    /// How long it sounded, ms.
    pub played_ms: u32,
}

/// One listener with a past.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Who.
    pub user: UserId,
    /// The market of their latest event.
    pub market: Option<String>,
    /// The device of their latest event.
    pub device: Option<Device>,
    /// Tracks that they played, latest first, at most 20.
    pub tracks: Vec<TrackId>,
    /// How their plays ended, in order; never empty.
    pub plays: Vec<Play>,
}

/// Listeners, and their events in order.
#[derive(Debug, Clone)]
pub struct Crowd {
    /// Each with at least one play, by id.
    pub listeners: Vec<Listener>,
    /// The last 14 days of the file, oldest first.
    pub history: Vec<Event>,
}

impl Crowd {
    /// Reads `events.parquet` or what `segue world --sample-listeners` wrote.
    ///
    /// # Errors
    /// The file cannot be read, or has no plays.
    pub fn read(file: &Path) -> Result<Self, LoadError> {
        let events = read_events(file)?.collect::<Result<Vec<_>, _>>()?;
        Self::of(events).ok_or_else(|| LoadError::NoPlays(file.display().to_string()))
    }

    /// Of events in order; none where no play has a length.
    pub fn of(events: Vec<Event>) -> Option<Self> {
        let last = events.last()?.ts_ms;
        let history: Vec<Event> = events.into_iter().filter(|event| event.ts_ms > last - HISTORY_MS).collect();
        let mut by_user: BTreeMap<&UserId, Vec<&Event>> = BTreeMap::new();
        for event in &history {
            by_user.entry(&event.user_id).or_default().push(event);
        }
        let listeners: Vec<Listener> =
            by_user.into_iter().filter_map(|(user, events)| Listener::of(user, &events)).collect();
        (!listeners.is_empty()).then_some(Self { listeners, history })
    }

    /// The history as if its last event had just happened: oldest first, moved by one amount.
    pub fn history_until(&self, now_ms: i64) -> impl Iterator<Item = Event> + '_ {
        let shift = self.history.last().map_or(0, |last| now_ms - last.ts_ms);
        self.history.iter().map(move |event| Event { ts_ms: event.ts_ms + shift, ..event.clone() })
    }
}

impl Listener {
    fn of(user: &UserId, events: &[&Event]) -> Option<Self> {
        let plays: Vec<Play> = events.iter().filter_map(|event| Play::of(event)).collect();
        let latest = events.last()?;
        let mut seen = HashSet::new();
        let tracks = events.iter().rev().filter(|event| event.kind == EventType::PlayStart);
        let tracks = tracks.filter_map(|event| event.track_id.as_ref()).filter(|track| seen.insert(*track));
        (!plays.is_empty()).then(|| Self {
            user: user.clone(),
            market: latest.market.clone(),
            device: latest.device,
            tracks: tracks.take(SEEDS).cloned().collect(),
            plays,
        })
    }
}

impl Play {
    fn of(event: &Event) -> Option<Self> {
        let ends = matches!(event.kind, EventType::PlayEnd | EventType::Skip | EventType::Stop);
        let played_ms = event.played_ms.filter(|_| ends)?;
        Some(Self { kind: event.kind, reason: event.reason_end, played_ms })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::{EventId, SessionId};

    /// A play of `track` that ended `ts` s after 0, and its start.
    pub(in crate::load) fn play(user: &str, track: &str, ts: i64, kind: EventType, played_ms: u32) -> [Event; 2] {
        let end = Event {
            event_id: EventId::new(format!("{user}-{ts}")).unwrap(),
            user_id: UserId::new(user).unwrap(),
            session_id: SessionId::new(format!("s-{user}")).unwrap(),
            kind,
            ts_ms: ts * 1_000,
            track_id: Some(TrackId::new(track).unwrap()),
            position_ms: None,
            duration_ms: Some(200_000),
            played_ms: Some(played_ms),
            reason_start: None,
            reason_end: Some(EndReason::Done),
            recommendation_id: None,
            market: Some("SE".into()),
            device: Some(Device::Car),
            local_hour: None,
        };
        let id = EventId::new(format!("{user}-{ts}-start")).unwrap();
        let start =
            Event { event_id: id, kind: EventType::PlayStart, played_ms: None, reason_end: None, ..end.clone() };
        [start, end]
    }

    #[test]
    fn listeners_have_their_own_past() {
        let day = 86_400;
        let events = [
            play("old", "t9", 0, EventType::Skip, 1),
            play("b", "t1", 20 * day, EventType::PlayEnd, 200_000),
            play("a", "t2", 20 * day + 1, EventType::Skip, 4_000),
            play("b", "t3", 20 * day + 2, EventType::Stop, 9_000),
            play("b", "t1", 20 * day + 3, EventType::PlayEnd, 7),
        ];
        let crowd = Crowd::of(events.concat()).unwrap();
        assert_eq!(crowd.listeners.iter().map(|one| one.user.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let b = &crowd.listeners[1];
        assert_eq!(b.tracks.iter().map(TrackId::as_str).collect::<Vec<_>>(), ["t1", "t3"]);
        assert_eq!(b.plays.iter().map(|play| play.played_ms).collect::<Vec<_>>(), [200_000, 9_000, 7]);
        assert_eq!((b.market.as_deref(), b.device), (Some("SE"), Some(Device::Car)));
        let moved: Vec<i64> = crowd.history_until(5_000).map(|event| event.ts_ms).collect();
        assert_eq!(moved, [2_000, 2_000, 3_000, 3_000, 4_000, 4_000, 5_000, 5_000]);
    }

    #[test]
    fn a_file_without_lengths_is_none() {
        let starts = play("a", "t1", 1, EventType::Skip, 1).into_iter().take(1).collect();
        assert!(Crowd::of(starts).is_none() && Crowd::of(Vec::new()).is_none());
    }
}
