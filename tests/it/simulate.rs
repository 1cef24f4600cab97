//! The closed loop over the demo bundle: the real models, the real pipeline.

use std::path::Path;
use std::sync::Arc;

use segue::bundle::Bundle;
use segue::config::Config;
use segue::inference::Runtime;
use segue::simulate::{Day, Plan, Policy, run, summarise};
use segue::world::WorldConfig;

fn plan() -> Plan {
    Plan {
        world: WorldConfig::default(),
        listeners: 60,
        warm_days: 2,
        days: 3,
        refresh: 10,
        own_choice: 0.1,
        seed: 5,
        seeds: 2,
        threads: 1,
    }
}

fn policy(name: &str, discovery: f32) -> Policy {
    let config = Config::default();
    let runtime = Runtime::open(&config.inference).unwrap();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo");
    let bundle = Arc::new(Bundle::load(&demo, &config, &runtime).unwrap());
    Policy { name: name.into(), config, bundle, discovery, diversity: 0.5 }
}

#[test]
fn the_same_seed_gives_the_same_days_on_any_number_of_threads() {
    let policies = [policy("default", 0.3), policy("bold", 1.0)];
    let alone = run(&plan(), &policies, &|_, _| {}).unwrap();
    assert_eq!(alone, run(&Plan { threads: 3, ..plan() }, &policies, &|_, _| {}).unwrap());
    let [default, bold] = &alone[..] else { panic!("two policies: {}", alone.len()) };
    assert_ne!(default, bold, "a policy changes nothing");
    assert_ne!(default[0], default[1], "a seed changes nothing");
    for day in alone.iter().flatten().flatten() {
        believable(day);
    }
    // What is drawn at the beginning of the first day comes before any policy.
    let first = |runs: &[Vec<Day>]| (runs[0][0].active, runs[0][0].sessions);
    assert_eq!(first(default), first(bold));
    let (reports, _) = summarise(&["default".into(), "bold".into()], alone);
    assert!(reports.iter().all(|report| report.below_full == 0 && report.answers > 0), "{reports:?}");
}

fn believable(day: &Day) {
    assert!(day.present <= day.listeners && day.active <= day.listeners && day.distinct <= day.tracks, "{day:?}");
    assert!(day.early_skips + day.completed <= day.served_plays && day.served_plays <= day.plays, "{day:?}");
    assert!(day.sessions <= day.answers || day.present < day.listeners, "every session asks: {day:?}");
    assert!((0.0..=2.0).contains(&(day.list_distance / day.lists_measured.max(1) as f64)), "{day:?}");
}

#[test]
fn a_bundle_of_another_world_is_refused() {
    let world = WorldConfig { seed: 8, ..WorldConfig::default() };
    let refused = run(&Plan { world, ..plan() }, &[policy("default", 0.3)], &|_, _| {});
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("--world-seed"), "{error}");
}
