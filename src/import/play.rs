//! One play as a format yields it, and what must hold of it.

use super::about::{About, DAY_MS};
use super::report::Reason;
use crate::domain::{Device, StartReason};

/// 2000-01-01T00:00:00Z: what is older was not streamed.
const OLDEST_MS: i64 = 946_684_800_000;

/// What a source says of how a play ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Hint {
    /// Nothing: length, duration and the next play must tell.
    #[default]
    Nothing,
    /// It ran to its end.
    Done,
    /// The listener moved on.
    Skipped,
    /// The listener did not skip.
    NotSkipped,
    /// The listener went back.
    Back,
    /// Another play or silence took its place.
    Replaced,
    /// It stopped, and that says nothing.
    Stopped,
    /// The listener logged out.
    Logout,
    /// The app closed or crashed.
    AppClosed,
}

/// One play, unchecked.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct RawPlay {
    /// Who.
    pub(super) user: String,
    /// Which track.
    pub(super) track: String,
    /// When it began, Unix ms.
    pub(super) start_ms: i64,
    /// The source's session.
    pub(super) session: Option<String>,
    /// How long it sounded, ms.
    pub(super) played_ms: Option<i64>,
    /// How it ended.
    pub(super) hint: Hint,
    /// Why it began.
    pub(super) reason_start: Option<StartReason>,
    /// Whether the listener liked it.
    pub(super) liked: bool,
    /// Market code.
    pub(super) market: Option<String>,
    /// On what.
    pub(super) device: Option<Device>,
    /// The listener's hour.
    pub(super) local_hour: Option<u8>,
    /// What the row says of the track.
    pub(super) about: About,
    /// Values of the row that were passed over.
    pub(super) notes: Vec<&'static str>,
}

/// Why a row is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The kind, which is counted.
    pub(super) reason: Reason,
    /// The particular, which is sampled.
    pub(super) detail: String,
}

impl Fault {
    /// A fault with its particular.
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// A fault of one field.
    pub(super) fn field(reason: Reason, field: &str, detail: &str) -> Self {
        Self::new(reason, format!("{field}: {detail}"))
    }
}

/// Checks times and lengths; ids are checked where they are numbered.
///
/// # Errors
/// What is wrong.
pub(super) fn check(play: &RawPlay, now_ms: i64) -> Result<(), Fault> {
    if play.start_ms < OLDEST_MS {
        return Err(Fault::new(Reason::TooOld, format!("begins at {}", shown(play.start_ms))));
    }
    if play.start_ms.saturating_add(play.played_ms.unwrap_or(0).max(0)) > now_ms {
        return Err(Fault::new(Reason::InFuture, format!("begins at {}", shown(play.start_ms))));
    }
    match play.played_ms {
        Some(ms) if ms < 0 => Err(Fault::new(Reason::NegativePlaytime, format!("played {ms} ms"))),
        Some(ms) if ms > DAY_MS => Err(Fault::new(Reason::AbsurdPlaytime, format!("played {ms} ms, more than a day"))),
        _ => Ok(()),
    }
}

fn shown(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |stamp| stamp.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_times_and_lengths_are_named() {
        let now = OLDEST_MS + 10 * DAY_MS;
        let play = |start_ms, played_ms| RawPlay { start_ms, played_ms, ..RawPlay::default() };
        let reason = |start, played| check(&play(start, played), now).map_err(|fault| fault.reason);
        assert_eq!(reason(OLDEST_MS, None), Ok(()));
        assert_eq!(reason(OLDEST_MS - 1, None), Err(Reason::TooOld));
        assert_eq!(reason(i64::MIN, Some(i64::MIN)), Err(Reason::TooOld));
        assert_eq!(reason(now + 1, None), Err(Reason::InFuture));
        assert_eq!(reason(now, Some(1_000)), Err(Reason::InFuture));
        assert_eq!(reason(i64::MAX, Some(i64::MAX)), Err(Reason::InFuture));
        assert_eq!(reason(OLDEST_MS, Some(-1)), Err(Reason::NegativePlaytime));
        assert_eq!(reason(OLDEST_MS, Some(DAY_MS + 1)), Err(Reason::AbsurdPlaytime));
        assert!(check(&play(0, None), now).unwrap_err().detail.contains("1970-01-01"));
    }
}
