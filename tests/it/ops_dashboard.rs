//! `config/grafana/segue.json`: drawn from the registry's own descriptions and compared. After a change:
//! `SEGUE_WRITE_DASHBOARD=1 cargo nextest run ops_dashboard`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prometheus::proto::MetricType;
use segue::metrics::{Described, Metrics};
use serde_json::{Value, json};

/// Selects the nodes that the reader chose.
const NODES: &str = r#"{job="segue",instance=~"$instance"}"#;

/// What a panel draws.
enum Draws {
    /// These metrics as their type and labels say: rates of counters, gauges as they are, median and P99 of histograms.
    Metrics(&'static [&'static str]),
    /// Counters that should stay 0, as they stand: as a rate one event of last night would not be seen.
    Totals(&'static [&'static str]),
    /// Expressions, each with its legend.
    Queries(&'static [(&'static str, &'static str)]),
}
use Draws::{Metrics as Of, Queries, Totals};

/// Rows of panels: title, unit of Grafana, what is drawn.
type Row = (&'static str, &'static [(&'static str, &'static str, Draws)]);

/// The dashboard. Every metric of the registry stands in it.
const ROWS: [Row; 11] = [
    (
        "Objectives: share that misses them",
        &[
            (
                "Errors: at most 0.1 %",
                "percentunit",
                Queries(&[
                    ("5 min", "segue:errors:share_5m"),
                    ("1 h", "segue:errors:share_1h"),
                    ("3 d", "segue:errors:share_3d"),
                ]),
            ),
            (
                "Slower than 200 ms: at most 1 %",
                "percentunit",
                Queries(&[
                    ("5 min", "segue:slow:share_5m"),
                    ("1 h", "segue:slow:share_1h"),
                    ("3 d", "segue:slow:share_3d"),
                ]),
            ),
            (
                "From below the funnel: at most 1 %",
                "percentunit",
                Queries(&[
                    ("5 min", "segue:fallback:share_5m"),
                    ("1 h", "segue:fallback:share_1h"),
                    ("3 d", "segue:fallback:share_3d"),
                ]),
            ),
        ],
    ),
    (
        "Requests",
        &[
            ("Requests by route and status", "reqps", Of(&["segue_http_requests_total"])),
            ("Time by route", "s", Of(&["segue_http_request_duration_seconds"])),
            (
                "Lanes: busy, in all, requests waiting",
                "none",
                Of(&["segue_lanes_busy", "segue_lanes", "segue_lanes_queue_length"]),
            ),
            (
                "Requests in flight, their limit, newest first",
                "none",
                Of(&["segue_lanes_in_flight", "segue_lanes_in_flight_limit", "segue_lanes_newest_first"]),
            ),
            ("Refused under load, by criticality", "reqps", Of(&["segue_http_overload_refused_total"])),
            ("Requests by client", "reqps", Of(&["segue_http_client_requests_total"])),
            ("Without a known API key", "reqps", Of(&["segue_http_unauthorized_total"])),
            ("Given up after waiting", "none", Of(&["segue_lanes_given_up"])),
            ("Answers by rung", "reqps", Of(&["segue_answer_rungs_total"])),
            ("What went less than well", "reqps", Of(&["segue_answer_degraded_total"])),
        ],
    ),
    (
        "Stages",
        &[
            ("Time by stage", "s", Of(&["segue_stage_duration_seconds"])),
            ("How stages ended", "ops", Of(&["segue_stage_outcomes_total"])),
            (
                "Candidates in and out",
                "ops",
                Of(&["segue_stage_candidates_in_total", "segue_stage_candidates_out_total"]),
            ),
            ("Removed by filters", "ops", Of(&["segue_filter_removed_total"])),
            ("Tracks served by source", "ops", Of(&["segue_answer_tracks_total"])),
            ("What stages tell of their work", "none", Of(&["segue_stage_notes_total"])),
        ],
    ),
    (
        "Index",
        &[
            (
                "Recall on real requests, 1 h",
                "percentunit",
                Queries(&[(
                    "{{instance}}",
                    "increase(segue_index_probe_found_total{job=\"segue\",instance=~\"$instance\"}[1h]) / \
                     increase(segue_index_probe_wanted_total{job=\"segue\",instance=~\"$instance\"}[1h])",
                )]),
            ),
            (
                "Hits of probes: wanted, found",
                "ops",
                Of(&["segue_index_probe_wanted_total", "segue_index_probe_found_total"]),
            ),
            ("Probes left out", "ops", Of(&["segue_index_probes_dropped_total"])),
        ],
    ),
    (
        "Events",
        &[
            ("Events by what became of them", "ops", Of(&["segue_events_received_total"])),
            (
                "Entries and commits of the log",
                "ops",
                Of(&["segue_events_log_entries_total", "segue_events_log_commits_total"]),
            ),
            (
                "Should be 0: commits that failed, files damaged, entries lost",
                "none",
                Totals(&[
                    "segue_events_log_failures_total",
                    "segue_events_log_damaged_total",
                    "segue_events_log_lost_total",
                ]),
            ),
            ("Size of the log", "bytes", Of(&["segue_events_log_bytes"])),
            (
                "Late, and from clocks that were off",
                "ops",
                Of(&["segue_events_late_total", "segue_events_clock_corrected_total"]),
            ),
            (
                "Dead letters, and those dropped",
                "ops",
                Of(&["segue_events_dead_letters_total", "segue_events_dead_letters_dropped_total"]),
            ),
            ("Count for their listener alone", "ops", Of(&["segue_events_unproven_total"])),
            (
                "To and from other nodes",
                "ops",
                Of(&["segue_stream_sent_total", "segue_stream_taken_total", "segue_stream_repeated_total"]),
            ),
            ("Still to be sent to other nodes", "none", Of(&["segue_stream_unsent"])),
            (
                "Failures of the stream, records that went by unread",
                "none",
                Totals(&["segue_stream_failures_total", "segue_stream_evicted_total"]),
            ),
        ],
    ),
    (
        "Export to the archive",
        &[
            ("Events and files", "ops", Of(&["segue_archive_events_total", "segue_archive_files_total"])),
            ("Not exported yet", "none", Of(&["segue_archive_unexported"])),
            (
                "Should be 0: exports that failed, entries that went unexported",
                "none",
                Totals(&[
                    "segue_archive_failures_total",
                    "segue_archive_missing_total",
                    "segue_events_log_unexported_total",
                ]),
            ),
        ],
    ),
    (
        "State",
        &[
            ("Sessions and profiles in memory", "none", Of(&["segue_state_sessions", "segue_state_profiles"])),
            ("Changed and not on disk yet", "bytes", Of(&["segue_state_changed_bytes"])),
            ("Should be 0: damaged, lost", "none", Of(&["segue_state_damaged", "segue_state_lost"])),
            ("Looked for on disk, since the start", "none", Of(&["segue_state_disk_reads"])),
            ("Events replayed at start", "none", Of(&["segue_events_replayed"])),
        ],
    ),
    (
        "Feature log",
        &[
            ("Answers and rows", "ops", Of(&["segue_feature_log_answers_total", "segue_feature_log_rows_total"])),
            ("Bytes of finished files", "Bps", Of(&["segue_feature_log_bytes_total"])),
            (
                "Answers that went unlogged",
                "ops",
                Of(&["segue_feature_log_shed_queue_total", "segue_feature_log_shed_store_total"]),
            ),
        ],
    ),
    (
        "Drift: the last hours against the bundle's training",
        &[
            (
                "Heads, population stability index: above 0.25 shifted",
                "none",
                Queries(&[("{{instance}} {{head}}", "segue_drift_head_psi{job=\"segue\",instance=~\"$instance\"}")]),
            ),
            (
                "The ten features that differ most, population stability index",
                "none",
                Queries(&[(
                    "{{instance}} {{feature}}",
                    "topk(10, segue_drift_feature_psi{job=\"segue\",instance=~\"$instance\"})",
                )]),
            ),
            (
                "Mean probability of the heads, and in training",
                "percentunit",
                Queries(&[
                    ("{{instance}} {{head}}", "segue_drift_head_mean{job=\"segue\",instance=~\"$instance\"}"),
                    (
                        "{{head}} in training",
                        "max by (head) (segue_drift_head_trained_mean{job=\"segue\",instance=~\"$instance\"})",
                    ),
                ]),
            ),
            (
                "Relative entropy from training, nats: heads, the five features that differ most",
                "none",
                Queries(&[
                    ("{{instance}} {{head}}", "segue_drift_head_kl{job=\"segue\",instance=~\"$instance\"}"),
                    (
                        "{{instance}} {{feature}}",
                        "topk(5, segue_drift_feature_kl{job=\"segue\",instance=~\"$instance\"})",
                    ),
                ]),
            ),
            ("Answers counted", "none", Of(&["segue_drift_answers"])),
            ("From an event until features show it", "s", Of(&["segue_events_lag_seconds"])),
        ],
    ),
    (
        "Catalogue and exploration",
        &[
            (
                "Coverage, share of new tracks, of the top 1 % of artists",
                "percentunit",
                Of(&["segue_catalogue_coverage", "segue_exploration_new_share", "segue_catalogue_top_artists_share"]),
            ),
            ("Tracks served: new and known", "ops", Of(&["segue_exploration_impressions_total"])),
            ("Tracks that turned warm", "none", Of(&["segue_exploration_promoted"])),
            ("Tracks: of the bundle, added since", "none", Of(&["segue_bundle_tracks", "segue_catalogue_added"])),
            ("Takedowns", "none", Totals(&["segue_catalogue_takedowns_total"])),
            ("Answers in the arms of experiments", "ops", Of(&["segue_experiment_answers_total"])),
        ],
    ),
    (
        "Process",
        &[
            ("Nodes by version", "none", Of(&["segue_build_info"])),
            ("Nodes by bundle", "none", Of(&["segue_bundle_info"])),
            ("Swaps of the bundle", "none", Totals(&["segue_bundle_swaps_total"])),
            ("A bundle in place of one that does not load", "none", Of(&["segue_bundle_fell_back"])),
            (
                "Time since another bundle was put in place",
                "s",
                Queries(&[(
                    "{{instance}}",
                    "time() - (segue_bundle_last_swap_time_seconds{job=\"segue\",instance=~\"$instance\"} > 0)",
                )]),
            ),
            (
                "Time since the start",
                "s",
                Queries(&[(
                    "{{instance}}",
                    "time() - segue_process_start_time_seconds{job=\"segue\",instance=~\"$instance\"}",
                )]),
            ),
        ],
    ),
];

