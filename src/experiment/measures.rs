//! What is measured of each listener.

use super::Lived;
use crate::statistics::Sums;

/// One measure: a ratio of sums over listeners.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// Its name.
    pub name: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// Whether more of it is better.
    pub more_is_better: bool,
    /// What a listener adds; `None` of one who does not count, or not yet.
    pub of: fn(&Lived) -> Option<Sums>,
}

/// All of them, in the order of reports. Coverage, which is no listener's, stands beside them.
pub const MEASURES: [Measure; 8] = [
    Measure {
        name: "play_through_rate",
        about: "plays of proposed tracks that went to their end",
        more_is_better: true,
        of: |of| Some(Sums { numerator: of.through, denominator: of.plays }),
    },
    Measure {
        name: "retention_30s",
        about: "plays of proposed tracks of more than 30 s",
        more_is_better: true,
        of: |of| Some(Sums { numerator: of.long, denominator: of.plays }),
    },
    Measure {
        name: "early_skip_rate",
        about: "plays of proposed tracks that were skipped early",
        more_is_better: false,
        of: |of| Some(Sums { numerator: of.early, denominator: of.plays }),
    },
    Measure {
        name: "daily_active_minutes",
        about: "minutes of all plays a listener and day since the exposure",
        more_is_better: true,
        of: |of| (of.days >= 1.0).then_some(Sums { numerator: of.minutes, denominator: of.days }),
    },
    Measure {
        name: "return_d1",
        about: "listeners who were there from 1 to 2 days after the exposure",
        more_is_better: true,
        of: |of| returned(of, 1),
    },
    Measure {
        name: "return_d7",
        about: "listeners who were there from 7 to 8 days after the exposure",
        more_is_better: true,
        of: |of| returned(of, 7),
    },
    Measure {
        name: "return_d28",
        about: "listeners who were there from 28 to 29 days after the exposure",
        more_is_better: true,
        of: |of| returned(of, 28),
    },
    Measure {
        name: "minutes_two_weeks",
        about: "minutes of all plays in the 14 days after the exposure",
        more_is_better: true,
        of: |of| (of.days >= 14.0).then_some(Sums { numerator: of.minutes_two_weeks, denominator: 1.0 }),
    },
];

/// Whether a listener was there on a day; `None` until the day is over for them.
fn returned(of: &Lived, day: u32) -> Option<Sums> {
    let was_there = f64::from((of.active >> day & 1) as u32);
    (of.days >= f64::from(day + 1)).then_some(Sums { numerator: was_there, denominator: 1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_far_enough_does_not_count() {
        let of = |days, active| Lived { days, active, minutes: 30.0, minutes_two_weeks: 20.0, ..Lived::default() };
        let values = |life: &Lived| MEASURES.map(|measure| (measure.of)(life).map(|sums| sums.numerator));
        let early = values(&of(1.5, 0b11));
        assert_eq!(early, [Some(0.0), Some(0.0), Some(0.0), Some(30.0), None, None, None, None]);
        let late = values(&of(29.0, 1 << 7 | 1));
        assert_eq!(late[3..], [Some(30.0), Some(0.0), Some(1.0), Some(0.0), Some(20.0)]);
        assert_eq!(values(&of(0.9, 0))[3], None);
    }
}
