//! What the end of a play says: a skip is a verdict, a pause is not.

use crate::config::SignalConfig;
use crate::domain::{EndReason, Event, EventType};

/// Length assumed for a track whose duration nobody knows, ms: the `duration` column's default.
pub const ASSUMED_DURATION_MS: u32 = 210_000;

/// From this part of a known duration on, a `play_end` without a reason counts as finished.
const FINISHED_FRACTION: f32 = 0.95;

/// The graded end of one play.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// -1 = skipped at once, 0 = says nothing, 1 = finished.
    pub signal: f32,
    /// Part of the track that sounded, 0..1; 0 where nobody knows.
    pub played_fraction: f32,
    /// How long it sounded, where known or safely inferred.
    pub played_ms: Option<u32>,
    /// Positive: finished, or more than [`SignalConfig::positive_ms`] played, whatever ended it.
    pub completed: bool,
    /// The listener moved on before the end.
    pub skipped: bool,
    /// Skipped before [`SignalConfig::early_skip_ms`].
    pub early_skip: bool,
    /// The end is not the listener's verdict: what would have followed is unknown.
    pub censored: bool,
}

impl Verdict {
    /// A play whose end was never reported.
    pub const UNKNOWN: Self = Self {
        signal: 0.0,
        played_fraction: 0.0,
        played_ms: None,
        completed: false,
        skipped: false,
        early_skip: false,
        censored: true,
    };
}

/// How a play ended, before its length is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Finished,
    Skipped,
    Censored,
}

/// Whether an event of this type ends a play.
pub fn is_terminal(kind: EventType) -> bool {
    matches!(kind, EventType::PlayEnd | EventType::Skip | EventType::Stop)
}

/// Grades the event that ended a play; `None` for an event that ends none.
///
/// | end | condition | signal |
/// |---|---|---|
/// | finished | | 1 |
/// | skipped | before `early_skip_ms` | -1 |
/// | skipped | later, up to `positive_ms` | `-0.5 * (1 - fraction)` |
/// | skipped | after `positive_ms` | `0.1 + 0.4 * fraction` |
/// | censored | up to `positive_ms`, or unknown | 0 |
/// | censored | after `positive_ms` | `0.5 + 0.5 * fraction` |
///
/// Time played is `played_ms`, else `position_ms`, else the whole track where it finished, else `sounded_ms` (since the
/// play began, without pauses) for a skip or stop. Time-outs and closed apps are reported late, so that says nothing of
/// them.
/// Length is the event's, else `duration_ms` (the catalogue's), else [`ASSUMED_DURATION_MS`].
pub fn grade(
    event: &Event,
    duration_ms: Option<u32>,
    sounded_ms: Option<u32>,
    config: &SignalConfig,
) -> Option<Verdict> {
    let known_duration = event.duration_ms.filter(|d| *d > 0).or(duration_ms.filter(|d| *d > 0));
    let reported = event.played_ms.or(event.position_ms);
    let ending = ending(event, reported, known_duration)?;
    let duration = known_duration.unwrap_or(ASSUMED_DURATION_MS);
    let played_ms = reported.or_else(|| match ending {
        Ending::Finished => known_duration,
        Ending::Skipped => sounded_ms.map(|s| s.min(duration)),
        Ending::Censored if event.kind == EventType::Stop && event.reason_end.is_none() => {
            sounded_ms.map(|s| s.min(duration))
        }
        Ending::Censored => None,
    });
    Some(judge(ending, played_ms, duration, config))
}

fn ending(event: &Event, reported: Option<u32>, duration: Option<u32>) -> Option<Ending> {
    if !is_terminal(event.kind) {
        return None;
    }
    Some(match event.reason_end {
        Some(EndReason::Logout | EndReason::Timeout | EndReason::AppClosed) => Ending::Censored,
        Some(EndReason::Done | EndReason::Back | EndReason::Skip) | None if event.kind == EventType::Skip => {
            Ending::Skipped
        }
        Some(EndReason::Done) => Ending::Finished,
        Some(EndReason::Skip) => Ending::Skipped,
        Some(EndReason::Back) => Ending::Censored,
        None if event.kind == EventType::PlayEnd && sounded_through(reported, duration) => Ending::Finished,
        None => Ending::Censored,
    })
}

fn sounded_through(played: Option<u32>, duration: Option<u32>) -> bool {
    matches!((played, duration), (Some(played), Some(duration)) if fraction(played, duration) >= FINISHED_FRACTION)
}

fn fraction(played_ms: u32, duration_ms: u32) -> f32 {
    (f64::from(played_ms) / f64::from(duration_ms.max(1))).min(1.0) as f32
}

