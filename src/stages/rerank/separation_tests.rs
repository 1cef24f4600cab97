//! Separation beside brute force: every list of a small pool.

use super::*;
use crate::domain::{Track, TrackIx};
use crate::stages::rerank::windows::NONE;
use crate::stages::rerank::windows::tests::rule;
use crate::stages::testing::{candidates, context, ranking, track};
use proptest::prelude::*;

/// Artist, album and recording of one track.
type Kind = (u8, Option<u8>, u8);

fn named(row: usize, (artist, album, recording): Kind) -> Track {
    let (album_id, recording_id) = (album.map(|a| format!("l{a}")), Some(format!("r{recording}")));
    Track { album_id, recording_id, ..track(row, &format!("a{artist}")) }
}

/// Separates tracks `0..pool.len()`, best first, while `heard` (one track or none) sounds. Gives the list and the notes.
fn separate(pool: &[Kind], heard: &[Kind], windows: Windows, limit: usize) -> (Vec<u32>, Vec<Note>) {
    let tracks = pool.iter().chain(heard).enumerate().map(|(row, kind)| named(row, *kind)).collect();
    let mut stage = Separation::new(Arc::new(Catalogue::new(tracks).unwrap()), windows);
    let mut context = context(0.0, 0.0);
    context.knobs.artist_window = windows.artist.window;
    Arc::make_mut(&mut context.request).current_track = heard.last().map(|_| TrackIx(pool.len() as u32));
    let mut scores: Vec<f32> = (0..pool.len()).map(|row| -(row as f32)).collect();
    let mut propensity = vec![None; pool.len()];
    let mut order = ranking(&scores);
    let candidates = candidates(pool.len());
    stage.rerank(&context, &candidates, &mut scores, &mut propensity, &mut order, limit).unwrap();
    (order, stage.notes().to_vec())
}

/// In how many places of a list `kind` stands once too often, by the definition of a rule.
fn breaks<K: PartialEq>(
    list: &[u32],
    pool: &[Kind],
    heard: &[Kind],
    rule: Rule,
    kind: fn(&Kind) -> Option<K>,
) -> usize {
    let all: Vec<&Kind> = heard.iter().chain(list.iter().map(|row| &pool[*row as usize])).collect();
    let breaks = |at: &usize| {
        let window = &all[(at + 1).saturating_sub(rule.window)..=*at];
        let own = kind(all[*at]);
        own.is_some() && window.iter().filter(|other| kind(other) == own).count() > rule.most
    };
    (heard.len()..all.len()).filter(breaks).count()
}

fn artist(kind: &Kind) -> Option<u8> {
    Some(kind.0)
}

fn album(kind: &Kind) -> Option<u8> {
    kind.1
}

fn recording(kind: &Kind) -> Option<u8> {
    Some(kind.2)
}

/// Every ordered choice of `k` rows out of `n`.
fn arrangements(n: u32, k: usize) -> Vec<Vec<u32>> {
    if k == 0 {
        return vec![vec![]];
    }
    let longer = |list: Vec<u32>| {
        let rows = (0..n).filter(|row| !list.contains(row)).collect::<Vec<_>>();
        rows.into_iter().map(move |row| list.iter().copied().chain([row]).collect())
    };
    arrangements(n, k - 1).into_iter().flat_map(longer).collect()
}

fn kinds(most: usize) -> impl Strategy<Value = Vec<Kind>> {
    prop::collection::vec((0u8..3, prop::option::of(0u8..3), 0u8..12), 0..most)
}

fn windows() -> impl Strategy<Value = Windows> {
    let one = (1usize..6).prop_map(|window| Rule { most: 1, window });
    (rule(), rule(), one).prop_map(|(artist, album, recording)| Windows { artist, album, recording })
}

