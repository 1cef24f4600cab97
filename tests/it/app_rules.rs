//! Business rules through the whole application.

use segue::config::RuleConfig;
use serde_json::{Value, json};

use crate::app_support::{TestApp, ids};

/// Rules as a file has them.
pub(crate) fn rules(text: &str) -> Vec<RuleConfig> {
    #[derive(serde::Deserialize)]
    struct File {
        rules: Vec<RuleConfig>,
    }
    toml::from_str::<File>(text).unwrap().rules
}

fn with_rules(text: &str) -> TestApp {
    TestApp::with(|config| config.rules = rules(text))
}

fn stage<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let stages = answer["trace"]["stages"].as_array().unwrap();
    stages.iter().find(|stage| stage["stage"] == name).unwrap()
}

#[actix_web::test]
async fn a_pin_a_block_and_a_quota_are_kept_and_seen() {
    let app = with_rules(
        "[[rules]]\nname='first'\naction='pin'\ntracks=['t10']\nposition=3\n[[rules]]\nname='no-t20'\naction='block'\n\
         tracks=['t20']\n[[rules]]\nname='fresh'\naction='at_least'\ncount=2\ntracks=['t31','t32','t34']\n",
    );
    let body = json!({"user_id": "u1", "limit": 10, "seed": 3, "explain": "trace"});
    let answer = app.next(body.clone()).await;
    let list = ids(&answer);
    assert_eq!((list.len(), list[2].as_str()), (10, "t10"));
    assert!(!list.contains(&"t20".to_owned()));
    assert!(list.iter().filter(|id| ["t31", "t32", "t34"].contains(&id.as_str())).count() >= 2, "{list:?}");
    assert_eq!(answer["tracks"][2]["reasons"][0], "rule:first");
    assert_eq!(answer["tracks"][2]["source"], "rule");
    assert_eq!(stage(&answer, "rules")["rules"][0], json!({"rule": "first", "action": "pin", "tracks": 1, "unmet": 0}));
    assert_eq!(stage(&answer, "rule")["rules"][0]["rule"], "no-t20");
    // What filters remove is no more served for being pinned.
    let excluded = json!({"user_id": "u1", "limit": 10, "exclude_track_ids": ["t10"], "explain": "trace"});
    let answer = app.next(excluded).await;
    assert!(!ids(&answer).contains(&"t10".to_owned()));
    assert_eq!(stage(&answer, "rules")["rules"][0]["unmet"], 1);
}

#[actix_web::test]
async fn blocks_that_leave_nothing_give_way() {
    let everyone = "[[rules]]\nname='all'\naction='block'\nfresh_days=36_500\n[[rules]]\nname='pin'\naction='pin'\n\
                    tracks=['gone']\nposition=1\n";
    let app = with_rules(everyone);
    let answer = app.next(json!({"user_id": "u1", "limit": 10})).await;
    assert!(!ids(&answer).is_empty());
    assert!(
        answer["degraded"].as_array().unwrap().contains(&json!({"stage": "filter", "reason": "relaxed"})),
        "{answer}"
    );
}

#[actix_web::test]
async fn other_rules_hold_for_the_next_request() {
    let app = TestApp::new();
    let body = json!({"user_id": "u1", "limit": 10, "seed": 3});
    let plain = ids(&app.next(body.clone()).await);
    app.engine.set_rules(&rules(&format!(
        "[[rules]]\nname='b'\naction='block'\ntracks=['{}']\n[[rules]]\nname='p'\naction='pin'\ntracks=['{}']\nposition=1\n",
        plain[0], plain[5]
    )));
    let ruled = ids(&app.next(body.clone()).await);
    assert!(ruled[0] == plain[5] && !ruled.contains(&plain[0]), "{ruled:?}");
    app.engine.set_rules(&[]);
    assert_eq!(ids(&app.next(body).await), plain);
}
