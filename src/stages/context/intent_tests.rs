use super::*;
use crate::domain::{BlendWeights, GivenDials, Play, Prototype, Request, TrackIx};
use crate::stages::fixtures;
use proptest::prelude::*;

fn rules() -> Vec<IntentRule> {
    serde_json::from_str(
        r#"[{"label":"workout","energy":[0.7,1.0],"tempo":[120,180]},
            {"label":"sleep","energy":[0.0,0.3],"hours":[22,5]},
            {"label":"commute","hours":[7,9]}]"#,
    )
    .unwrap()
}

fn seen(energy: f32, tempo: f32) -> SessionProfile {
    SessionProfile { energy: Some(energy), tempo: Some(tempo), ..SessionProfile::default() }
}

fn label(seen: &SessionProfile, hour: f32) -> Option<(String, f32)> {
    recognise(&rules(), seen, hour).map(|intent| (intent.label.to_string(), intent.confidence))
}

#[test]
fn rules_name_sessions() {
    assert_eq!(label(&seen(0.9, 130.0), 17.0), Some(("workout".into(), 1.0)));
    assert_eq!(label(&seen(0.1, 70.0), 2.0), Some(("sleep".into(), 1.0)), "the band passes midnight");
    assert_eq!(label(&seen(0.5, 90.0), 13.0), None);
    let alike = label(&seen(0.9, 130.0), 8.0);
    assert_eq!(alike, Some(("workout".into(), 0.0)), "two rules match alike: no confidence");
    let (name, confidence) = label(&seen(0.9, 110.0), 17.0).unwrap();
    assert!(name == "workout" && (confidence - 0.5).abs() < 1e-6, "half way down the slope");
}

