//! Who may import whom, read off the sources (`ARCHITECTURE.md`), and the sources' other written rules.

use std::path::Path;

use crate::sources::{Source, below, paths_from, without_test_files};

/// Each module with what it may name of this crate, lowest first. `module` allows all of it, `module::Item` that item
/// only. Test code is free, but for `HOMES`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &["pipeline::StageReport", "pipeline::Detail"]),
    ("pipeline", &["domain"]),
    ("config", &["domain"]),
    ("arms", &["domain", "config"]),
    ("security", &["domain", "config", "pipeline::Criticality"]),
    ("metrics", &["domain", "pipeline", "config"]),
    ("store", &[]),
    ("tables", &["domain", "config", "store"]),
    ("vault", &[]),
    ("statistics", &[]),
    ("features", &["domain", "config", "metrics", "vault", "statistics"]),
    ("index", &["domain", "config", "metrics", "pipeline::Deadline"]),
    ("inference", &["domain", "config", "metrics", "features::schema"]),
    ("events", &["domain", "config", "security", "metrics", "vault", "features"]),
    ("archive", &["domain", "store", "tables", "events"]),
    ("feature_log", &["domain", "config", "metrics", "features", "store", "tables"]),
    ("stages", &["domain", "pipeline", "config", "metrics", "features", "index", "inference"]),
    ("bundle", &["domain", "config", "tables", "features", "index", "inference", "pipeline::Deadline"]),
    ("replay", &["domain", "pipeline", "config", "stages", "bundle"]),
    ("index_bench", &["domain", "config", "tables", "index", "pipeline::Deadline"]),
    ("world", &["domain", "config", "tables", "features"]),
    ("import", &["domain", "config", "tables"]),
    ("audio", &[]),
    ("capacity", &[]),
    (
        "app",
        &[
            "domain",
            "pipeline",
            "config",
            "arms",
            "security",
            "metrics",
            "features",
            "index",
            "inference",
            "events",
            "store",
            "archive",
            "feature_log",
            "stages",
            "bundle",
            "replay",
        ],
    ),
    (
        "backfill",
        &[
            "domain",
            "pipeline",
            "config",
            "store",
            "tables",
            "features",
            "inference",
            "archive",
            "feature_log",
            "stages",
            "bundle",
            "app",
        ],
    ),
    (
        "evaluate",
        &["domain", "pipeline", "config", "tables", "statistics", "features", "stages", "bundle", "backfill", "app"],
    ),
    (
        "drift",
        &["domain", "config", "statistics", "features", "inference", "feature_log", "bundle", "backfill", "evaluate"],
    ),
    (
        "ope",
        &[
            "domain",
            "config",
            "store",
            "tables",
            "statistics",
            "features",
            "inference",
            "feature_log",
            "bundle",
            "backfill",
        ],
    ),
    (
        "experiment",
        &[
            "domain",
            "config",
            "store",
            "tables",
            "statistics",
            "features",
            "archive",
            "feature_log",
            "evaluate::STYLE",
            "evaluate::svg",
        ],
    ),
    (
        "simulate",
        &[
            "domain",
            "pipeline",
            "config",
            "metrics",
            "features",
            "stages",
            "bundle",
            "world",
            "statistics",
            "evaluate::svg",
            "app",
        ],
    ),
    ("load", &["domain", "tables", "events::RawEvent", "evaluate::svg"]),
    (
        "http",
        &[
            "domain", "pipeline", "config", "security", "metrics", "features", "events", "stages", "bundle", "replay",
            "app",
        ],
    ),
    (
        "startup",
        &[
            "domain",
            "pipeline",
            "config",
            "security",
            "metrics",
            "features",
            "events",
            "bundle",
            "inference",
            "replay",
            "app",
            "http",
        ],
    ),
    (
        "cli",
        &[
            "domain",
            "pipeline",
            "config",
            "store",
            "tables",
            "features",
            "events",
            "archive",
            "audio",
            "feature_log",
            "index",
            "index_bench",
            "bundle",
            "inference",
            "stages",
            "replay",
            "world",
            "import",
            "backfill",
            "evaluate",
            "drift",
            "ope",
            "experiment",
            "simulate",
            "load",
            "capacity",
            "security",
            "app",
            "startup",
        ],
    ),
    ("main", &["cli"]),
];

