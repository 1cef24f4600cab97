//! The assembler against each column's definition, computed the slow way.

use super::*;
use crate::config::SignalConfig;
use crate::domain::{Affinity, ArtistIx, GenreIx, Knobs, Play, Rule, SessionState, TrackHistory, UserProfile};
use crate::features::schema::CROSS;
use crate::features::testing::{catalogue, random_events, request, vectors};
use crate::features::{Antecedents, Reducer, anchor};
use proptest::prelude::*;

const HALF_LIFE: f32 = 60.0;

fn assembler() -> Assembler {
    let catalogue = Arc::new(catalogue());
    let plays: Vec<f32> = (0..12u8).map(f32::from).collect();
    let swedish: Vec<f32> = plays.iter().rev().copied().collect();
    let popularity = Popularity::new(&catalogue, &plays, vec![("SE".into(), swedish)]);
    let rule = |from: u32, to: u32| Rule {
        successor: TrackIx(to),
        next: (from * to) as f32 / 200.0,
        after: to as f32 / 40.0,
        near: from as f32 / 30.0,
    };
    let lists: Vec<Vec<_>> =
        (0..12).map(|from| (0..12).step_by(from as usize + 1).map(|to| rule(from, to)).collect()).collect();
    let rules = Arc::new(SequentialRules::new(&lists).unwrap());
    Assembler::new(catalogue, Arc::new(vectors(12)), Arc::new(popularity), rules, 19_010, HALF_LIFE)
}

fn context_after(assembler: &Assembler, events: &[crate::domain::Event], market: Option<&str>) -> RequestContext {
    let config = SignalConfig::default();
    let rules = Reducer { catalogue: &assembler.catalogue, vectors: Some(&assembler.vectors), config: &config };
    let (mut session, mut profile) = (SessionState::default(), UserProfile::default());
    events.iter().for_each(|event| drop(rules.apply(&mut session, &mut profile, event)));
    let mut request = request("u", session.last_ms + 3_600_000);
    request.market = market.map(str::to_owned);
    let mut context = RequestContext::new(Arc::new(request), Knobs::default());
    (context.session, context.profile) = (Arc::new(session), Arc::new(profile));
    context
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let sum = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(p, q)| f64::from(*p) * f64::from(*q)).sum::<f64>();
    let length = sum(a, a).sqrt();
    if a.is_empty() || length < 1e-6 { 0.0 } else { sum(a, b) / length }
}

/// One cross column by name, straight from its meaning.
fn slow(a: &Assembler, cx: &RequestContext, user_vector: &[f32], name: &str, track: TrackIx) -> f64 {
    let (c, item, session, profile) = (&a.catalogue, a.vectors.row(track.at()), &cx.session, &cx.profile);
    let (artist, genre) = (c.artist_of(track), c.genre_of(track));
    let facts = c.track(track);
    let by = |x: TrackIx| c.track(x).artist_id == facts.artist_id;
    let share = |test: &dyn Fn(TrackIx) -> bool| {
        let n = session.window.iter().filter(|p| test(p.track)).count();
        n as f64 / session.window.len().max(1) as f64
    };
    let days = |ms: i64| (cx.request.now_ms - ms) as f64 / 86_400_000.0;
    let market = cx.request.market.as_deref().and_then(|m| a.popularity.market(m));
    let history = profile.tracks.iter().find(|h| h.track == track);
    let last = anchor(cx);
    let answer = |yes: bool| f64::from(u8::from(yes));
    match name {
        "user_similarity" => cosine(item, user_vector),
        "current_similarity" => last.map_or(0.0, |l| cosine(a.vectors.row(l.at()), item)),
        "liked_similarity" => cosine(&session.liked_direction, item),
        "skipped_similarity" => cosine(&session.skipped_direction, item),
        "artist_affinity" => {
            let left = 2f64.powf(-days(profile.artists.as_of_ms) / f64::from(HALF_LIFE));
            let w = f64::from(profile.artists.get(artist)) * left;
            w / (1.0 + w)
        }
        "genre_affinity" => {
            let all: f64 = profile.genres.entries.iter().map(|e| f64::from(e.1)).sum();
            if all > 0.0 { f64::from(profile.genres.get(genre)) / all } else { 0.0 }
        }
        "artist_session_share" => share(&by),
        "genre_session_share" => share(&|x| facts.genre.is_some() && c.track(x).genre == facts.genre),
        "artist_penalty" => session.artist_penalty.iter().find(|p| p.0 == artist).map_or(0.0, |p| f64::from(p.1)),
        "same_artist" => answer(last.is_some_and(by)),
        "same_album" => answer(last.is_some_and(|l| facts.album_id.is_some() && c.track(l).album_id == facts.album_id)),
        "track_plays_log" => history.map_or(0.0, |h| (1.0 + f64::from(h.plays)).ln() / 4.0),
        "track_recency" => history.filter(|h| h.plays > 0).map_or(0.0, |h| 1.0 / (1.0 + days(h.last_ms))),
        "track_liked" => answer(history.is_some_and(|h| h.liked)),
        "in_session" => answer(session.window.iter().chain(&session.current).any(|p| p.track == track)),
        "tempo_gap" => match facts.tempo_bpm {
            Some(bpm) if session.tempo.0 > 0.0 => f64::from((bpm - session.tempo.1).abs()) / 60.0,
            _ => 0.0,
        },
        "energy_gap" => match facts.energy {
            Some(energy) if session.energy.0 > 0.0 => f64::from((energy - session.energy.1).abs()),
            _ => 0.0,
        },
        "market_popularity" => f64::from(market.map_or(a.popularity.score[track.at()], |m| m.score[track.at()])),
        "market_rank" => {
            let top = market.map_or(&a.popularity.top, |m| &m.top);
            top.iter().position(|t| *t == track).map_or(0.0, |at| 1.0 / (at + 1) as f64)
        }
        other => slow_order(a, cx, other, track),
    }
}