#[test]
fn rules_read_and_write_the_same() {
    let text = serde_json::to_string(&rules()).unwrap();
    assert_eq!(serde_json::from_str::<Vec<IntentRule>>(&text).unwrap(), rules());
    assert!(serde_json::from_str::<IntentRule>(r#"{"label":"x","enrgy":[0,1]}"#).is_err());
}

proptest! {
    #[test]
    fn rules_never_fail_on_any_number(energy in any::<f32>(), tempo in any::<f32>(), hour in any::<f32>()) {
        if let Some(intent) = recognise(&rules(), &seen(energy, tempo), hour) {
            prop_assert!((0.0..=1.0).contains(&intent.confidence));
        }
    }
}

/// Rows 0 to 2 along the first axis, 3 to 5 along the second.
fn vectors() -> Arc<ItemVectors> {
    let (x, y) = ([1.0f32, 0.0], [0.0f32, 1.0]);
    Arc::new(ItemVectors::from_raw([x, x, x, y, y, y].concat(), 2).unwrap())
}

fn prototypes() -> Arc<IntentPrototypes> {
    let prototype = |label: &str, direction: [f32; 2]| Prototype {
        label: label.into(),
        sessions: 1,
        profile: SessionProfile::default(),
        genres: Vec::new(),
        direction: direction.to_vec(),
    };
    Arc::new(IntentPrototypes::new(vec![prototype("calm", [1.0, 0.0]), prototype("loud", [0.0, 1.0])], vec![2.0, 4.0]))
}

fn turn(label: &str, discovery: f32) -> IntentConfig {
    let blend = Some(BlendWeights { complete: 2.0, skip: 0.0, like: 0.3 });
    IntentConfig { label: label.into(), blend, discovery: Some(discovery), diversity: None }
}

fn load(prototypes: Option<Arc<IntentPrototypes>>, request: Request, played: &[u32]) -> (Option<Intent>, Dials) {
    let turns = vec![turn("loud", 0.9), turn("commute", 1.0)];
    let mut source = IntentSource::new(rules().into(), prototypes, vectors(), turns);
    let context = fixtures::context(request, fixtures::session(played), Default::default());
    match source.load(&context, &Deadline::never()) {
        Ok(ContextPatch::Intent { intent, dials }) => (intent, dials),
        other => panic!("{other:?}"),
    }
}

fn dialled(discovery: f32) -> Request {
    Request { discovery, local_hour: Some(12), ..fixtures::request() }
}

#[test]
fn a_session_that_turns_changes_its_intent_within_three_plays() {
    let mut played = vec![0, 1, 2, 0, 1, 2, 0, 1, 2, 0];
    let (before, _) = load(Some(prototypes()), dialled(0.3), &played);
    let before = before.unwrap();
    assert!(&*before.label == "calm" && before.confidence > 0.9, "{before:?}");
    let mut turned_after = None;
    for (count, track) in [3, 4, 5].into_iter().enumerate() {
        played.push(track);
        let intent = load(Some(prototypes()), dialled(0.3), &played).0.unwrap();
        assert!((intent.mixture.iter().map(|part| part.share).sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(intent.mixture.is_sorted_by(|a, b| a.share >= b.share) && intent.mixture[0].label == intent.label);
        if &*intent.label == "loud" {
            turned_after = turned_after.or(Some(count + 1));
            assert!(count < 2 || intent.confidence > 0.5, "three plays leave little doubt: {intent:?}");
        }
    }
    assert!(turned_after.is_some(), "three plays did not turn it");
}

#[test]
fn one_play_says_less_than_many() {
    let sure = |played: &[u32]| load(Some(prototypes()), dialled(0.3), played).0.unwrap().confidence;
    assert!(sure(&[0]) < sure(&[0, 1]));
}

#[test]
fn rules_name_it_where_prototypes_cannot() {
    let named = |prototypes, played: &[u32]| {
        let (intent, dials) = load(prototypes, Request { local_hour: Some(8), ..dialled(0.3) }, played);
        let intent = intent.unwrap();
        assert!(intent.mixture.is_empty());
        (intent.label.to_string(), intent.confidence, dials.discovery)
    };
    assert_eq!(named(Some(prototypes()), &[]), ("commute".into(), 1.0, 1.0), "nothing was played");
    assert_eq!(named(None, &[0, 1]), ("commute".into(), 1.0, 1.0), "the bundle has no prototypes");
    assert_eq!(load(Some(prototypes()), dialled(0.3), &[]).0, None);
}

#[test]
fn what_was_skipped_names_no_session() {
    let session = |signal: f32| {
        let mut session = fixtures::session(&[0]);
        session.window[0].signal = signal;
        (session.energy, session.tempo) = ((1.0, 0.9, 0.0), (1.0, 130.0, 0.0));
        profile(&session)
    };
    assert_eq!(session(-1.0), SessionProfile::default());
    assert_eq!(recognise(&rules(), &session(-1.0), 12.0), None);
    assert_eq!(session(1.0), seen(0.9, 130.0));
}

#[test]
fn dials_move_by_how_sure_it_is() {
    let (intent, dials) = load(Some(prototypes()), dialled(0.3), &[3, 4]);
    let sure = intent.unwrap().confidence;
    assert!(sure > 0.5 && sure < 1.0);
    assert!((dials.discovery - (0.3 + sure * 0.6)).abs() < 1e-6, "the other intents that are configured are not its");
    assert!((dials.blend.complete - (1.0 + sure)).abs() < 1e-6 && (dials.blend.skip - 0.6 * (1.0 - sure)).abs() < 1e-6);
    assert_eq!((dials.blend.like, dials.diversity), (0.3, 0.0));
    let (_, calm) = load(Some(prototypes()), dialled(0.3), &[0, 1]);
    assert_eq!((calm.discovery, calm.blend), (0.3, BlendWeights::default()), "nothing is configured for it");
}

#[test]
fn a_dial_that_is_given_or_off_stays() {
    let given = GivenDials { discovery: true, diversity: false };
    let (_, dials) = load(Some(prototypes()), Request { given, ..dialled(0.3) }, &[3, 4]);
    assert!(dials.discovery == 0.3 && dials.blend != BlendWeights::default());
    assert_eq!(load(Some(prototypes()), dialled(0.0), &[3, 4]).1.discovery, 0.0);
}

proptest! {
    #[test]
    fn any_window_gives_a_distribution(plays in prop::collection::vec((0u32..8, -1.0f32..=1.0), 0..60)) {
        let play = |(track, signal): &(u32, f32)| Play {
            track: TrackIx(*track), signal: *signal, played_fraction: 1.0, ts_ms: 0, liked: false,
        };
        let session = SessionState { window: plays.iter().map(play).collect(), ..SessionState::default() };
        let mut source = IntentSource::new(rules().into(), Some(prototypes()), vectors(), vec![turn("loud", 1.0)]);
        let context = fixtures::context(dialled(0.3), session, Default::default());
        let Ok(ContextPatch::Intent { intent, dials }) = source.load(&context, &Deadline::never()) else { panic!() };
        prop_assert!((0.0..=1.0).contains(&dials.discovery));
        if let Some(intent) = intent {
            prop_assert!((0.0..=1.0).contains(&intent.confidence));
            prop_assert!((intent.mixture.iter().map(|part| part.share).sum::<f32>() - 1.0).abs() < 1e-5);
        }
    }
}
