//! Configuration through its public door: layers, faults, and the file that ships.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use segue::config::{Config, ConfigFaults, Engine, Origin, Problem, load};

#[expect(clippy::unwrap_used, reason = "a test without its file must stop")]
fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("segue.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn pairs(given: &[(&str, &str)]) -> Vec<(String, String)> {
    given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn from(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, ConfigFaults> {
    let (_folder, path) = written(file);
    load(Some(&path), pairs(environment).into_iter(), &pairs(flags))
}

#[test]
fn nothing_given_is_the_default() {
    assert_eq!(load(None, std::iter::empty(), &[]).unwrap(), Config::default());
}

#[test]
fn the_file_that_ships_is_the_default_with_the_demo_bundle() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/segue.toml");
    let shipped = load(Some(&path), std::iter::empty(), &[]).unwrap();
    assert_eq!(shipped, Config { bundle: Some("models/demo".into()), ..Config::default() });
}

#[test]
fn each_layer_wins_over_the_one_before() {
    let file = "bundle = 'a'\n[server]\nbudget_ms = 1\nworkers = 1\ndrain_s = 1\n[knobs]\nblend.skip = 0.1\n";
    let environment = [
        ("SEGUE__SERVER__WORKERS", "2"),
        ("SEGUE__server__drain_s", "2"),
        ("SEGUE__BUNDLE", "2026"),
        ("SEGUE__KNOBS__BLEND__LIKE", "2"),
        ("SEGUE__INDEX", "{ engine = 'exact' }"),
        ("SEGUE_PORT", "tcp://10.0.0.1:80"),
        ("HOME", "/nowhere"),
    ];
    let flags = [("server.drain_s", "3"), ("log.level", "'warn'"), ("server.listen", "[::1]:0")];
    let config = from(file, &environment, &flags).unwrap();
    assert_eq!((config.server.budget_ms, config.server.workers, config.server.drain_s), (1, 2, 3));
    assert_eq!((config.knobs.blend.skip, config.knobs.blend.like, config.knobs.blend.complete), (0.1, 2.0, 1.0));
    assert_eq!((config.bundle, config.index.engine), (Some("2026".into()), Engine::Exact));
    assert_eq!((config.log.level.as_str(), config.server.listen.to_string().as_str()), ("warn", "[::1]:0"));
}

#[test]
fn every_fault_of_every_layer_is_reported_at_once() {
    let file = "budget_ms = 5\n\n[server]\nlisten = 'here'\nworkers = -1\ndrain_s = 'x'\n[lanes]\ncount = 1.5\n\
                [index]\nengine = 'fast'\nef_factor = nan\n[servr]\na = 1\n";
    let environment = [("SEGUE__LANES__QUEUE_CAPACITY", "0"), ("SEGUE__LOG", "debug"), ("SEGUE__BUNDLE", "")];
    let faults = from(file, &environment, &[("signals.positive_ms", "5000"), ("log.level", "a=b=c")]).unwrap_err();
    let said: Vec<String> = faults.faults().iter().map(ToString::to_string).collect();
    let expected = [
        ("segue.toml:1: budget_ms = 5", "did you mean `server.budget_ms`?"),
        ("segue.toml:4: server.listen = \"here\"", "invalid socket address"),
        ("segue.toml:5: server.workers = -1", "must lie in 0..256"),
        ("segue.toml:6: server.drain_s = \"x\"", "must be a whole number"),
        ("segue.toml:8: lanes.count = 1.5", "must be a whole number"),
        ("segue.toml:10: index.engine = \"fast\"", "`auto`, `exact`, `lists`, `hnsw`"),
        ("segue.toml:11: index.ef_factor = nan", "must lie in 1..10"),
        ("segue.toml:12: servr:", "did you mean `server`?"),
        ("environment variable SEGUE__BUNDLE: bundle = \"\"", "must not be empty"),
        ("environment variable SEGUE__LANES__QUEUE_CAPACITY: lanes.queue_capacity = 0", "must lie in 1..65_536"),
        ("environment variable SEGUE__LOG: log = \"debug\"", "is a section"),
        ("command line: log.level = \"a=b=c\"", "not a filter"),
        ("command line: signals.positive_ms = 5000", "early_skip_ms (10000) must not exceed"),
    ];
    assert_eq!(said.len(), expected.len(), "{faults}");
    for (fault, (place, why)) in said.iter().zip(expected) {
        assert!(fault.contains(place) && fault.contains(why), "{fault}\nlacks `{place}` or `{why}`");
    }
}

#[test]
fn files_that_cannot_be_read_or_parsed_are_faults_too() {
    let missing = load(Some(Path::new("no/such.toml")), std::iter::empty(), &pairs(&[("a.b", "1")])).unwrap_err();
    assert!(matches!(missing.faults()[0].problem, Problem::Unreadable(_)), "{missing}");
    assert_eq!(missing.faults().len(), 2);
    let broken = from("[server]\nworkers = \ndrain_s = = 2\n", &[], &[]).unwrap_err();
    let lines: Vec<_> = broken.faults().iter().map(|fault| fault.origin.clone()).collect();
    assert!(lines.len() >= 2, "{broken}");
    assert!(matches!(lines[0], Origin::File { line: Some(2), .. }), "{broken}");
    assert!(matches!(lines[1], Origin::File { line: Some(3), .. }), "{broken}");
}

#[test]
fn a_quoted_name_cannot_pose_as_a_path() {
    let faults = from("\"server.workers\" = 3", &[], &[]).unwrap_err();
    assert!(matches!(faults.faults()[0].problem, Problem::UnknownKey { .. }), "{faults}");
}

fn text() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec!["server", "workers", "bundle", "knobs", "blend", "skip", "index", "engine"]);
    let marks = prop::sample::select(vec!["[", "]", "=", ".", "\n", "\"", "{", "}", "1", "-", "nan", "'x'", "__", "#"]);
    let piece = prop_oneof![names.prop_map(String::from), marks.prop_map(String::from), any::<String>()];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn garbage_is_refused_without_a_panic(file in text(), names in prop::collection::vec((text(), text()), 0..4)) {
        let environment = names.iter().map(|(name, value)| (format!("SEGUE__{name}"), value.clone()));
        let (_folder, path) = written(&file);
        if let Err(faults) = load(Some(&path), environment, &names) {
            prop_assert!(!faults.faults().is_empty() && !faults.to_string().is_empty());
        }
    }
}
