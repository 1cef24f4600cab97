use super::*;
use crate::config::SignalConfig;
use crate::domain::{ItemVectors, SessionState, UserProfile};
use crate::features::testing::{catalogue, event, random_events, vectors};
use crate::features::{EndedPlay, Reducer};
use proptest::prelude::*;

struct World {
    catalogue: Catalogue,
    vectors: ItemVectors,
    state: (SessionState, UserProfile),
    completions: Completions,
    /// Every end of a play, and when.
    ends: Vec<(EndedPlay, i64)>,
}

impl World {
    fn new(config: CompletionConfig) -> Self {
        let (catalogue, state, completions) = (catalogue(), Default::default(), Completions::new(config));
        Self { vectors: vectors(catalogue.len()), catalogue, state, completions, ends: Vec::new() }
    }

    fn apply(&mut self, event: &Event) {
        let config = SignalConfig::default();
        let rules = Reducer { catalogue: &self.catalogue, vectors: Some(&self.vectors), config: &config };
        let applied = rules.apply(&mut self.state.0, &mut self.state.1, event).unwrap();
        self.ends.extend([applied.displaced, applied.ended].into_iter().flatten().map(|end| (end, event.ts_ms)));
        self.completions.note(&self.catalogue, event, &applied, Shares::ALL);
    }

    fn estimate(&self, track: u32, now_ms: i64) -> Estimate {
        let mut out = Vec::new();
        self.completions.estimates(&self.catalogue, std::iter::once(TrackIx(track)), now_ms, &mut out);
        out[0]
    }

    /// `n` plays of a track, the first `completed` of them finished.
    fn play(&mut self, track: &str, n: usize, completed: usize) {
        for at in 0..n {
            let mut end = event("e", "u", "s", EventType::Skip, Some(track), NOW_MS);
            end.played_ms = Some(if at < completed { 90_000 } else { 2_000 });
            self.apply(&end);
        }
    }
}

const NOW_MS: i64 = 1_700_000_000_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The posterior as one would compute it from the list of all plays that ended.
    #[test]
    fn equals_a_recount_of_all_events(events in random_events(60), track in 0u32..12) {
        let config = CompletionConfig::default();
        let mut world = World::new(config.clone());
        events.iter().for_each(|event| world.apply(event));
        let now = NOW_MS + 9 * 86_400_000;
        let catalogue = &world.catalogue;
        let count = |of: &dyn Fn(TrackIx) -> bool| {
            world.ends.iter().filter(|(end, _)| of(end.play.track)).fold((0.0, 0.0), |(c, n), (end, ts)| {
                let left = 0.5f64.powf((now - ts) as f64 / 86_400_000.0 / f64::from(config.half_life_days));
                match end.labels()[0] {
                    Some(completed) => (c + if completed { left } else { 0.0 }, n + left),
                    None => (c, n),
                }
            })
        };
        let this = TrackIx(track);
        let (artist, genre) = (catalogue.artist_of(this), catalogue.genre_of(this));
        let by_artist = |t: TrackIx| catalogue.artist_of(t) == artist;
        let in_genre = |t: TrackIx| catalogue.genre_of(t) == genre;
        let shrunk = |(c, n): (f64, f64), mean: f64, like: f32| {
            (c + f64::from(like) * mean) / (n + f64::from(like))
        };
        let (all, own) = (count(&|_| true), count(&|t| t == this));
        let mut mean = shrunk(all, 0.5, 2.0);
        if genre != GenreIx::NONE {
            mean = shrunk(count(&in_genre), mean, config.all_plays);
        }
        mean = shrunk(count(&by_artist), mean, config.genre_plays);
        let like = f64::from(config.artist_plays);
        let twin = (own.0 + like * mean, own.1 - own.0 + like * (1.0 - mean));
        let got = world.estimate(track, now);
        prop_assert!((got.alpha - twin.0).abs() < 1e-4 && (got.beta - twin.1).abs() < 1e-4, "{got:?} {twin:?}");
        let plays = world.ends.iter().filter(|(end, _)| end.play.track == this).count();
        prop_assert_eq!((got.plays, got.impressions), (plays as f32, plays as f32));
    }
}

#[test]
fn an_unknown_track_is_expected_to_be_as_its_artist_is() {
    let mut world = World::new(CompletionConfig::default());
    let before = world.estimate(4, NOW_MS);
    assert_eq!((before.alpha, before.beta), (before.beta, before.alpha), "nothing is known: half");
    // t0, t4 and t8 are of one artist.
    world.play("t0", 40, 40);
    let (liked, other) = (world.estimate(4, NOW_MS), world.estimate(1, NOW_MS));
    let mean = |known: Estimate| known.alpha / (known.alpha + known.beta);
    assert!(mean(liked) > mean(other) && mean(other) > 0.5, "{liked:?} {other:?}");
    let size = |known: Estimate| known.alpha + known.beta;
    assert!((size(liked) - size(before)).abs() < 1e-9, "no play of its own");
    assert!((size(world.estimate(0, NOW_MS)) - size(before) - 40.0).abs() < 1e-3);
}

#[test]
fn a_cold_track_turns_warm_once_by_plays_or_by_its_interval() {
    let config = CompletionConfig { warm_impressions: 10, warm_width: 0.0, ..CompletionConfig::default() };
    let mut world = World::new(config);
    world.play("t0", 9, 9);
    assert!(world.estimate(0, NOW_MS).is_cold && world.completions.promoted() == 0);
    world.play("t0", 30, 0);
    assert!(!world.estimate(0, NOW_MS).is_cold && world.completions.promoted() == 1);
    let shown = event("e", "u", "s", EventType::Impression, Some("t3"), NOW_MS);
    (0..10).for_each(|_| world.apply(&shown));
    assert!(!world.estimate(3, NOW_MS).is_cold && world.completions.promoted() == 2);

    let config = CompletionConfig { warm_impressions: 1_000, warm_width: 0.25, ..CompletionConfig::default() };
    let mut world = World::new(config);
    world.play("t0", 100, 50);
    assert!(!world.estimate(0, NOW_MS).is_cold && world.completions.promoted() == 1);
    assert!(world.estimate(4, NOW_MS).is_cold, "the artist's other track is not known by that");
}

#[test]
fn plays_of_the_bundle_count() {
    let config = CompletionConfig { warm_impressions: 10, ..CompletionConfig::default() };
    let mut world = World::new(config);
    let mut plays = vec![0.0; 12];
    plays[0] = 25.0;
    world.completions.know(Arc::new(Popularity::new(&world.catalogue, &plays, vec![])));
    world.play("t0", 2, 2);
    assert_eq!((world.estimate(0, NOW_MS).plays, world.estimate(0, NOW_MS).is_cold), (27.0, false));
    assert_eq!((world.completions.promoted(), world.estimate(1, NOW_MS).is_cold), (0, true));
    // Rows behind those of the bundle have none.
    assert_eq!(world.completions.in_bundle(TrackIx(99)), 0.0);
}
