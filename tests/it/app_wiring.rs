//! The order of stages is policy: a change of it is a change of this list.

use std::sync::Arc;

use segue::config::DiversityMethod;
use segue::metrics::Metrics;
use segue::stages::observe::TraceStore;

use crate::app_support::TestApp;

const SERVING: [&str; 40] = [
    "context rule_set Skip",
    "context session Skip",
    "context profile Skip",
    "context user_vector Skip",
    "context intent Skip",
    "retrieve rule_pins 1000 Skip",
    "retrieve two_tower 700 Skip",
    "retrieve session_artists 150 Skip",
    "retrieve sequential_rules 150 Skip",
    "retrieve own_tracks 100 Skip",
    "retrieve popular 150 Skip",
    "retrieve fresh 50 Skip",
    "retrieve exploration 50 Skip",
    "filter rule",
    "filter played_in_session",
    "filter served_before",
    "filter excluded",
    "filter disliked",
    "filter blocked_artist",
    "filter market",
    "filter explicit",
    "filter licence",
    "filter taken_down",
    "filter same_recording",
    "rank mmoe",
    "rerank skip_penalty",
    "rerank satiation",
    "rerank popularity_penalty",
    "rerank dpp",
    "rerank explore",
    "rerank separation",
    "rerank transitions",
    "rerank rules",
    "observe served",
    "observe exposure",
    "observe trace",
    "observe metrics",
    "rung user_top user_top",
    "rung market_top market_top",
    "rung global_top global_top",
];

fn wiring(app: &TestApp) -> Vec<String> {
    let metrics = Arc::new(Metrics::new().unwrap());
    app.engine.current().wiring().serving(&metrics, &TraceStore::new(&Default::default())).unwrap().wiring()
}

#[test]
fn stages_run_in_this_order() {
    assert_eq!(wiring(&TestApp::new()), SERVING);
    let bare = TestApp::without_ranker();
    let expected: Vec<_> = SERVING.into_iter().filter(|stage| *stage != "rank mmoe").collect();
    assert_eq!(wiring(&bare), expected);
}

#[test]
fn policy_filters_can_be_switched_off() {
    let app = TestApp::with(|config| {
        (config.filters.played_in_session, config.filters.served_before) = (false, false);
        config.retrieval.fresh = 0;
    });
    let off = ["filter played_in_session", "filter served_before"];
    let expected = SERVING.into_iter().filter(|stage| !off.contains(stage));
    let expected: Vec<_> = expected.map(|stage| stage.replace("fresh 50", "fresh 0")).collect();
    assert_eq!(wiring(&app), expected);
}

#[test]
fn rerankers_follow_the_configuration() {
    let app = TestApp::with(|config| {
        (config.rerank.diversity, config.rerank.transitions) = (DiversityMethod::Mmr, false);
        (config.exploration.positions, config.exploration.more_positions) = (vec![], vec![]);
        config.rerank.satiation.strength = 0.0;
    });
    let off = ["rerank satiation", "rerank explore", "rerank transitions"];
    let expected = SERVING.into_iter().filter(|stage| !off.contains(stage));
    assert_eq!(wiring(&app), expected.map(|stage| stage.replace("dpp", "mmr")).collect::<Vec<_>>());
}

#[test]
fn offline_pipelines_note_nothing() {
    let app = TestApp::new();
    let offline = app.engine.current().wiring().offline(segue::app::Repeats::Allowed).unwrap().wiring();
    let hidden = ["filter played_in_session", "filter served_before", "rerank explore", "rerank transitions"];
    let rules = ["context rule_set Skip", "retrieve rule_pins 1000 Skip", "filter rule", "rerank rules"];
    let kept = |stage: &&str| !hidden.contains(stage) && !rules.contains(stage) && !stage.starts_with("observe");
    assert_eq!(offline, SERVING.into_iter().filter(kept).collect::<Vec<_>>());
}
