//! How long the current play has sounded: a pause is no part of it, and a seek takes nothing away.

use crate::domain::Heard;

/// A play that begins now.
pub(super) fn begin(ts_ms: i64) -> Heard {
    Heard { before_pause_ms: 0, since_ms: Some(ts_ms) }
}

/// The sound rests; a second pause changes nothing.
pub(super) fn pause(heard: &mut Heard, ts_ms: i64) {
    if let Some(since_ms) = heard.since_ms.take() {
        heard.before_pause_ms = heard.before_pause_ms.saturating_add(ts_ms.saturating_sub(since_ms).max(0));
    }
}

/// The sound goes on; without a pause before it this changes nothing.
pub(super) fn resume(heard: &mut Heard, ts_ms: i64) {
    heard.since_ms = heard.since_ms.or(Some(ts_ms));
}

/// What has sounded by a moment, ms; `None` where the moment lies before the sound, which says nothing.
pub(super) fn until(heard: Heard, ts_ms: i64) -> Option<u32> {
    let sounds_ms = heard.since_ms.map_or(0, |since_ms| ts_ms.saturating_sub(since_ms));
    let all_ms = heard.before_pause_ms.saturating_add(sounds_ms);
    if sounds_ms < 0 { None } else { u32::try_from(all_ms).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a clock that ticks: a second sounds where the last pause or resume before it was no pause.
        #[test]
        fn equals_counting_the_seconds(steps in prop::collection::vec((any::<bool>(), 0i64..9), 0..12), rest in 0i64..9) {
            let mut heard = begin(0);
            let (mut now, mut said) = (0, vec![(0, true)]);
            for (sounds, gap) in steps {
                now += gap;
                said.push((now, sounds));
                if sounds { resume(&mut heard, now * 1_000) } else { pause(&mut heard, now * 1_000) }
            }
            let end = now + rest;
            let sounded = (0..end).filter(|second| said.iter().rfind(|(at, _)| at <= second).unwrap().1).count();
            prop_assert_eq!(until(heard, end * 1_000), Some(sounded as u32 * 1_000));
        }
    }

    #[test]
    fn a_moment_before_the_sound_says_nothing() {
        assert_eq!(until(begin(1_000), 999), None);
        let mut heard = begin(1_000);
        pause(&mut heard, 500);
        assert_eq!(until(heard, 2_000), Some(0));
    }
}
