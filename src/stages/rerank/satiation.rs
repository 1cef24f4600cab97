//! What the listener has heard lately waits: a play tires of its track, and the tiredness wears off.

use crate::config::SatiationConfig;
use crate::domain::{CandidateSet, RequestContext, TrackIx, UserProfile};
use crate::features::affinity::halve;
use crate::pipeline::{Note, Reranker, StageError};

/// The note: candidates that lose at least a hundredth of what they can.
const SATED: &str = "sated";
/// From where on a candidate counts as sated.
const NOTICEABLE: f32 = 0.01;
/// Plays without a completion that every track is thought to have, so that one completed play makes no favourite.
const DOUBT: f32 = 2.0;
/// Completions that a like counts like.
const LIKE: f32 = 2.0;
/// Milliseconds of an hour.
const HOUR_MS: f32 = 3_600_000.0;

/// Subtracts `strength * satiation` from each score and sorts again, with satiation in 0..1 (`satiation`). A listener
/// without history changes nothing. `O(n log tracks + heard candidates * recent plays)`.
#[derive(Debug)]
pub struct Satiation {
    config: SatiationConfig,
    notes: Vec<Note>,
}

impl Satiation {
    /// With this curve.
    pub fn new(config: SatiationConfig) -> Self {
        Self { config, notes: Vec::new() }
    }
}

impl Reranker for Satiation {
    fn name(&self) -> &'static str {
        "satiation"
    }

    fn rerank(
        &mut self,
        context: &RequestContext,
        candidates: &CandidateSet,
        list_scores: &mut [f32],
        _propensity: &mut [Option<f32>],
        order: &mut Vec<u32>,
        _limit: usize,
    ) -> Result<(), StageError> {
        self.notes.clear();
        if context.request.candidates.is_some() || context.profile.tracks.is_empty() {
            return Ok(());
        }
        let mut sated = 0;
        for (score, track) in list_scores.iter_mut().zip(&candidates.tracks) {
            let satiation = satiation(&context.profile, *track, context.request.now_ms, &self.config);
            *score -= self.config.strength * satiation;
            sated += usize::from(satiation >= NOTICEABLE);
        }
        if sated > 0 {
            self.notes.push(Note { note: SATED, value: sated as f32 });
        }
        candidates.sort_rows(order, list_scores);
        Ok(())
    }

    fn notes(&self) -> &[Note] {
        &self.notes
    }
}

