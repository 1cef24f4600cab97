//! Transitions beside every order of a short list.

use super::*;
use crate::domain::{RequestContext, Track, TrackIx};
use crate::stages::testing::{candidates, context, ranking, track};
use proptest::prelude::*;

/// Artist, and tempo, key with mode, energy and loudness.
type Heard = (u8, Option<f32>, Option<(i8, i8)>, Option<f32>, Option<f32>);

fn heard() -> impl Strategy<Value = Heard> {
    let key = prop::option::of((0i8..12, 0i8..2));
    let energy = prop::option::of(0.0f32..1.0);
    (0u8..4, prop::option::of(60.0f32..180.0), key, energy, prop::option::of(-30.0f32..0.0))
}

fn tracks(heard: &[Heard]) -> Vec<Track> {
    let row = |(row, (artist, tempo, key, energy, loudness)): (usize, &Heard)| {
        let mut track = track(row, &format!("a{artist}"));
        (track.tempo_bpm, track.energy, track.loudness_db) = (*tempo, *energy, *loudness);
        (track.key, track.mode) = (key.map(|k| k.0), key.map(|k| k.1));
        track
    };
    heard.iter().enumerate().map(row).collect()
}

fn rules(beam_width: usize) -> TransitionRules {
    let windows =
        Windows { artist: Rule { most: 1, window: 3 }, album: Rule::OFF, recording: Rule { most: 1, window: 9 } };
    TransitionRules { windows, beam_width, hold: 0.02, rank_order_surfaces: vec!["chart".into()] }
}

/// Orders tracks `0..n`, best first, where the last track of `tracks` sounds.
fn order(tracks: &[Track], n: usize, beam_width: usize, change: impl Fn(&mut RequestContext)) -> (Vec<u32>, Vec<Note>) {
    let mut stage = Transitions::new(Arc::new(Catalogue::new(tracks.to_vec()).unwrap()), rules(beam_width));
    let mut context = context(0.0, 0.0);
    context.knobs.artist_window = 3;
    Arc::make_mut(&mut context.request).current_track = Some(TrackIx(tracks.len() as u32 - 1));
    change(&mut context);
    let mut scores: Vec<f32> = (0..n).map(|row| -(row as f32)).collect();
    let mut order = ranking(&scores);
    stage.rerank(&context, &candidates(n), &mut scores, &mut vec![None; n], &mut order, 100).unwrap();
    (order, stage.notes().to_vec())
}

/// Places in which an order breaks a rule, and what it costs beside, by the definition.
fn cost(list: &[u32], tracks: &[Track]) -> (usize, f32) {
    let all: Vec<&Track> =
        [tracks.last().unwrap()].into_iter().chain(list.iter().map(|at| &tracks[*at as usize])).collect();
    let (mut broken, mut rest) = (0, 0.0);
    for at in 1..all.len() {
        let same = |other: &&&Track| other.artist_id == all[at].artist_id;
        broken += usize::from(all[at.saturating_sub(2)..at].iter().filter(same).count() > 0);
        broken += usize::from(same(&&all[at - 1]));
        rest += Flow::of(all[at - 1]).cost(&Flow::of(all[at]));
        rest += 0.02 * (list[at - 1] as usize).abs_diff(at - 1) as f32;
    }
    (broken, rest)
}

/// Every order of `0..n`.
fn orders(n: u32) -> Vec<Vec<u32>> {
    if n == 0 {
        return vec![vec![]];
    }
    let longer = |list: Vec<u32>| {
        (0..=list.len()).map(move |at| [&list[..at], &[n - 1], &list[at..]].concat()).collect::<Vec<_>>()
    };
    orders(n - 1).into_iter().flat_map(longer).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_wide_beam_finds_the_best_of_all_orders(heard in prop::collection::vec(heard(), 3..8)) {
        let tracks = tracks(&heard);
        let n = tracks.len() - 1;
        let (list, _) = order(&tracks, n, 720, |_| {});
        let best = orders(n as u32).iter().map(|list| cost(list, &tracks)).min_by(|a, b| a.partial_cmp(b).unwrap()).unwrap();
        let found = cost(&list, &tracks);
        prop_assert!(found.0 == best.0 && (found.1 - best.1).abs() < 1e-4, "{found:?}, best {best:?}");
    }

    #[test]
    fn the_default_beam_is_never_dearer_than_rank_order(heard in prop::collection::vec(heard(), 2..60)) {
        let tracks = tracks(&heard);
        let n = tracks.len() - 1;
        let (mut list, notes) = order(&tracks, n, 8, |_| {});
        let (found, given) = (cost(&list, &tracks), cost(&(0..n as u32).collect::<Vec<_>>(), &tracks));
        prop_assert!(found.0 < given.0 || found.0 == given.0 && found.1 <= given.1 + 1e-4, "{found:?}, given {given:?}");
        if let [before, after] = notes[..] {
            prop_assert!(found.0 < given.0 || after.value <= before.value + 1e-4);
        }
        list.sort_unstable();
        prop_assert!(list.iter().copied().eq(0..n as u32));
    }
}

#[test]
fn goes_on_from_what_sounds() {
    let heard =
        [(0, Some(100.0), None, None, None), (1, Some(110.0), None, None, None), (2, Some(120.0), None, None, None)];
    let mut tracks = tracks(&heard);
    tracks.push(Track { tempo_bpm: Some(60.5), ..track(3, "z") });
    let hard = |tracks: &[Track]| order(tracks, 3, 8, |_| {}).0;
    assert_eq!(hard(&tracks), [2, 1, 0], "120 is twice 60");
    tracks[3].tempo_bpm = Some(98.0);
    assert_eq!(hard(&tracks), [0, 1, 2]);
}

#[test]
fn some_lists_stay() {
    let heard =
        [(0, Some(60.0), None, None, None), (1, Some(100.0), None, None, None), (2, Some(62.0), None, None, None)];
    let mut tracks = tracks(&heard);
    tracks.push(Track { tempo_bpm: Some(61.0), ..track(3, "z") });
    let ordered = |change: fn(&mut RequestContext)| order(&tracks, 3, 8, change);
    assert_eq!(ordered(|_| {}).0, [0, 2, 1]);
    assert_eq!(ordered(|c| Arc::make_mut(&mut c.request).surface = Some("radio".into())).0, [0, 2, 1]);
    let stays = (vec![0, 1, 2], vec![]);
    assert_eq!(ordered(|c| Arc::make_mut(&mut c.request).surface = Some("chart".into())), stays);
    assert_eq!(ordered(|c| Arc::make_mut(&mut c.request).candidates = Some(vec![])), stays);
}