/// The columns of what follows what.
fn slow_order(a: &Assembler, cx: &RequestContext, name: &str, track: TrackIx) -> f64 {
    let (session, profile) = (&cx.session, &cx.profile);
    match name {
        "rule_next" | "rule_after" | "rule_near" => {
            let antecedents = Antecedents::of(cx);
            let sums = antecedents.as_slice().iter().enumerate().map(|(at, (from, weight))| {
                let rule = a.rules.of(*from).find(|rule| rule.successor == track);
                let share = rule.map_or(0.0, |rule| match name {
                    "rule_next" if at > 0 => 0.0,
                    "rule_next" => rule.next,
                    "rule_after" => weight * rule.after,
                    _ => weight * rule.near,
                });
                f64::from(share)
            });
            (1.0 + 1_000.0 * sums.sum::<f64>()).ln() / 7.0
        }
        "own_next" => {
            let plays = &profile.recent;
            let follows = |(at, gap): (usize, usize)| {
                let pair = plays.get(at + gap).is_some_and(|play| play.track == track);
                if Some(plays[at].track) == Antecedents::of(cx).latest() && pair { 1.0 / gap as f64 } else { 0.0 }
            };
            let places = (0..plays.len()).flat_map(|at| (1..4).map(move |gap| (at, gap)));
            let w: f64 = places.map(follows).sum();
            w / (1.0 + w)
        }
        "session_gap" => {
            let gap = session.window.iter().rev().position(|p| p.track == track);
            gap.map_or(0.0, |gap| 1.0 / (gap + 1) as f64)
        }
        other => panic!("no definition of {other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_cross_column_equals_its_definition(
        events in random_events(70), market in prop::sample::select(vec![None, Some("SE"), Some("XX")]),
    ) {
        let assembler = assembler();
        let context = context_after(&assembler, &events, market);
        let tracks: Vec<_> = (0..12).rev().map(TrackIx).collect();
        let user_vector = assembler.vectors.row(5).to_vec();
        let (mut items, mut cross) = (Vec::new(), Vec::new());
        assembler.candidates(&context, &tracks, &user_vector, &mut items, &mut cross);
        prop_assert_eq!((items.len(), cross.len()), (12 * (ITEM_LEN + 3), 12 * CROSS_LEN));
        for (row, track) in tracks.iter().enumerate() {
            let item = &items[row * (ITEM_LEN + 3)..][..ITEM_LEN + 3];
            prop_assert_eq!(&item[..ITEM_LEN], assembler.items().row(*track));
            prop_assert_eq!(&item[ITEM_LEN..], assembler.vectors.row(track.at()));
            for (at, column) in CROSS.iter().enumerate() {
                let (got, expected) =
                    (f64::from(cross[row * CROSS_LEN + at]), slow(&assembler, &context, &user_vector, column.name, *track));
                prop_assert!((got - expected).abs() < 1e-4, "{} of {track:?}: {got} is not {expected}", column.name);
            }
        }
    }

    #[test]
    fn everything_is_finite_on_any_state(
        now in any::<i64>(), then in any::<i64>(), plays in any::<u32>(), track in any::<u32>(),
        wild in prop::sample::select(vec![0.0, -1.0, f32::MAX, f32::MIN_POSITIVE, f32::INFINITY, f32::NAN]),
    ) {
        let assembler = assembler();
        let play = Play { track: TrackIx(track), signal: wild, played_fraction: wild, ts_ms: then, liked: true };
        let mut context = RequestContext::new(Arc::new(request("u", now)), Knobs::default());
        context.session = Arc::new(SessionState {
            window: vec![play; 60], current: Some(play), liked_direction: vec![wild; 3], skipped_direction: vec![wild; 2],
            artist_penalty: vec![(ArtistIx(0), wild)], tempo: (1.0, wild, wild), ..SessionState::default()
        });
        context.profile = Arc::new(UserProfile {
            recent: vec![play; 50],
            artists: Affinity { entries: vec![(ArtistIx(0), wild)], as_of_ms: then },
            genres: Affinity { entries: vec![(GenreIx(0), wild)], as_of_ms: then },
            tracks: vec![TrackHistory { track: TrackIx(0), plays, completes: plays, last_ms: then, liked: false }],
            ..UserProfile::default()
        });
        let (mut items, mut cross, mut user, mut history) = (vec![], vec![], vec![], History::default());
        assembler.user(&context, &mut user);
        assembler.history(&context, &mut history);
        assembler.candidates(&context, &[TrackIx(0), TrackIx(1)], &[wild; 3], &mut items, &mut cross);
        let all = items.iter().chain(&cross).chain(&user).chain(&history.signals).chain(&history.vectors);
        prop_assert!(all.clone().all(|v| v.is_finite()));
    }
}

#[test]
fn buffers_stop_growing() {
    let assembler = assembler();
    let context = context_after(&assembler, &[], None);
    let tracks = [TrackIx(0), TrackIx(1)];
    let (mut items, mut cross, mut user, mut history) = (vec![], vec![], vec![], History::default());
    let mut sizes = Vec::new();
    for _ in 0..3 {
        assembler.user(&context, &mut user);
        assembler.history(&context, &mut history);
        assembler.candidates(&context, &tracks, &[], &mut items, &mut cross);
        let (a, b, c) = (history.ix.capacity(), history.signals.capacity(), history.vectors.capacity());
        sizes.push((items.capacity(), cross.capacity(), user.capacity(), a, b, c));
    }
    assert_eq!(sizes[1], sizes[2]);
}