/// How tired of a track its listener is, 0..1: `1 - 2^(-m)`, where `m` counts the plays that the profile remembers one by
/// one (its recent ones, and the latest of the track), each halved for every half-life since. The half-life is
/// `half_life_h`, shortened down to its part `favourite` by how much of a favourite the track is: completed plays, a like as
/// two, over plays and two.
///
/// A play just now is at least a half, so nothing comes at once; every play wears off, so nothing is gone for good.
fn satiation(profile: &UserProfile, track: TrackIx, now_ms: i64, config: &SatiationConfig) -> f32 {
    let Some(history) = profile.track(track).filter(|history| history.plays > 0) else { return 0.0 };
    let liked = if history.liked { LIKE } else { 0.0 };
    let favour = ((history.completes as f32 + liked) / (history.plays as f32 + DOUBT)).min(1.0);
    let half_life_ms = config.half_life_h * HOUR_MS * (1.0 - favour * (1.0 - config.favourite));
    let left = |played_ms: i64| halve(now_ms.saturating_sub(played_ms), half_life_ms);
    let plays = || profile.recent.iter().filter(|play| play.track == track).map(|play| play.ts_ms);
    // Skipped plays are not among the recent ones, and old ones have left them.
    let latest = if plays().any(|ms| ms == history.last_ms) { 0.0 } else { left(history.last_ms) };
    1.0 - (-(latest + plays().map(left).sum::<f32>())).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Play, TrackHistory};
    use crate::stages::testing::{context, ranking, rerank};
    use proptest::prelude::*;
    use std::sync::Arc;

    const HOUR: i64 = 3_600_000;

    /// A profile of these plays: track, hours after 0, whether completed; tracks 0 and 3 are liked.
    fn profile(plays: &[(u32, i64, bool)]) -> UserProfile {
        let mut profile = UserProfile::default();
        for (track, hour, completed) in plays {
            let (track, ts_ms) = (TrackIx(*track), hour * HOUR);
            let at = profile.tracks.binary_search_by_key(&track, |h| h.track).unwrap_or_else(|at| {
                let liked = track.0.is_multiple_of(3);
                profile.tracks.insert(at, TrackHistory { track, plays: 0, completes: 0, last_ms: 0, liked });
                at
            });
            let history = &mut profile.tracks[at];
            (history.plays, history.completes) = (history.plays + 1, history.completes + u32::from(*completed));
            history.last_ms = history.last_ms.max(ts_ms);
            if *completed {
                profile.recent.push(Play { track, signal: 1.0, played_fraction: 1.0, ts_ms, liked: false });
            }
        }
        profile
    }

    fn at(profile: &UserProfile, track: u32, hour: i64) -> f32 {
        satiation(profile, TrackIx(track), hour * HOUR, &SatiationConfig::default())
    }

    /// From the plays themselves, in twice the precision.
    fn naive(plays: &[(u32, i64, bool)], track: u32, now: i64) -> f64 {
        let own: Vec<_> = plays.iter().filter(|play| play.0 == track).collect();
        let completed = own.iter().filter(|play| play.2).count() as f64;
        let liked = if track.is_multiple_of(3) && !own.is_empty() { 2.0 } else { 0.0 };
        let favour = ((completed + liked) / (own.len() as f64 + 2.0)).min(1.0);
        let half_life = 24.0 - favour * 18.0;
        let left = |hour: i64| 0.5f64.powf((now - hour).max(0) as f64 / half_life);
        let last = own.iter().map(|play| play.1).max();
        let known = own.iter().filter(|play| play.2);
        let lone = last.filter(|last| !known.clone().any(|play| play.1 == *last));
        1.0 - 0.5f64.powf(known.map(|play| left(play.1)).sum::<f64>() + lone.map_or(0.0, left))
    }

    fn plays() -> impl Strategy<Value = Vec<(u32, i64, bool)>> {
        prop::collection::vec((0u32..5, 0i64..200, any::<bool>()), 0..20)
    }

    proptest! {
        #[test]
        fn equals_the_formula_over_the_plays(plays in plays(), now in 0i64..400) {
            let profile = profile(&plays);
            for track in 0..6 {
                prop_assert!((f64::from(at(&profile, track, now)) - naive(&plays, track, now)).abs() < 1e-5);
            }
        }

        /// Neither "always" nor "never again".
        #[test]
        fn a_play_tires_at_once_and_wears_off_for_good(plays in plays(), hours in 0i64..2_000) {
            let profile = profile(&plays);
            for history in &profile.tracks {
                let (track, last) = (history.track.0, history.last_ms / HOUR);
                let then = at(&profile, track, last + hours);
                prop_assert!((0.0..=1.0).contains(&then) && at(&profile, track, last + hours + 1) <= then);
                prop_assert!(at(&profile, track, last) >= 0.5 - 1e-6);
                prop_assert!(at(&profile, track, last + 24 * 60) < 1e-4);
            }
            prop_assert_eq!(at(&profile, 9, hours), 0.0);
        }

        #[test]
        fn only_lowers_by_at_most_its_strength(plays in plays(), scores in prop::collection::vec(-1.0f32..1.0, 0..8)) {
            let mut context = context(0.0, 0.0);
            context.profile = Arc::new(profile(&plays));
            let mut stage = Satiation::new(SatiationConfig::default());
            let (order, lowered) = rerank(&mut stage, &context, &scores, 10);
            prop_assert!(scores.iter().zip(&lowered).all(|(was, is)| (-1e-6..=0.2 + 1e-6).contains(&(was - is))));
            prop_assert_eq!(order, ranking(&lowered));
            let told = stage.notes().first().map_or(0.0, |note| note.value) as usize;
            let changed = scores.iter().zip(&lowered).filter(|(was, is)| was != is).count();
            prop_assert!(told <= scores.len() && (told == 0 || changed > 0));
        }
    }

    #[test]
    fn a_favourite_returns_sooner_and_a_repeat_tires_more() {
        let favourite: Vec<_> = (0..10).map(|week| (1, week * 168, true)).collect();
        let others = [(2, 9 * 168, false), (4, 9 * 168 - 1, true), (4, 9 * 168, true)];
        let profile = profile(&[&favourite[..], &others].concat());
        let [now, tomorrow] = [0, 24].map(|hours| 9 * 168 + hours);
        assert!((at(&profile, 1, now) - 0.5).abs() < 0.01, "once is once, whatever was weeks ago");
        assert!(at(&profile, 4, now) > 0.7, "twice in an hour");
        assert!(
            at(&profile, 1, tomorrow) < 0.5 * at(&profile, 2, tomorrow),
            "what was always completed is fresh again"
        );
        let mut liked = profile.clone();
        liked.tracks.iter_mut().for_each(|history| history.liked = true);
        assert!(at(&liked, 2, tomorrow) < at(&profile, 2, tomorrow), "so is what was liked");
    }

    #[test]
    fn a_like_without_a_play_tires_of_nothing() {
        let history = TrackHistory { track: TrackIx(0), plays: 0, completes: 0, last_ms: 0, liked: true };
        assert_eq!(at(&UserProfile { tracks: vec![history], ..UserProfile::default() }, 0, 0), 0.0);
    }
}