fn noted(notes: &[Note], what: &str) -> usize {
    notes.iter().find(|note| note.note == what).map_or(0, |note| note.value as usize)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// As long as recordings permit; windows hold where any list of that length holds them; where none does, those of
    /// artists hold where any holds them; the notes say what does not.
    #[test]
    fn windows_hold_whenever_they_can(
        pool in kinds(7), heard in kinds(2), windows in windows(), limit in 1usize..7,
    ) {
        let (list, notes) = separate(&pool, &heard, windows, limit);
        let legal = |list: &Vec<u32>| breaks(list, &pool, &[], windows.recording, recording) == 0;
        let wanted = limit.min(pool.len());
        let all = (0..=wanted).rev().map(|k| arrangements(pool.len() as u32, k));
        let all: Vec<_> = all.map(|lists| lists.into_iter().filter(legal).collect::<Vec<_>>()).find(|l| !l.is_empty()).unwrap();
        prop_assert!(all.contains(&list), "{list:?} is not among the longest legal lists");
        let broken = |list: &Vec<u32>| {
            (breaks(list, &pool, &heard, windows.artist, artist), breaks(list, &pool, &heard, windows.album, album))
        };
        let found = broken(&list);
        prop_assert!(found == (0, 0) || all.iter().all(|other| broken(other) != (0, 0)), "all could hold");
        prop_assert!(found.0 == 0 || all.iter().all(|other| broken(other).0 > 0), "artists could hold");
        prop_assert_eq!(found, (noted(&notes, ARTIST), noted(&notes, ALBUM)));
        prop_assert_eq!(wanted - list.len(), noted(&notes, SHORT));
    }

    /// A search finds a list exactly where there is one, whatever was heard before it.
    #[test]
    fn a_search_finds_what_there_is(
        pool in kinds(6), heard in kinds(5), windows in windows(), len in 0usize..6, strict in any::<bool>(),
    ) {
        let groups = |kinds: &[Kind], list: bool| -> Vec<Groups> {
            let group = |(artist, album, recording): &Kind| Groups {
                artist: u32::from(*artist),
                album: album.map_or(NONE, u32::from),
                recording: if list { u32::from(*recording) } else { NONE },
            };
            kinds.iter().map(group).collect()
        };
        let keep = if strict { Keep::All } else { Keep::Artists };
        let legal = |list: &Vec<u32>| {
            breaks(list, &pool, &[], windows.recording, recording) == 0
                && breaks(list, &pool, &heard, windows.artist, artist) == 0
                && (!strict || breaks(list, &pool, &heard, windows.album, album) == 0)
        };
        let mut search = Search::default();
        let found = search.run(&windows, &groups(&heard, false), &groups(&pool, true), len, keep).map(<[u32]>::to_vec);
        let exists = len <= pool.len() && arrangements(pool.len() as u32, len).iter().any(legal);
        prop_assert_eq!(found.is_some(), exists);
        prop_assert!(found.is_none_or(|list| list.len() == len && legal(&list)));
    }

    /// Where the best candidate for each place that breaks nothing fills the list, that is the list.
    #[test]
    fn the_best_come_first(pool in kinds(60), heard in kinds(2), windows in windows(), limit in 1usize..12) {
        let mut list: Vec<u32> = vec![];
        while list.len() < limit.min(pool.len()) {
            let holds = |row: &u32| {
                let longer = [&list[..], &[*row]].concat();
                !list.contains(row) && breaks(&longer, &pool, &[], windows.recording, recording) == 0
                    && breaks(&longer, &pool, &heard, windows.artist, artist) == 0
                    && breaks(&longer, &pool, &heard, windows.album, album) == 0
            };
            let Some(best) = (0..pool.len() as u32).find(holds) else { return Ok(()) };
            list.push(best);
        }
        prop_assert_eq!(separate(&pool, &heard, windows, limit), (list, vec![]));
    }

    /// Nothing is lost or repeated in pools of any size, and a pool that needs them is searched within its bound.
    #[test]
    fn large_pools_fill_the_list(artists in 1u8..20, rows in 1usize..250, limit in 1usize..100, skew in 1u32..4) {
        let artist = |row: usize| ((row as u32 * 7919 % 1000).pow(skew) as usize * usize::from(artists) / 1000usize.pow(skew)) as u8;
        let pool: Vec<Kind> = (0..rows).map(|row| (artist(row), Some(artist(row)), (row % 250) as u8)).collect();
        let windows = Windows {
            artist: Rule { most: 1, window: 4 }, album: Rule { most: 1, window: 8 }, recording: Rule { most: 1, window: 100 },
        };
        let (mut list, notes) = separate(&pool, &[], windows, limit);
        prop_assert_eq!(list.len(), limit.min(rows));
        let found = breaks(&list, &pool, &[], windows.artist, |kind| Some(kind.0));
        prop_assert_eq!(found, noted(&notes, ARTIST));
        list.sort_unstable();
        list.dedup();
        prop_assert_eq!(list.len(), limit.min(rows));
    }
}

const ARTISTS_APART: Windows = Windows { artist: Rule { most: 1, window: 2 }, album: Rule::OFF, recording: Rule::OFF };

#[test]
fn a_corner_is_seen_ahead() {
    // The best first would be b, a, and then a twice in a row.
    let pool = [(1, None, 0), (0, None, 1), (0, None, 2)];
    assert_eq!(separate(&pool, &[], ARTISTS_APART, 3), (vec![1, 0, 2], vec![]));
    // Of twenty tracks ten are by one artist and come last: one in two from the start, though the others are better.
    let pool: Vec<Kind> = (0..20).map(|row| (if row < 10 { row + 1 } else { 0 }, None, row)).collect();
    let (list, notes) = separate(&pool, &[], ARTISTS_APART, 20);
    assert_eq!((breaks(&list, &pool, &[], ARTISTS_APART.artist, artist), notes), (0, vec![]));
}

#[test]
fn albums_give_way_before_artists() {
    // Two artists with one album each: the album's window of three cannot hold, the artist's of two can.
    let pool = [(0, Some(0), 0), (0, Some(0), 1), (1, Some(1), 2), (1, Some(1), 3)];
    let windows = Windows { album: Rule { most: 1, window: 3 }, ..ARTISTS_APART };
    let (list, notes) = separate(&pool, &[], windows, 4);
    assert_eq!(list, [0, 2, 1, 3]);
    assert_eq!(notes, [Note { note: ALBUM, value: 2.0 }]);
    let (list, notes) = separate(&pool[..2], &[], windows, 4);
    assert_eq!((list, notes.len()), (vec![0, 1], 2), "both gave way");
}

#[test]
fn the_callers_own_list_stays() {
    let mut context = context(0.0, 0.0);
    Arc::make_mut(&mut context.request).candidates = Some(vec![TrackIx(0)]);
    let tracks = vec![track(0, "a"), track(1, "a"), track(2, "b")];
    let mut stage = Separation::new(Arc::new(Catalogue::new(tracks).unwrap()), ARTISTS_APART);
    assert_eq!(crate::stages::testing::rerank(&mut stage, &context, &[0.3, 0.2, 0.1], 3).0, [0, 1, 2]);
}
