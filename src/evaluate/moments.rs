//! Which plays are asked about.

use std::collections::HashMap;

use crate::domain::{Catalogue, Event, EventType, SessionId, TrackIx, UserId};

/// The plays of the test period at whose beginning every system is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Moments {
    /// Every play.
    #[default]
    Every,
    /// Next-track prediction as it is published (Ludewig, Mauro, Latifi and Jannach 2019): plays after the first of
    /// sessions that began in the test period, of tracks that were played before it. Other tracks count as not there, also
    /// where one would be a session's first.
    InSession,
    /// Plays of tracks that were played fewer than ten times before the test period: what a bundle knows little of.
    ColdTracks,
    /// A listener's first ten plays of all.
    ColdListeners,
}

/// Plays from which on a track or a listener is not cold.
const WARM: u32 = 10;

/// Says of one event after the other, in time order, whether it is a moment. Keeps the ids of sessions or of listeners where
/// it must, and a number a track.
#[derive(Debug)]
pub(super) struct Chooser<'a> {
    moments: Moments,
    test_from_ms: i64,
    catalogue: &'a Catalogue,
    /// `[tracks]`: plays before the test period.
    plays: Vec<u32>,
    /// Plays of each listener so far; only for cold listeners.
    listeners: HashMap<UserId, u32>,
    /// Whether a session began in the test period.
    sessions: HashMap<SessionId, bool>,
}

impl<'a> Chooser<'a> {
    pub(super) fn new(moments: Moments, test_from_ms: i64, catalogue: &'a Catalogue) -> Self {
        let (plays, listeners) = (vec![0; catalogue.len()], HashMap::new());
        Self { moments, test_from_ms, catalogue, plays, listeners, sessions: HashMap::new() }
    }

    /// Whether every system is asked just before this event.
    pub(super) fn is_moment(&mut self, event: &Event) -> bool {
        let Some(track) = begun(self.catalogue, event) else { return false };
        let in_test = event.ts_ms >= self.test_from_ms;
        if !in_test {
            self.plays[track.at()] += 1;
        }
        match self.moments {
            Moments::Every => in_test,
            Moments::InSession if !in_test => {
                self.sessions.insert(event.session_id.clone(), false);
                false
            }
            Moments::InSession if self.plays[track.at()] == 0 => false,
            Moments::InSession => match self.sessions.get(&event.session_id) {
                Some(began_in_test) => *began_in_test,
                None => {
                    self.sessions.insert(event.session_id.clone(), true);
                    false
                }
            },
            Moments::ColdTracks => in_test && self.plays[track.at()] < WARM,
            Moments::ColdListeners => {
                let plays = self.listeners.entry(event.user_id.clone()).or_default();
                *plays += 1;
                in_test && *plays <= WARM
            }
        }
    }
}

/// The track that begins to play; `None` for other events and for tracks that the catalogue does not know.
pub(super) fn begun(catalogue: &Catalogue, event: &Event) -> Option<TrackIx> {
    let track = event.track_id.as_ref().filter(|_| event.kind == EventType::PlayStart)?;
    catalogue.find(track.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::testing::{catalogue, event};
    use proptest::prelude::*;

    const TEST_FROM_MS: i64 = 20;

    /// Plays as (session, track); the n-th one begins at n.
    fn chosen(moments: Moments, plays: &[(u8, u8)]) -> Vec<usize> {
        let catalogue = catalogue();
        let mut chooser = Chooser::new(moments, TEST_FROM_MS, &catalogue);
        let played = |(at, (session, track)): (usize, &(u8, u8))| {
            let (session, track) = (format!("s{session}"), format!("t{track}"));
            event("e", "u", &session, EventType::PlayStart, Some(&track), at as i64)
        };
        let events: Vec<_> = plays.iter().enumerate().map(played).collect();
        (0..events.len()).filter(|at| chooser.is_moment(&events[*at])).collect()
    }

    proptest! {
        /// Against the protocol as the papers tell it: cut, drop sessions and tracks, then predict all but the first.
        #[test]
        fn equals_cutting_and_filtering(plays in prop::collection::vec((0u8..8, 0u8..14), 0..50)) {
            let cut = (TEST_FROM_MS as usize).min(plays.len());
            let began = |session: u8| plays.iter().position(|play| play.0 == session).unwrap();
            let kept = |at: &usize| {
                let (session, track) = plays[*at];
                track < 12 && began_known(&plays, session) >= cut && plays[..cut].iter().any(|play| play.1 == track)
            };
            let mut plain: Vec<usize> = Vec::new();
            for session in (0..8).filter(|session| plays.iter().any(|play| play.0 == *session)) {
                let own = (began(session)..plays.len()).filter(|at| plays[*at].0 == session).filter(kept);
                plain.extend(own.skip(1));
            }
            plain.sort_unstable();
            prop_assert_eq!(chosen(Moments::InSession, &plays), plain);
            let before = |at: &usize| plays[..cut].iter().filter(|play| play.1 == plays[*at].1).count();
            let cold: Vec<usize> = (cut..plays.len()).filter(|at| plays[*at].1 < 12 && before(at) < 10).collect();
            prop_assert_eq!(chosen(Moments::ColdTracks, &plays), cold);
            let known = |at: &usize| plays[..*at].iter().filter(|play| play.1 < 12).count();
            let first: Vec<usize> = (cut..plays.len()).filter(|at| plays[*at].1 < 12 && known(at) < 10).collect();
            prop_assert_eq!(chosen(Moments::ColdListeners, &plays), first, "all are one listener's");
            let every: Vec<usize> = (cut..plays.len()).filter(|at| plays[*at].1 < 12).collect();
            prop_assert_eq!(chosen(Moments::Every, &plays), every);
        }
    }

    /// Where a session's first play of a track of the catalogue stands.
    fn began_known(plays: &[(u8, u8)], session: u8) -> usize {
        plays.iter().position(|play| play.0 == session && play.1 < 12).unwrap_or(usize::MAX)
    }

    #[test]
    fn nothing_but_the_beginning_of_a_play_is_a_moment() {
        let catalogue = catalogue();
        let mut chooser = Chooser::new(Moments::Every, 0, &catalogue);
        let asked = |kind, track| event("e", "u", "s", kind, Some(track), 5);
        assert!(chooser.is_moment(&asked(EventType::PlayStart, "t3")));
        assert!(!chooser.is_moment(&asked(EventType::PlayEnd, "t3")));
        assert!(!chooser.is_moment(&asked(EventType::PlayStart, "gone")));
    }
}