/// Queries of one metric with their legends.
fn queries(metric: &Described, alone: bool) -> Vec<(String, String)> {
    let Described { name, kind, labels, .. } = metric;
    let by = labels.join(", ");
    let values: Vec<String> = labels.iter().map(|label| format!("{{{{{label}}}}}")).collect();
    let what = if alone { String::new() } else { format!("{name} ") };
    let legend = format!("{what}{}", values.join(" "));
    match kind {
        MetricType::COUNTER => {
            let sum = if labels.is_empty() { "sum".to_owned() } else { format!("sum by ({by}) ") };
            let legend = if legend.trim().is_empty() { name } else { &legend };
            vec![(legend.trim().to_owned(), format!("{sum}(rate({name}{NODES}[$__rate_interval]))"))]
        }
        MetricType::HISTOGRAM => [("P50", 0.5), ("P99", 0.99)]
            .map(|(quantile, q)| {
                let rate = format!("sum by (le, {by}) (rate({name}_bucket{NODES}[$__rate_interval]))");
                (format!("{quantile} {legend}"), format!("histogram_quantile({q}, {rate})"))
            })
            .into(),
        MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED if labels.is_empty() => {
            vec![(format!("{what}{{{{instance}}}}"), format!("{name}{NODES}"))]
        }
        MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => {
            vec![(legend, format!("count by ({by}) ({name}{NODES})"))]
        }
    }
}

