//! Experiments through the real router.

use std::collections::{BTreeMap, HashSet};

use segue::config::{ArmConfig, EventStore, ExperimentConfig};
use segue::domain::{BlendWeights, arm_in};
use segue::feature_log::parts;
use segue::store;
use serde_json::{Value, json};

use crate::app_support::{TestApp, exploring, ids};
use crate::http_support::post;

fn arm(name: &str) -> ArmConfig {
    ArmConfig { name: name.into(), weight: 1, ..ArmConfig::default() }
}

fn experiment(name: &str, layer: &str, share: f64, arms: Vec<ArmConfig>) -> ExperimentConfig {
    ExperimentConfig { name: name.into(), layer: layer.into(), share, from: None, salt: None, holdback: false, arms }
}

/// Likes alone, which the fixture's ranker ranks otherwise than plays.
fn likes() -> ArmConfig {
    let blend = Some(BlendWeights { complete: 0.0, skip: 0.0, like: 9.0 });
    ArmConfig { blend, popularity_penalty: Some(0.0), skip_penalty: Some(0.0), ..arm("likes") }
}

fn body(user: usize, more: Value) -> Value {
    let mut body = json!({"user_id": format!("u{user}"), "session_id": format!("s{user}"), "limit": 10, "seed": 5});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn arm_of(answer: &Value, experiment: &str) -> Option<String> {
    let arms = answer["experiments"].as_array()?;
    let own = arms.iter().find(|of| of["name"] == experiment)?;
    own["arm"].as_str().map(str::to_owned)
}

#[actix_web::test]
async fn an_arm_changes_the_answer_and_a_replay_gives_it_again() {
    let plain = TestApp::new();
    let app = TestApp::with(|config| {
        config.experiments = vec![experiment("blend", "ranking", 1.0, vec![arm("as-is"), likes()])];
    });
    let mut seen = BTreeMap::new();
    for user in 0..12 {
        for app in [&plain, &app] {
            app.past(&format!("u{user}"), [3, 4, 8]).await;
        }
        // Dials are given, so that nothing but the weights is open.
        let more = json!({"diversity": 0.0, "discovery": 0.0});
        let (without, answer) = (plain.next(body(user, more.clone())).await, app.next(body(user, more)).await);
        assert!(without.get("experiments").is_none());
        let name = arm_of(&answer, "blend").unwrap();
        assert_eq!(ids(&answer) == ids(&without), name == "as-is", "{name}");
        *seen.entry(name.clone()).or_insert(0u64) += 1;
        let id = answer["recommendation_id"].as_str().unwrap();
        let again = app.ask(post(&format!("/v1/recommendations/{id}/replay"), &json!({}))).await.json();
        assert_eq!((&again["reproduced"], ids(&again["answer"])), (&json!(true), ids(&answer)));
        let trace = app.get(&format!("/v1/recommendations/{id}/trace")).await;
        assert_eq!(trace["answer"]["experiments"], answer["experiments"]);
        assert_eq!(trace["knobs"]["blend"]["like"] == json!(9.0), name == "likes");
        // What is explained of a request is what its listener would get.
        let first = ids(&answer)[0].clone();
        let mut why = body(user, json!({"diversity": 0.0, "discovery": 0.0, "track_id": first}));
        why["session_id"] = json!("another");
        assert_eq!(app.ask(post("/v1/explain", &why)).await.json()["outcome"], "served");
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    for (name, answers) in seen {
        assert_eq!(
            app.metric(&format!("segue_experiment_answers_total{{arm=\"{name}\",experiment=\"blend\"}}")),
            answers
        );
    }
}

/// Only what the arms could have made otherwise counts: not a dial that the client gave, not a caller's own list.
#[actix_web::test]
async fn the_feature_log_knows_who_was_exposed() {
    let dir = tempfile::tempdir().unwrap();
    let app = TestApp::with(|config| {
        config.feature_log.dir = Some(dir.path().to_owned());
        config.events.store = EventStore::Memory;
        exploring(config);
        let bold = ArmConfig { discovery: Some(1.0), ..arm("bold") };
        let held = ExperimentConfig { holdback: true, ..experiment("held", "", 0.3, vec![arm("kept")]) };
        let off = ArmConfig { explore: Some(false), ..arm("off") };
        config.experiments = vec![
            held,
            experiment("dial", "dials", 1.0, vec![arm("as-is"), bold]),
            experiment("explore", "places", 0.5, vec![arm("on"), off]),
        ];
    });
    let mut expected = BTreeMap::new();
    let (mut dials, mut held, mut drawn) = (0, 0, HashSet::new());
    for user in 0..30 {
        let open = app.next(body(user, json!({}))).await;
        let given = app.next(body(user, json!({"discovery": 0.2}))).await;
        let own = app.rank(json!({"user_id": format!("u{user}"), "track_ids": ["t1", "t2", "t3"]})).await;
        let is_held = arm_of(&open, "held").is_some();
        assert_eq!((arm_of(&open, "dial").is_some(), arm_of(&open, "explore").is_some() && is_held), (!is_held, false));
        assert_eq!((arm_of(&given, "dial"), arm_of(&own, "dial"), arm_of(&own, "explore")), (None, None, None));
        assert_eq!(arm_of(&given, "explore"), arm_of(&open, "explore"));
        let has_drawn = open["tracks"].as_array().unwrap().iter().any(|track| track["propensity"].is_number());
        drawn.insert((arm_of(&open, "explore"), has_drawn));
        dials += usize::from(!is_held);
        held += usize::from(is_held);
        for answer in [open, given, own] {
            expected.insert(answer["recommendation_id"].as_str().unwrap().to_owned(), answer);
        }
    }
    assert!(dials > 10 && held > 2, "{dials} {held}");
    assert!(!drawn.contains(&(Some("off".into()), true)) && drawn.contains(&(Some("on".into()), true)), "{drawn:?}");
    drop(app);
    let mut logged = 0;
    for part in parts(&store::open(dir.path()).unwrap()).unwrap().into_values().flatten() {
        for row in part.answers().unwrap() {
            logged += 1;
            let text = row.arm.unwrap_or_default();
            for name in ["dial", "explore", "held"] {
                assert_eq!(arm_in(&text, name).map(str::to_owned), arm_of(&expected[&row.recommendation_id], name));
            }
        }
    }
    assert_eq!(logged, expected.len());
}
