//! How a play ended, inferred from what is known of it. `docs/import.md` holds these rules as a table.

use super::play::Hint;
use crate::domain::{EndReason, EventType};

/// From this part of a track on, a play counts as finished.
const FINISHED: f64 = 0.8;

/// Part of a track that must have sounded for a scrobble, and the time that is enough for a long one, ms.
const SCROBBLE_PART: f64 = 0.5;
const SCROBBLE_MS: u32 = 240_000;

/// Time credited to a scrobble of unknown length, ms: just past the 30 s that make a play a positive one.
const SCROBBLE_UNKNOWN_MS: u32 = 31_000;

/// Time credited to a skip of unknown length, ms: a skip, but no early one.
const SKIP_UNKNOWN_MS: u32 = 15_000;

/// A play that was replaced counts as skipped where the next one begins so soon after it, ms.
const REPLACED_WITHIN_MS: i64 = 10_000;

/// How a play ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It finished.
    Done,
    /// The listener moved on.
    Skipped,
    /// The listener went back.
    Back,
    /// It stopped after a known time.
    Stopped,
    /// The listener logged out.
    Logout,
    /// The app closed.
    AppClosed,
    /// Nobody knows how long it sounded.
    Unheard,
}

impl Ending {
    /// The terminal event and its reason. An unheard play carries `timeout`, so that the time until its end event is
    /// not taken for time played.
    pub(super) fn event(self) -> (EventType, Option<EndReason>) {
        match self {
            Self::Done => (EventType::PlayEnd, Some(EndReason::Done)),
            Self::Skipped => (EventType::Skip, Some(EndReason::Skip)),
            Self::Back => (EventType::PlayEnd, Some(EndReason::Back)),
            Self::Stopped => (EventType::Stop, None),
            Self::Logout => (EventType::Stop, Some(EndReason::Logout)),
            Self::AppClosed => (EventType::Stop, Some(EndReason::AppClosed)),
            Self::Unheard => (EventType::Stop, Some(EndReason::Timeout)),
        }
    }

    /// The name in the report.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Skipped => "skip",
            Self::Back => "back",
            Self::Stopped => "stop",
            Self::Logout => "logout",
            Self::AppClosed => "app_closed",
            Self::Unheard => "unknown",
        }
    }
}

/// What is known of a play.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Heard {
    /// What the source says.
    pub(super) hint: Hint,
    /// Time played, ms.
    pub(super) played_ms: Option<u32>,
    /// Length of the track, ms.
    pub(super) duration_ms: Option<u32>,
    /// From its start to the start of the next play of the session, ms; absent for the last.
    pub(super) next_in_ms: Option<i64>,
}

/// What is made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    /// How it ended.
    pub(super) ending: Ending,
    /// Time played, ms, known or inferred.
    pub(super) played_ms: Option<u32>,
    /// From start to end event, ms: the time played, but never past the next start.
    pub(super) lasted_ms: u32,
}

/// Infers the end of a play; `scrobbles` tells that the source only holds plays of half the track or four minutes.
pub(super) fn resolve(heard: Heard, scrobbles: bool) -> Outcome {
    let (ending, played_ms) = match (heard.hint, heard.played_ms) {
        (Hint::Done, played) => (Ending::Done, played.or(heard.duration_ms)),
        (Hint::Back, played) => (Ending::Back, played),
        (Hint::Logout, played) => (Ending::Logout, played),
        (Hint::AppClosed, played) => (Ending::AppClosed, played),
        (Hint::Stopped, played) => (if played.is_some() { Ending::Stopped } else { Ending::Unheard }, played),
        (Hint::Skipped, played) => (Ending::Skipped, played.or_else(|| Some(skipped_after(heard)))),
        (Hint::Replaced, played) => (replaced(heard, played), played),
        (Hint::NotSkipped, Some(played)) if heard.duration_ms.is_some_and(|d| !finished(played, d)) => {
            (Ending::Stopped, Some(played))
        }
        (Hint::NotSkipped, played) => (Ending::Done, played.or(heard.duration_ms)),
        (Hint::Nothing, Some(played)) => (by_length(heard, played), Some(played)),
        (Hint::Nothing, None) => by_gap(heard, scrobbles),
    };
    let until_next = heard.next_in_ms.map_or(u32::MAX, |ms| u32::try_from(ms.max(0)).unwrap_or(u32::MAX));
    Outcome { ending, played_ms, lasted_ms: played_ms.unwrap_or(0).min(until_next) }
}