/// Queries of a panel, each with its legend, and what it shows in words.
fn drawn(draws: &Draws, metrics: &BTreeMap<String, Described>) -> (Vec<(String, String)>, String) {
    let find = |name: &&str| {
        let metric = metrics.get(*name);
        assert!(metric.is_some(), "{name}: a panel shows it, nothing registers it");
        metric.unwrap()
    };
    let help = |names: &[&str]| names.iter().map(|name| find(name).help.clone()).collect::<Vec<_>>().join(" ");
    match draws {
        Draws::Metrics(names) => {
            (names.iter().flat_map(|name| queries(find(name), names.len() == 1)).collect(), help(names))
        }
        Draws::Totals(names) => {
            let total = |name: &&str| (format!("{} {{{{instance}}}}", find(name).name), format!("{name}{NODES}"));
            (names.iter().map(total).collect(), help(names))
        }
        Draws::Queries(queries) => {
            let owned = queries.iter().map(|(legend, query)| ((*legend).to_owned(), (*query).to_owned()));
            (owned.collect(), String::new())
        }
    }
}

/// The dashboard as Grafana imports it.
fn dashboard() -> Value {
    let metrics = Metrics::new().unwrap().described();
    let metrics: BTreeMap<_, _> = metrics.into_iter().map(|metric| (metric.name.clone(), metric)).collect();
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    let (mut panels, mut y) = (Vec::new(), 0);
    for (title, row) in &ROWS {
        let place = json!({"x": 0, "y": y, "w": 24, "h": 1});
        panels.push(json!({"id": panels.len() + 1, "type": "row", "title": title, "gridPos": place}));
        y += 1;
        for (at, (title, unit, draws)) in row.iter().enumerate() {
            let (queries, help) = drawn(draws, &metrics);
            let targets: Vec<_> = queries
                .iter()
                .zip('A'..)
                .map(|((legend, query), id)| {
                    json!({"refId": id.to_string(), "expr": query, "legendFormat": legend, "datasource": source})
                })
                .collect();
            panels.push(json!({
                "id": panels.len() + 1, "type": "timeseries", "title": title, "description": help,
                "datasource": source, "targets": targets,
                "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                "gridPos": {"x": at % 3 * 8, "y": y + at / 3 * 7, "w": 8, "h": 7},
            }));
        }
        y += row.len().div_ceil(3) * 7;
    }
    let instances = "label_values(up{job=\"segue\"}, instance)";
    json!({
        "uid": "segue", "title": "Segue", "tags": ["segue"], "schemaVersion": 38, "editable": true,
        "refresh": "30s", "time": {"from": "now-3h", "to": "now"}, "panels": panels,
        "templating": {"list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
            {"name": "instance", "type": "query", "label": "Node", "datasource": source, "query": instances,
             "includeAll": true, "allValue": ".*", "multi": true, "refresh": 2, "current": {"text": "All", "value": "$__all"}},
        ]},
    })
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Words of a text that begin as metrics do.
fn named(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c))).filter(|word| word.starts_with("segue_"))
}