fn judge(ending: Ending, played_ms: Option<u32>, duration_ms: u32, config: &SignalConfig) -> Verdict {
    let finished = ending == Ending::Finished;
    let played_fraction = if finished { 1.0 } else { played_ms.map_or(0.0, |p| fraction(p, duration_ms)) };
    let completed = finished || played_ms.is_some_and(|p| p > config.positive_ms);
    let skipped = ending == Ending::Skipped;
    let early_skip = skipped && !completed && played_ms.is_some_and(|p| p < config.early_skip_ms);
    let signal = match ending {
        Ending::Finished => 1.0,
        Ending::Skipped if early_skip => -1.0,
        Ending::Skipped if completed => 0.1 + 0.4 * played_fraction,
        Ending::Skipped => -0.5 * (1.0 - played_fraction),
        Ending::Censored if completed => 0.5 + 0.5 * played_fraction,
        Ending::Censored => 0.0,
    };
    Verdict { signal, played_fraction, played_ms, completed, skipped, early_skip, censored: ending == Ending::Censored }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::testing::event;
    use proptest::prelude::*;

    const D: Option<u32> = Some(200_000);

    fn graded(kind: EventType, reason: Option<EndReason>, played: Option<u32>, elapsed: Option<u32>) -> Verdict {
        let mut ended = event("e", "u", "s", kind, Some("t0"), 0);
        (ended.reason_end, ended.played_ms) = (reason, played);
        grade(&ended, D, elapsed, &SignalConfig::default()).unwrap()
    }

    #[test]
    fn follows_the_table_of_signals() {
        use EndReason::{AppClosed, Back, Done, Logout, Skip as Skipped, Timeout};
        use EventType::{PlayEnd, Skip, Stop};
        // type, reason, played, elapsed -> signal, completed, early skip, censored
        let table = [
            (Skip, None, Some(3_000), None, -1.0, false, true, false),
            (Skip, None, Some(9_999), None, -1.0, false, true, false),
            (Skip, None, Some(10_000), None, -0.475, false, false, false),
            (Skip, None, Some(30_000), None, -0.425, false, false, false),
            (Skip, None, Some(100_000), None, 0.3, true, false, false),
            (Skip, Some(Done), Some(3_000), None, -1.0, false, true, false),
            (Skip, Some(AppClosed), Some(3_000), None, 0.0, false, false, true),
            (Skip, None, None, Some(4_000), -1.0, false, true, false),
            (Skip, None, None, None, -0.5, false, false, false),
            (PlayEnd, Some(Skipped), Some(3_000), None, -1.0, false, true, false),
            (PlayEnd, Some(Done), Some(200_000), None, 1.0, true, false, false),
            (PlayEnd, Some(Done), None, None, 1.0, true, false, false),
            (PlayEnd, Some(Logout), Some(5_000), None, 0.0, false, false, true),
            (PlayEnd, Some(Timeout), Some(100_000), None, 0.75, true, false, true),
            (PlayEnd, Some(Timeout), None, Some(1_800_000), 0.0, false, false, true),
            (PlayEnd, Some(Back), Some(5_000), None, 0.0, false, false, true),
            (PlayEnd, None, Some(199_000), None, 1.0, true, false, false),
            (PlayEnd, None, Some(20_000), None, 0.0, false, false, true),
            (Stop, None, Some(20_000), None, 0.0, false, false, true),
            (Stop, None, None, Some(100_000), 0.75, true, false, true),
            (Stop, Some(Done), None, None, 1.0, true, false, false),
        ];
        for (row, (kind, reason, played, elapsed, signal, completed, early, censored)) in table.into_iter().enumerate()
        {
            let verdict = graded(kind, reason, played, elapsed);
            assert!((verdict.signal - signal).abs() < 1e-6, "row {row}: signal {}", verdict.signal);
            assert_eq!(
                (verdict.completed, verdict.early_skip, verdict.censored),
                (completed, early, censored),
                "row {row}"
            );
        }
    }

    #[test]
    fn only_terminal_events_have_a_verdict() {
        for kind in EventType::ALL.iter().copied().filter(|kind| !is_terminal(*kind)) {
            assert_eq!(grade(&event("e", "u", "s", kind, Some("t0"), 0), D, None, &SignalConfig::default()), None);
        }
    }

    #[test]
    fn position_stands_in_for_time_played() {
        let mut skip = event("e", "u", "s", EventType::Skip, Some("t0"), 0);
        (skip.position_ms, skip.duration_ms) = (Some(50_000), Some(100_000));
        let verdict = grade(&skip, D, None, &SignalConfig::default()).unwrap();
        assert_eq!((verdict.played_ms, verdict.played_fraction), (Some(50_000), 0.5));
    }

    proptest! {
        #[test]
        fn is_bounded_and_rises_with_time_played(
            kind in prop::sample::select(vec![EventType::Skip, EventType::PlayEnd, EventType::Stop]),
            reason in prop::option::of(prop::sample::select(EndReason::ALL.to_vec())),
            mut played in prop::collection::vec(any::<u32>(), 2),
            duration in prop::option::of(any::<u32>()),
        ) {
            played.sort_unstable();
            let verdicts: Vec<_> = played.iter().map(|p| {
                let mut ended = event("e", "u", "s", kind, Some("t0"), 0);
                (ended.reason_end, ended.played_ms, ended.duration_ms) = (reason, Some(*p), duration);
                grade(&ended, None, None, &SignalConfig::default()).unwrap()
            }).collect();
            for v in &verdicts {
                prop_assert!((-1.0..=1.0).contains(&v.signal) && (0.0..=1.0).contains(&v.played_fraction));
                prop_assert!(!(v.completed && v.early_skip));
                prop_assert!(!(v.censored && v.skipped));
                prop_assert!(!v.completed || v.signal > 0.0);
            }
            prop_assert!(verdicts[0].signal <= verdicts[1].signal);
        }
    }
}