/// Heavy crates, each with the only places that may name it.
const HOMES: &[(&str, &[&str])] = &[
    ("actix_web", &["http/", "startup.rs"]),
    ("actix_http", &["http/", "startup.rs"]),
    ("actix_rt", &["http/", "startup.rs"]),
    ("anndists", &["index/hnsw.rs"]),
    ("arrow", &["tables/"]),
    ("clap", &["cli/"]),
    ("ebur128", &["audio/"]),
    ("fluvio", &["events/fluvio/"]),
    ("hdrhistogram", &["load/record.rs"]),
    ("hmac", &["security/"]),
    ("hnsw_rs", &["index/hnsw.rs"]),
    ("hyper", &["load/client.rs"]),
    ("hyper_util", &["load/client.rs"]),
    ("indicatif", &["cli/"]),
    ("object_store", &["store/"]),
    ("ort", &["inference/"]),
    ("parquet", &["tables/"]),
    ("prost", &["http/wire/event_message.rs"]),
    ("realfft", &["audio/"]),
    ("rusqlite", &["events/embedded/", "vault/"]),
    ("serde_arrow", &["tables/"]),
    ("statrs", &["simulate/", "statistics/"]),
    ("symphonia", &["audio/"]),
];

/// Most lines of a file.
const MAX_LINES: usize = 500;

fn sources() -> Vec<Source> {
    let sources = below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(sources.len() > 20, "src was not read");
    sources
}

fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
}

/// Breaches of `MAY_IMPORT` in one file.
fn forbidden_imports(source: &Source) -> Vec<String> {
    if source.path == "lib.rs" {
        return Vec::new();
    }
    let module = source.module();
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
        return vec![format!("src/{}: module `{module}` has no rule; add it to MAY_IMPORT", source.path)];
    };
    let fits = |parts: &[String]| {
        parts[0] == module
            || allowed.iter().any(|rule| rule.split("::").eq(parts.iter().take(rule.split("::").count())))
    };
    let rule = allowed.join(", ");
    let named = source.names_from_root();
    let broken = named.iter().filter(|named| !fits(&named.parts));
    broken
        .map(|named| {
            format!("src/{}:{}: `{}`; {module} may import {rule}", source.path, named.line, named.parts.join("::"))
        })
        .collect()
}

/// Breaches of `HOMES` in one file.
fn foreign_crates(source: &Source) -> Vec<String> {
    let code = source.code(true);
    let away = HOMES.iter().filter(|(_, homes)| !homes.iter().any(|home| source.path.starts_with(home)));
    away.flat_map(|(name, homes)| {
        let rule = homes.join(", ");
        paths_from(&code, name)
            .into_iter()
            .map(move |at| format!("src/{}:{}: `{name}` lives in {rule}", source.path, at.line))
    })
    .collect()
}

/// Lines of one file that hold a word which the project does not merge.
fn unwanted_lines(source: &Source) -> Vec<String> {
    let unwanted = ["TODO", "FIXME", "XXX", "[allow("];
    let lines = source.text.lines().enumerate();
    lines
        .flat_map(|(at, line)| {
            unwanted.iter().filter(move |word| line.contains(**word)).map(move |word| (at + 1, word))
        })
        .map(|(line, word)| format!("src/{}:{line}: `{word}`", source.path))
        .collect()
}

#[test]
fn modules_import_only_what_lies_below_them() {
    let sources = sources();
    let broken: Vec<String> = without_test_files(&sources).into_iter().flat_map(forbidden_imports).collect();
    assert_none(&broken);
}

#[test]
fn heavy_crates_live_in_one_place() {
    let broken: Vec<String> = sources().iter().flat_map(foreign_crates).collect();
    assert_none(&broken);
}

#[test]
fn files_are_short_and_finished() {
    let sources = sources();
    let long =
        sources.iter().map(|source| (source, source.text.lines().count())).filter(|(_, lines)| *lines > MAX_LINES);
    let mut broken: Vec<String> = long
        .map(|(source, lines)| format!("src/{}: {lines} lines, more than {MAX_LINES}: split it by role", source.path))
        .collect();
    broken.extend(sources.iter().flat_map(unwanted_lines));
    assert_none(&broken);
}

#[test]
fn the_rules_allow_no_cycle() {
    for (at, (module, allowed)) in MAY_IMPORT.iter().enumerate() {
        for rule in allowed.iter().filter(|rule| !rule.contains("::")) {
            let below = MAY_IMPORT[..at].iter().any(|(name, _)| name == rule);
            assert!(below, "{module} may import {rule}, which is not below it");
        }
    }
}

#[test]
fn a_breach_is_found_and_named() {
    let text = "use crate::{domain::Track,\n    http::Routes};\nuse parquet::file;\n#[allow(x)]\n";
    let source = Source { path: "index/a.rs".into(), text: text.into() };
    let found = [forbidden_imports(&source), foreign_crates(&source), unwanted_lines(&source)].concat();
    let rule = "index may import domain, config, metrics, pipeline::Deadline";
    let expected = [
        format!("src/index/a.rs:1: `http::Routes`; {rule}"),
        "src/index/a.rs:3: `parquet` lives in tables/".to_owned(),
        "src/index/a.rs:4: `[allow(`".to_owned(),
    ];
    assert_eq!(found, expected);
    let stranger = Source { path: "gadget.rs".into(), text: String::new() };
    assert!(forbidden_imports(&stranger)[0].contains("add it to MAY_IMPORT"));
}
