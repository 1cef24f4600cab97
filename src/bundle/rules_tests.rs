//! Counting rules against their definition: for each pair of tracks, look at every pair of plays.

use super::*;
use crate::domain::EventType;
use crate::features::testing::event;
use proptest::prelude::*;

const TRACKS: usize = 6;
const NOW_MS: i64 = 400 * DAY_MS;

/// A play: session, track, time.
type Played = (usize, u32, i64);

fn counted(plays: &[Played]) -> SequentialRules {
    let mut counter = RuleCounter::default();
    for (session, track, ts_ms) in plays {
        let ended = event("e", "u", &format!("s{session}"), EventType::PlayEnd, None, *ts_ms);
        counter.play(&ended, TrackIx(*track));
    }
    counter.rules(TRACKS, NOW_MS).unwrap()
}

/// Weight of `to` around `from`: right after it, after it, before it.
fn plain(plays: &[Played], from: u32, to: u32) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for session in 0..3 {
        let own: Vec<_> = plays.iter().filter(|play| play.0 == session).collect();
        for (a, first) in own.iter().enumerate() {
            for (b, second) in own.iter().enumerate().skip(a + 1).take(10) {
                let weight = 0.5f64.powf((NOW_MS - second.2) as f64 / (60.0 * DAY_MS as f64));
                let near = weight / (b - a) as f64;
                if (first.1, second.1) == (from, to) {
                    sums[0] += if b == a + 1 { weight } else { 0.0 };
                    sums[1] += near;
                }
                if (second.1, first.1) == (from, to) {
                    sums[2] += near;
                }
            }
        }
    }
    sums
}

proptest! {
    #[test]
    fn equals_looking_at_every_pair_of_plays(
        rows in prop::collection::vec((0usize..3, 0..TRACKS as u32, 0i64..5 * DAY_MS), 0..60)
    ) {
        let mut now = 0;
        let plays: Vec<Played> = rows.into_iter().map(|(s, t, gap)| { now += gap; (s, t, now) }).collect();
        let rules = counted(&plays);
        for from in 0..TRACKS as u32 {
            let sums: Vec<_> = (0..TRACKS as u32).map(|to| plain(&plays, from, to)).collect();
            let total = |part: fn(&[f64; 3]) -> f64| sums.iter().map(part).sum::<f64>() + 2.0;
            let totals = [total(|s| s[0]), total(|s| s[1]), total(|s| s[1] + s[2])];
            for (to, sums) in sums.iter().enumerate() {
                let expected = [sums[0] / totals[0], sums[1] / totals[1], (sums[1] + sums[2]) / totals[2]];
                let got = rules.find(TrackIx(from), TrackIx(to as u32));
                prop_assert_eq!(got.is_some(), sums[1] + sums[2] > 0.0);
                let got = got.map_or([0.0; 3], |rule| [rule.next, rule.after, rule.near]);
                for (got, expected) in got.into_iter().zip(expected) {
                    prop_assert!((f64::from(got) - expected).abs() < 1e-5, "{from} -> {to}: {got} {expected}");
                }
            }
        }
    }

    #[test]
    fn summing_up_between_plays_changes_nothing(
        rows in prop::collection::vec((0usize..3, 0..TRACKS as u32), 0..40), every in 1usize..9,
    ) {
        let plays: Vec<Played> = rows.iter().enumerate().map(|(at, (s, t))| (*s, *t, at as i64 * DAY_MS)).collect();
        let mut counter = RuleCounter::default();
        for (at, (session, track, ts_ms)) in plays.iter().enumerate() {
            counter.play(&event("e", "u", &format!("s{session}"), EventType::PlayEnd, None, *ts_ms), TrackIx(*track));
            if at % every == 0 {
                counter.add_up();
            }
        }
        let (rules, whole) = (counter.rules(TRACKS, NOW_MS).unwrap(), counted(&plays));
        prop_assert_eq!((rules.starts(), rules.rules()), (whole.starts(), whole.rules()));
    }
}

#[test]
fn the_heaviest_pairs_stay_in_the_order_of_tracks() {
    let pair = |from, to, after| Pair { from, to, next: 0.0, after, before: 0.0 };
    let mut pairs = vec![pair(0, 1, 3.0), pair(0, 2, 1.0), pair(0, 4, 2.0), pair(1, 0, 1.0)];
    thin(&mut pairs, 2);
    assert_eq!(pairs.iter().map(|p| (p.from, p.to)).collect::<Vec<_>>(), [(0, 1), (0, 4), (1, 0)]);
}

#[test]
fn no_plays_make_no_rules_and_a_foreign_track_is_refused() {
    assert_eq!(counted(&[]).tracks(), TRACKS);
    assert!(counted(&[]).rules().is_empty());
    let mut counter = RuleCounter::default();
    for (track, ts_ms) in [(0, 1), (9, 2)] {
        counter.play(&event("e", "u", "s", EventType::PlayEnd, None, ts_ms), TrackIx(track));
    }
    assert!(counter.rules(TRACKS, 3).map(|_| ()).unwrap_err().contains("track 9"));
}
