use super::*;
use crate::config::{FeedbackConfig, SignalConfig, StateConfig};
use crate::domain::{ArtistIx, EventType, ItemVectors, Knobs, Request, Retrieved, TrackIx, UserId, bare_track};
use crate::features::testing::event;
use crate::stages::testing::ranking;
use proptest::prelude::*;

const TRACKS: usize = 60;
const LIMIT: usize = 20;

struct World {
    stage: Explore,
    candidates: CandidateSet,
}

impl World {
    /// Sixty tracks of as many artists, the last thirty proposed by exploration.
    fn new(positions: &[usize], more: &[usize]) -> Self {
        let tracks = (0..TRACKS).map(|row| bare_track(&format!("t{row}"), &format!("a{row}"))).collect();
        // Tracks turn warm by being shown alone.
        let mut signals = SignalConfig::default();
        signals.completion.warm_width = 0.0;
        // One listener plays everything.
        signals.feedback = FeedbackConfig::off();
        let state = StateStore::new(&StateConfig::default(), &signals);
        let rules = ExploreRules {
            positions: positions.to_vec(),
            more_positions: more.to_vec(),
            floor: 0.05,
            ceiling: 0.2,
            rank_order_surfaces: vec!["search".into()],
        };
        let catalogue = Arc::new(Catalogue::new(tracks).unwrap());
        let stage = Explore::new(catalogue, Arc::new(state), Arc::new(Exposure::new(2_000)), rules);
        let mut candidates = CandidateSet::default();
        for row in 0..TRACKS {
            let source = if row < TRACKS / 2 { Source::TwoTower } else { Source::Exploration };
            candidates.push(Retrieved { track: TrackIx(row as u32), score: 0.0 }, source);
        }
        Self { stage, candidates }
    }

    fn played(&self, track: u32, plays: usize, played_ms: u32) {
        let vectors = ItemVectors::from_raw(vec![1.0; TRACKS], 1).unwrap();
        for at in 0..plays {
            let mut end = event(&format!("e{at}"), "u", "s", EventType::Skip, Some(&format!("t{track}")), 0);
            end.played_ms = Some(played_ms);
            self.stage.state.apply(&end, &self.stage.catalogue, &vectors).unwrap();
        }
    }

    /// The list and the propensities of its tracks.
    fn ask(&mut self, edit: impl FnOnce(&mut Request)) -> (Vec<u32>, Vec<Option<f32>>) {
        let user = UserId::new("u").unwrap();
        let mut request = Request { limit: LIMIT, discovery: 0.3, seed: 1, ..Request::new(user, 0) };
        edit(&mut request);
        let limit = request.limit;
        let context = RequestContext::new(Arc::new(request), Knobs::default());
        let mut scores: Vec<f32> = (0..self.candidates.len()).map(|row| -(row as f32)).collect();
        let mut order = ranking(&scores);
        let mut propensity = vec![None; order.len()];
        let stage = &mut self.stage;
        stage.rerank(&context, &self.candidates, &mut scores, &mut propensity, &mut order, limit).unwrap();
        let mut all = order.clone();
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..order.len() as u32), "a permutation");
        order.truncate(limit);
        let chances: Vec<_> = order.iter().map(|row| propensity[*row as usize]).collect();
        assert!(propensity.iter().flatten().count() == explored(&chances).len(), "only of what is in the list");
        (order, chances)
    }

    fn noted(&self, name: &str) -> f32 {
        self.stage.notes().iter().find(|note| note.note == name).map_or(0.0, |note| note.value)
    }
}