fn finished(played_ms: u32, duration_ms: u32) -> bool {
    f64::from(played_ms) >= FINISHED * f64::from(duration_ms)
}

/// Time to the next play as a length, at most that of the track.
fn gap(heard: Heard) -> Option<u32> {
    let gap = u32::try_from(heard.next_in_ms?).ok()?;
    heard.duration_ms.map(|duration| gap.min(duration))
}

fn skipped_after(heard: Heard) -> u32 {
    let until_next = heard.next_in_ms.and_then(|ms| u32::try_from(ms).ok());
    gap(heard).unwrap_or_else(|| until_next.map_or(SKIP_UNKNOWN_MS, |ms| ms.min(SKIP_UNKNOWN_MS)))
}

fn replaced(heard: Heard, played: Option<u32>) -> Ending {
    let after = |played: u32| heard.next_in_ms.map(|ms| ms - i64::from(played));
    match played {
        None => Ending::Unheard,
        Some(played) if after(played).is_some_and(|ms| ms <= REPLACED_WITHIN_MS) => Ending::Skipped,
        Some(_) => Ending::Stopped,
    }
}

fn by_length(heard: Heard, played: u32) -> Ending {
    match heard.duration_ms {
        Some(duration) if finished(played, duration) => Ending::Done,
        Some(_) if heard.next_in_ms.is_some() => Ending::Skipped,
        Some(_) | None => Ending::Stopped,
    }
}

