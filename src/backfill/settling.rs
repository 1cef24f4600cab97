//! What is known of plays that have ended, held back a while: a like often comes after the end.

use std::collections::VecDeque;

use crate::domain::{Event, EventType, SessionId, TrackIx};

/// How long after its end a play can still be liked, ms of event time.
pub(super) const SETTLE_MS: i64 = 5 * 60_000;
/// Most held; beyond it the first goes as it stands.
const MOST: usize = 10_000;

/// A queue by the time of the play's end. What goes in comes out in the same order.
#[derive(Debug)]
pub(super) struct Settling<T> {
    held: VecDeque<Held<T>>,
    most: usize,
}

#[derive(Debug)]
struct Held<T> {
    ended_ms: i64,
    session: SessionId,
    track: TrackIx,
    held: T,
}

/// What a play leaves to be settled.
pub(super) trait Likeable {
    /// Takes in that the listener liked its track, or took that back.
    fn set_liked(&mut self, liked: bool);
}

impl<T: Likeable> Settling<T> {
    pub(super) fn new() -> Self {
        Self { held: VecDeque::new(), most: MOST }
    }

    /// Holds what is known of a play that this event ended. Events come in time order.
    pub(super) fn hold(&mut self, event: &Event, track: TrackIx, held: T) {
        self.held.push_back(Held { ended_ms: event.ts_ms, session: event.session_id.clone(), track, held });
    }

    /// Takes in what an event says of the tracks played shortly before in its session. `O(held)` for a like or its
    /// contrary, else `O(1)`.
    pub(super) fn hear(&mut self, event: &Event, track: TrackIx) {
        let liked = match event.kind {
            EventType::Like | EventType::AddToPlaylist => true,
            EventType::Unlike | EventType::Dislike => false,
            EventType::PlayStart
            | EventType::PlayEnd
            | EventType::Skip
            | EventType::Pause
            | EventType::Resume
            | EventType::Seek
            | EventType::Stop
            | EventType::BlockArtist
            | EventType::Impression
            | EventType::Search => return,
        };
        let theirs = self.held.iter_mut().filter(|held| held.track == track && held.session == event.session_id);
        theirs.for_each(|held| held.held.set_liked(liked));
    }

    /// The next that nothing up to this moment can change any more.
    pub(super) fn settled(&mut self, now_ms: i64) -> Option<T> {
        let is_due = self.held.front().is_some_and(|held| now_ms - held.ended_ms > SETTLE_MS);
        if is_due || self.held.len() > self.most { self.next() } else { None }
    }

    /// The next, settled or not.
    pub(super) fn next(&mut self) -> Option<T> {
        self.held.pop_front().map(|held| held.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backfill::rows::RankerRow;
    use crate::features::testing::event;
    use proptest::prelude::*;

    fn group(number: i64) -> Vec<RankerRow> {
        let row = RankerRow {
            group: number,
            user_id: "u".into(),
            ts_ms: 0,
            split: "train".into(),
            track_ix: 0,
            played: true,
            user: vec![],
            item: vec![],
            cross: vec![],
            label: vec![1.0, 0.0, 0.0],
            mask: vec![1.0; 3],
        };
        vec![row.clone(), RankerRow { played: false, ..row }]
    }

    proptest! {
        /// Against looking through all later events for every play.
        #[test]
        fn equals_looking_ahead(steps in prop::collection::vec((0u8..6, 0u8..3, 0u32..3, 0i64..200_000), 0..60)) {
            let kinds = [EventType::PlayEnd, EventType::PlayEnd, EventType::Like, EventType::Unlike,
                EventType::AddToPlaylist, EventType::PlayStart];
            let mut now = 0;
            let events: Vec<_> = steps.iter().map(|(kind, session, track, gap)| {
                now += gap;
                (event("e", "u", &format!("s{session}"), kinds[usize::from(*kind)], Some("t"), now), TrackIx(*track))
            }).collect();
            let (mut settling, mut out) = (Settling::new(), Vec::new());
            for (at, (event, track)) in events.iter().enumerate() {
                while let Some(group) = settling.settled(event.ts_ms) {
                    out.push(group);
                }
                settling.hear(event, *track);
                if event.kind == EventType::PlayEnd {
                    settling.hold(event, *track, group(at as i64));
                }
            }
            out.extend(std::iter::from_fn(|| settling.next()));
            let plays = events.iter().enumerate().filter(|(_, (event, _))| event.kind == EventType::PlayEnd);
            let expected: Vec<_> = plays.map(|(at, (end, track))| {
                let after = events[at + 1..].iter().filter(|(e, t)| t == track && e.session_id == end.session_id
                    && e.ts_ms - end.ts_ms <= SETTLE_MS);
                let mut said = after.map(|(e, _)| e.kind).filter(|kind| kinds[2..5].contains(kind));
                let mut rows = group(at as i64);
                rows[0].label[2] = said.next_back().map_or(0.0, |kind| f32::from(kind != EventType::Unlike));
                rows
            }).collect();
            prop_assert_eq!(out, expected);
        }
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut settling = Settling { most: 2, ..Settling::new() };
        for at in 0..4 {
            settling.hold(&event("e", "u", "s", EventType::PlayEnd, Some("t"), at), TrackIx(0), group(at));
        }
        let due: Vec<_> = std::iter::from_fn(|| settling.settled(4)).map(|rows| rows[0].group).collect();
        assert_eq!(due, [0, 1]);
        assert_eq!(settling.next().map(|rows| rows[0].group), Some(2));
    }
}
