use std::sync::Arc;

use super::Arms;
use crate::config::{ArmConfig, Config, ExperimentConfig};
use crate::domain::{GivenDials, Knobs, Request, Rung, UserId, arms_text};
use crate::statistics::mismatch_p;
use proptest::prelude::*;

/// Listeners that are counted.
const LISTENERS: usize = 20_000;

fn arm(name: &str, weight: u32) -> ArmConfig {
    ArmConfig { name: name.into(), weight, ..ArmConfig::default() }
}

fn experiment(name: &str, layer: &str, share: f64, arms: Vec<ArmConfig>) -> ExperimentConfig {
    ExperimentConfig { name: name.into(), layer: layer.into(), share, from: None, salt: None, holdback: false, arms }
}

fn arms(experiments: Vec<ExperimentConfig>) -> Arms {
    Arms::new(&Config { experiments, ..Config::default() })
}

/// How many listeners are in each arm, as `experiment=arm`, and in none.
fn counted(arms: &Arms, prefix: u32) -> std::collections::BTreeMap<String, u64> {
    let mut counts = std::collections::BTreeMap::new();
    for listener in 0..LISTENERS {
        let names = arms.names(&format!("{prefix}-{listener}"));
        let text = arms_text(&names).unwrap_or_default();
        *counts.entry(text).or_insert(0) += 1;
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Shares and weights are met, within what chance allows.
    #[test]
    fn splits_match_their_shares(
        weights in prop::collection::vec(1u32..8, 2..5), share in 0.1f64..0.9, salt in 0u32..1_000_000,
    ) {
        let split = weights.iter().enumerate().map(|(at, weight)| arm(&format!("a{at}"), *weight)).collect();
        let own = ExperimentConfig { salt: Some(salt.to_string()), ..experiment("e", "l", share, split) };
        let counts = counted(&arms(vec![own]), salt);
        let total = f64::from(weights.iter().sum::<u32>());
        let mut shares: Vec<f64> = weights.iter().map(|weight| share * f64::from(*weight) / total).collect();
        shares.push(1.0 - share);
        let names = (0..weights.len()).map(|at| format!("e=a{at}")).chain([String::new()]);
        let found: Vec<u64> = names.map(|name| counts.get(&name).copied().unwrap_or(0)).collect();
        prop_assert!(mismatch_p(&found, &shares) > 1e-6, "{found:?} {shares:?}");
    }

    /// The arm in one layer says nothing of the arm in another, nor that of one salt of that of another.
    #[test]
    fn layers_are_independent(salt in 0u32..1_000_000) {
        let split = || vec![arm("x", 1), arm("y", 2)];
        let salted = |name: &str, layer: &str| ExperimentConfig {
            salt: Some(format!("{name}{salt}")), ..experiment(name, layer, 1.0, split())
        };
        let counts = counted(&arms(vec![salted("a", "one"), salted("b", "two")]), salt);
        let found: Vec<u64> = ["a=x;b=x", "a=x;b=y", "a=y;b=x", "a=y;b=y"].iter().map(|of| counts[*of]).collect();
        prop_assert!(mismatch_p(&found, &[1.0, 2.0, 2.0, 4.0]) > 1e-6, "{found:?}");
    }

    /// Experiments of a layer share nobody; who is held back is in no other; what stands beside one changes nothing for its
    /// listeners, nor does what its arms set.
    #[test]
    fn experiments_of_a_layer_share_nobody_and_stay(shares in [0.05f64..0.4, 0.05f64..0.4], listener in any::<u64>()) {
        let listener = listener.to_string();
        let split = || vec![arm("x", 1), arm("y", 1)];
        let held = ExperimentConfig { holdback: true, ..experiment("held", "", 0.3, vec![arm("kept", 1)]) };
        let mut other = split();
        other[1].discovery = Some(0.9);
        let a = experiment("a", "one", shares[0], other);
        let b = ExperimentConfig { from: Some(0.5), ..experiment("b", "one", shares[1], split()) };
        let (both, alone) = (arms(vec![a.clone(), b.clone()]), arms(vec![b.clone()]));
        let names = |arms: &Arms| arms.names(&listener).iter().map(|of| of.name.to_string()).collect::<Vec<_>>();
        prop_assert!(names(&both).len() <= 1);
        let of_b = |arms: &Arms| arms.names(&listener).into_iter().find(|of| &*of.name == "b");
        prop_assert_eq!(of_b(&both), of_b(&alone), "what comes and goes beside it moves nobody");
        let with = arms(vec![held, a, b, experiment("c", "two", 1.0, split())]);
        let found = names(&with);
        prop_assert!(found == ["held"] || found.contains(&"c".to_owned()) && !found.contains(&"held".to_owned()));
        prop_assert_eq!(names(&with), found, "asked twice");
    }
}

/// Assignments that running experiments rest on: another release must not move anybody.
#[test]
fn assignments_stay_what_they_were() {
    let arms = arms(vec![experiment("dial", "dials", 0.5, vec![arm("x", 1), arm("y", 1)])]);
    let text = |user: &str| arms_text(&arms.names(user)).unwrap_or_else(|| "-".into());
    let found: Vec<String> = (0..16).map(|at| text(&format!("u{at}"))).collect();
    // The same by Python's hashlib.
    assert_eq!(found, KNOWN);
}

const KNOWN: [&str; 16] =
    ["-", "dial=x", "dial=x", "-", "-", "-", "-", "-", "-", "-", "dial=y", "-", "dial=x", "dial=y", "-", "-"];

fn request(edit: impl FnOnce(&mut Request)) -> Arc<Request> {
    let mut request = Request { discovery: 0.3, diversity: 0.5, ..Request::new(UserId::new("u").unwrap(), 0) };
    edit(&mut request);
    Arc::new(request)
}

fn whole(set: impl Fn(&mut ArmConfig)) -> Arms {
    // Both arms set the same but for a value, so whichever the listener is in sets it.
    let mut split = vec![arm("x", 1), arm("y", 1)];
    split.iter_mut().for_each(set);
    split[1].skip_penalty = Some(4.0);
    split[0].skip_penalty = Some(3.0);
    arms(vec![experiment("e", "l", 1.0, split)])
}

#[test]
fn an_arm_sets_weights_and_the_dials_that_are_left_open() {
    let arms = whole(|arm| (arm.discovery, arm.diversity, arm.explore) = (Some(0.9), Some(0.1), Some(false)));
    let (open, knobs) = arms.apply(request(|_| {}), Knobs::default());
    assert_eq!((open.discovery, open.diversity, knobs.explore), (0.9, 0.1, false));
    assert!([3.0, 4.0].contains(&knobs.skip_penalty));
    assert_eq!(knobs, Knobs { skip_penalty: knobs.skip_penalty, explore: false, ..Knobs::default() });
    let (given, _) =
        arms.apply(request(|r| r.given = GivenDials { discovery: true, diversity: false }), Knobs::default());
    assert_eq!((given.discovery, given.diversity), (0.3, 0.1));
    let none = Arms::new(&Config::default());
    let untouched = request(|_| {});
    let (same, knobs) = none.apply(Arc::clone(&untouched), Knobs::default());
    assert!(Arc::ptr_eq(&same, &untouched) && knobs == Knobs::default());
}

/// Exposed are those whose answer came past the point where the arms part.
#[test]
fn exposure_begins_where_the_arms_part() {
    use Rung::{Full, MarketTop, RetrievalOrder};
    let exposed = |set: fn(&mut ArmConfig), edit: fn(&mut Request)| {
        let mut split = vec![arm("x", 1), arm("y", 1)];
        set(&mut split[1]);
        let (request, _) = arms(vec![experiment("e", "l", 1.0, split)]).apply(request(edit), Knobs::default());
        [Full, RetrievalOrder, MarketTop].map(|rung| request.arms[0].diverges(rung))
    };
    let blend = |arm: &mut ArmConfig| arm.blend = Some(Default::default());
    let own = |request: &mut Request| request.candidates = Some(vec![]);
    assert_eq!(exposed(blend, |_| {}), [true, false, false], "fallback lists are not ranked");
    assert_eq!(exposed(blend, own), [true, false, false]);
    let dial = |arm: &mut ArmConfig| arm.discovery = Some(0.7);
    assert_eq!(exposed(dial, |_| {}), [true, true, false]);
    assert_eq!(
        exposed(dial, |request| request.given.discovery = true),
        [false; 3],
        "the client's dial is nobody's arm"
    );
    assert_eq!(exposed(dial, own), [false; 3]);
    let explore = |arm: &mut ArmConfig| arm.explore = Some(false);
    assert_eq!(exposed(explore, |_| {}), [true, true, false]);
    assert_eq!(exposed(explore, |request| request.surface = Some("search".into())), [false; 3]);
    assert_eq!(exposed(explore, |request| request.discovery = 0.0), [false; 3]);
    let window = |arm: &mut ArmConfig| arm.artist_window = Some(9);
    assert_eq!((exposed(window, |_| {}), exposed(window, own)), ([true, true, false], [false; 3]));
    assert_eq!(exposed(|_| {}, |_| {}), [true, true, false], "of equal arms all count");
}