/// Only the start is known: the next start bounds the length.
fn by_gap(heard: Heard, scrobbles: bool) -> (Ending, Option<u32>) {
    let Some(duration) = heard.duration_ms else {
        return if scrobbles { (Ending::Stopped, Some(SCROBBLE_UNKNOWN_MS)) } else { (Ending::Unheard, None) };
    };
    let least = if scrobbles { SCROBBLE_MS.min((SCROBBLE_PART * f64::from(duration)) as u32) } else { 0 };
    match gap(heard) {
        Some(gap) if finished(gap, duration) => (Ending::Done, Some(gap)),
        // Sooner than a scrobble can be: the times are not to be trusted, only that it was scrobbled.
        Some(gap) if gap < least => (Ending::Stopped, Some(least)),
        Some(gap) => (Ending::Skipped, Some(gap)),
        None if scrobbles => (Ending::Stopped, Some(least)),
        None => (Ending::Unheard, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn end(hint: Hint, played: u32, duration: u32, next: i64, scrobbles: bool) -> (Ending, Option<u32>) {
        let known = |n: u32| (n > 0).then_some(n);
        let heard = Heard {
            hint,
            played_ms: known(played),
            duration_ms: known(duration),
            next_in_ms: (next >= 0).then_some(next),
        };
        let outcome = resolve(heard, scrobbles);
        (outcome.ending, outcome.played_ms)
    }

    #[test]
    fn a_known_length_decides() {
        use Ending::{Done, Skipped, Stopped};
        assert_eq!(end(Hint::Nothing, 160_000, 200_000, 500_000, false), (Done, Some(160_000)));
        assert_eq!(end(Hint::Nothing, 159_999, 200_000, 500_000, false), (Skipped, Some(159_999)));
        assert_eq!(end(Hint::Nothing, 159_999, 200_000, -1, false), (Stopped, Some(159_999)));
        assert_eq!(end(Hint::Nothing, 90_000, 0, 500_000, false), (Stopped, Some(90_000)));
    }

    #[test]
    fn a_scrobble_is_positive_and_the_gap_says_more() {
        use Ending::{Done, Skipped, Stopped, Unheard};
        assert_eq!(end(Hint::Nothing, 0, 200_000, 300_000, true), (Done, Some(200_000)));
        assert_eq!(end(Hint::Nothing, 0, 200_000, 170_000, true), (Done, Some(170_000)));
        assert_eq!(end(Hint::Nothing, 0, 200_000, 120_000, true), (Skipped, Some(120_000)));
        assert_eq!(end(Hint::Nothing, 0, 200_000, 5_000, true), (Stopped, Some(100_000)));
        assert_eq!(end(Hint::Nothing, 0, 200_000, -1, true), (Stopped, Some(100_000)));
        assert_eq!(end(Hint::Nothing, 0, 900_000, -1, true), (Stopped, Some(240_000)));
        assert_eq!(end(Hint::Nothing, 0, 0, 200_000, true), (Stopped, Some(31_000)));
        assert_eq!(end(Hint::Nothing, 0, 0, 200_000, false), (Unheard, None));
        assert_eq!(end(Hint::Nothing, 0, 200_000, 5_000, false), (Skipped, Some(5_000)));
        assert_eq!(end(Hint::Nothing, 0, 200_000, -1, false), (Unheard, None));
    }

    #[test]
    fn the_source_is_believed() {
        use Ending::{AppClosed, Back, Done, Logout, Skipped, Stopped, Unheard};
        assert_eq!(end(Hint::Done, 10, 200_000, -1, false), (Done, Some(10)));
        assert_eq!(end(Hint::Skipped, 190_000, 200_000, -1, false), (Skipped, Some(190_000)));
        assert_eq!(end(Hint::Skipped, 0, 0, -1, false), (Skipped, Some(15_000)));
        assert_eq!(end(Hint::Skipped, 0, 0, 4_000, false), (Skipped, Some(4_000)));
        assert_eq!(end(Hint::Skipped, 0, 200_000, 40_000, false), (Skipped, Some(40_000)));
        assert_eq!(end(Hint::Back, 10, 0, 20, false), (Back, Some(10)));
        assert_eq!(end(Hint::Logout, 10, 0, 20, false), (Logout, Some(10)));
        assert_eq!(end(Hint::AppClosed, 10, 0, 20, false), (AppClosed, Some(10)));
        assert_eq!(end(Hint::Stopped, 0, 0, 20, false), (Unheard, None));
        assert_eq!(end(Hint::Replaced, 50_000, 0, 59_000, false), (Skipped, Some(50_000)));
        assert_eq!(end(Hint::Replaced, 50_000, 0, 61_000, false), (Stopped, Some(50_000)));
        assert_eq!(end(Hint::NotSkipped, 50_000, 200_000, 60_000, false), (Stopped, Some(50_000)));
        assert_eq!(end(Hint::NotSkipped, 0, 200_000, 60_000, false), (Done, Some(200_000)));
    }

    proptest! {
        #[test]
        fn no_end_lies_past_the_next_start(
            played in prop::option::of(0u32..90_000_000), duration in prop::option::of(1u32..90_000_000),
            next in prop::option::of(0i64..90_000_000), hint in 0usize..9, scrobbles: bool,
        ) {
            let hints = [Hint::Nothing, Hint::Done, Hint::Skipped, Hint::NotSkipped, Hint::Back, Hint::Replaced,
                Hint::Stopped, Hint::Logout, Hint::AppClosed];
            let heard = Heard { hint: hints[hint], played_ms: played, duration_ms: duration, next_in_ms: next };
            let outcome = resolve(heard, scrobbles);
            prop_assert!(next.is_none_or(|next| i64::from(outcome.lasted_ms) <= next));
            prop_assert!(outcome.lasted_ms <= outcome.played_ms.unwrap_or(0));
            prop_assert!(played.is_none() || outcome.played_ms == played);
        }
    }
}
