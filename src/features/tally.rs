//! Counts of plays that halve every so many days.

use super::affinity::decay;
use super::feedback::Shares;

/// What is counted of a track, an artist, a genre or all of them. Nothing names a listener.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Tally {
    /// Completed plays, decayed to `as_of_ms`.
    completed: f64,
    /// Plays whose end says whether they were completed, decayed to `as_of_ms`.
    judged: f64,
    as_of_ms: i64,
    /// Plays that ended and count whole.
    pub(super) plays: u32,
    /// Impressions that clients reported and that count whole.
    pub(super) shown: u32,
    /// Whether it was told that the track is warm.
    pub(super) is_warm: bool,
}

impl Tally {
    /// Counts the end of a play by its share, 0 to 1; `completed` is `None` where it says nothing. The result equals
    /// recomputing the decayed counts from all ends in any order: one from the past counts as what would be left of it by now.
    pub(super) fn end(&mut self, completed: Option<bool>, share: f32, ts_ms: i64, half_life_days: f32) {
        self.plays = self.plays.saturating_add(u32::from(Shares::is_whole(share)));
        let Some(completed) = completed else { return };
        if self.judged == 0.0 {
            self.as_of_ms = ts_ms;
        }
        let elapsed = ts_ms.saturating_sub(self.as_of_ms);
        if elapsed > 0 {
            let left = f64::from(decay(elapsed, half_life_days));
            (self.completed, self.judged, self.as_of_ms) = (self.completed * left, self.judged * left, ts_ms);
        }
        let weight = f64::from(share) * f64::from(decay(elapsed.saturating_neg(), half_life_days));
        self.judged += weight;
        self.completed += if completed { weight } else { 0.0 };
    }

    /// What is left at a moment.
    pub(super) fn at(&self, now_ms: i64, half_life_days: f32) -> Counts {
        let left = f64::from(decay(now_ms.saturating_sub(self.as_of_ms), half_life_days));
        Counts { completed: self.completed * left, judged: self.judged * left }.sane()
    }

    /// How often it was shown: as clients report it, or as it was played where that is more often.
    pub(super) fn impressions(&self) -> u32 {
        self.shown.max(self.plays)
    }
}

/// Decayed counts of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Counts {
    pub(super) completed: f64,
    pub(super) judged: f64,
}

impl Counts {
    /// What is no count is nothing, and no more can be completed than was judged.
    fn sane(self) -> Self {
        let count = |value: f64| if value.is_finite() { value.max(0.0) } else { 0.0 };
        let judged = count(self.judged);
        Self { completed: count(self.completed).min(judged), judged }
    }

    /// The share of completed plays where `before` is expected and counts like so many plays.
    pub(super) fn mean(self, before: f64, like_plays: f64) -> f64 {
        let all = self.judged + like_plays;
        if all > 0.0 { (self.completed + like_plays * before) / all } else { before }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY_MS: i64 = 86_400_000;

    proptest! {
        #[test]
        fn equals_a_recount_of_all_ends(
            ends in prop::collection::vec(
                (prop::option::of(any::<bool>()), -40i64..40, prop::sample::select(vec![0.05f32, 0.4, 0.5, 1.0])), 0..30
            ),
            later in 40i64..80,
        ) {
            let mut tally = Tally::default();
            let at = |day: i64| 1_700_000_000_000 + day * DAY_MS;
            ends.iter().for_each(|(completed, day, share)| tally.end(*completed, *share, at(*day), 10.0));
            let left = |day: i64| 0.5f64.powf((later - day) as f64 / 10.0);
            let sum = |of: &dyn Fn(bool) -> bool| -> f64 {
                let counted = ends.iter().filter(|(completed, ..)| completed.is_some_and(of));
                counted.map(|(_, day, share)| f64::from(*share) * left(*day)).sum()
            };
            let counts = tally.at(at(later), 10.0);
            prop_assert!((counts.judged - sum(&|_| true)).abs() < 1e-5, "{counts:?}");
            prop_assert!((counts.completed - sum(&|completed| completed)).abs() < 1e-5, "{counts:?}");
            prop_assert_eq!(tally.plays as usize, ends.iter().filter(|(.., share)| *share >= 0.5).count());
        }

        #[test]
        fn absurd_counts_are_none(completed in any::<f64>(), judged in any::<f64>(), as_of_ms in any::<i64>()) {
            let tally = Tally { completed, judged, as_of_ms, ..Tally::default() };
            let counts = tally.at(0, 30.0);
            prop_assert!(0.0 <= counts.completed && counts.completed <= counts.judged && counts.judged.is_finite());
            let mean = counts.mean(0.5, 2.0);
            prop_assert!((0.0..=1.0).contains(&mean));
        }
    }
}