/// Whether a word names this metric or a series of it.
fn names(word: &str, metric: &Described) -> bool {
    let series = word.strip_prefix(metric.name.as_str());
    let histogram = metric.kind == MetricType::HISTOGRAM;
    series.is_some_and(|rest| rest.is_empty() || histogram && ["_bucket", "_sum", "_count"].contains(&rest))
}

/// The files of a folder whose names end so.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

#[test]
fn ops_dashboard_is_drawn_from_the_registry() {
    let file = root().join("config/grafana/segue.json");
    let drawn = serde_json::to_string_pretty(&dashboard()).unwrap() + "\n";
    if std::env::var_os("SEGUE_WRITE_DASHBOARD").is_some() {
        std::fs::write(&file, &drawn).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept == drawn, "{} is old: SEGUE_WRITE_DASHBOARD=1 cargo nextest run ops_dashboard", file.display());
}

#[test]
fn ops_dashboard_shows_every_metric() {
    let text = dashboard().to_string();
    let metrics = Metrics::new().unwrap().described();
    let hidden: Vec<_> = metrics.iter().filter(|metric| !named(&text).any(|word| names(word, metric))).collect();
    assert!(hidden.is_empty(), "no panel of tests/it/ops_dashboard.rs shows {hidden:?}");
}

#[test]
fn ops_names_exist() {
    let metrics = Metrics::new().unwrap().described();
    let mut read = files(&root().join("docs"), ".md");
    read.extend(files(&root().join("config/prometheus"), ".yml"));
    read.extend(files(&root().join("config/grafana"), ".json"));
    read.extend(files(&root().join("deploy/kubernetes"), ".yaml"));
    read.push(root().join("README.md"));
    let mut found = 0;
    for file in read {
        let text = std::fs::read_to_string(&file).unwrap();
        for name in named(&text) {
            found += 1;
            let known = metrics.iter().any(|metric| names(name, metric));
            assert!(known, "{}: no metric is named {name}", file.display());
        }
    }
    assert!(found > 100, "the files were not read");
}

#[test]
fn ops_every_alert_has_its_section_and_its_test() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let (rules, tests, runbook) =
        (read("config/prometheus/alerts.yml"), read("config/prometheus/alerts_test.yml"), read("docs/runbook.md"));
    let after = |text: &str, mark: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.trim().strip_prefix(mark)).map(|rest| rest.trim().to_owned()).collect()
    };
    let alerts = after(&rules, "- alert:");
    let links = after(&rules, "runbook_url: docs/runbook.md#");
    let sections: Vec<String> =
        after(&runbook, "## Segue").iter().map(|name| format!("segue{name}").to_lowercase()).collect();
    assert!(alerts.len() > 10 && alerts.len() == links.len(), "an alert without a section: {alerts:?} {links:?}");
    for link in &links {
        assert!(sections.contains(link), "docs/runbook.md has no section {link}");
    }
    for section in &sections {
        assert!(links.contains(section), "no alert leads to the section {section} of docs/runbook.md");
    }
    let tested = after(&tests, "alertname:");
    for alert in &alerts {
        assert!(tested.contains(alert), "alerts_test.yml does not test {alert}");
    }
    for mark in ["summary:", "description:", "labels: {severity:"] {
        assert_eq!(after(&rules, mark).len(), alerts.len(), "{mark}");
    }
}