fn explored(chances: &[Option<f32>]) -> Vec<usize> {
    (0..chances.len()).filter(|place| chances[*place].is_some()).map(|place| place + 1).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Chosen tracks stand in the open places, all else keeps its order, and the same seed gives the same list.
    #[test]
    fn fills_the_places_and_keeps_the_rest(
        positions in prop::collection::btree_set(1usize..40, 0..6), limit in 1usize..30, seed in any::<u64>(),
    ) {
        let positions: Vec<usize> = positions.into_iter().collect();
        let mut world = World::new(&positions, &[]);
        let mut ask = || world.ask(|request| (request.limit, request.seed) = (limit, seed));
        let (list, chances) = ask();
        let open: Vec<usize> = positions.iter().copied().filter(|place| *place <= limit).collect();
        prop_assert_eq!(explored(&chances), open);
        let rest: Vec<u32> = list.iter().zip(&chances).filter(|(_, c)| c.is_none()).map(|(row, _)| *row).collect();
        prop_assert!(rest.iter().copied().eq(0..rest.len() as u32), "{list:?}");
        let cold = list.iter().zip(&chances).filter(|(_, c)| c.is_some());
        prop_assert!(cold.into_iter().all(|(row, _)| *row as usize >= TRACKS / 2 && *row as usize >= limit));
        prop_assert_eq!(ask(), (list, chances));
    }
}

#[test]
fn alike_tracks_are_alike_likely_and_the_seed_decides() {
    let mut world = World::new(&[5], &[]);
    let mut counts = [0u32; TRACKS];
    for seed in 0..600 {
        let (list, chances) = world.ask(|request| request.seed = seed);
        assert!((chances[4].unwrap() - 1.0 / 30.0).abs() < 0.005, "{chances:?}");
        counts[list[4] as usize] += 1;
    }
    assert!(counts[TRACKS / 2..].iter().all(|count| (3..50).contains(count)), "{counts:?}");
}

#[test]
fn what_is_completed_comes_more_often_than_what_is_skipped_and_warm_tracks_do_not() {
    let mut world = World::new(&[5], &[]);
    world.played(40, 12, 100_000);
    world.played(41, 12, 1_000);
    world.played(42, 100, 100_000);
    let mut counts = [0u32; TRACKS];
    (0..800).for_each(|seed| counts[world.ask(|request| request.seed = seed).0[4] as usize] += 1);
    assert!(counts[40] > 2 * counts[41] && counts[42] == 0, "{counts:?}");
}

#[test]
fn nothing_explores_where_it_is_not_wanted() {
    let mut world = World::new(&[5], &[]);
    assert_eq!(explored(&world.ask(|_| {}).1), [5]);
    assert!(explored(&world.ask(|request| request.discovery = 0.0).1).is_empty());
    assert!(explored(&world.ask(|request| request.surface = Some("search".into())).1).is_empty());
    assert!(explored(&world.ask(|request| request.candidates = Some(vec![TrackIx(0)])).1).is_empty());
    assert!(explored(&world.ask(|request| request.limit = TRACKS).1).is_empty(), "nothing is below the list");
    // Nothing cold: the places stay with the ranking.
    world.candidates.sources.fill(Source::TwoTower);
    let (list, chances) = world.ask(|_| {});
    assert!(explored(&chances).is_empty() && list.iter().copied().eq(0..LIMIT as u32));
    assert_eq!((world.noted("nothing_cold"), world.noted("explored")), (1.0, 0.0));
}

/// Served in a loop, new tracks get their floor where configured places alone give less, and no more than their ceiling
/// where the ranking alone gives enough.
#[test]
fn floor_and_ceiling_hold_the_share_of_new_tracks() {
    let share = |positions: &[usize], more: &[usize], ranked_new: usize| {
        let mut world = World::new(positions, more);
        let exposure = Arc::clone(&world.stage.exposure);
        for seed in 0..600 {
            let (_, chances) = world.ask(|request| request.seed = seed);
            let new = chances.iter().enumerate().map(|(at, chance)| chance.is_some() || at < ranked_new);
            exposure.note(new.map(|new| (TrackIx(0), ArtistIx(0), new)));
        }
        exposure.new_share().unwrap()
    };
    // One place in 20 is .05, none is 0: opened and closed it stands at the floor.
    let at_floor = share(&[], &[9, 13], 0);
    assert!((0.04..0.07).contains(&at_floor), "{at_floor}");
    // Six places in 20 are .3; with the ceiling at .2 two of three lists explore.
    let at_ceiling = share(&[5, 6, 7, 8, 9, 10], &[], 0);
    assert!((0.18..0.22).contains(&at_ceiling), "{at_ceiling}");
    // The ranking's own new tracks count: nothing explores, and nothing can be taken from them.
    let ranked = share(&[15], &[16], 5);
    assert!((ranked - 0.25).abs() < 0.02, "{ranked}");
}
