//! Whether a value is one that its key allows.

use std::collections::BTreeMap;

use toml::Value;
use tracing_subscriber::EnvFilter;

use super::faults::{Fault, Problem};
use super::layers::Setting;
use super::{Config, QueryShares};

/// The range of every numeric key, both ends allowed.
const RANGES: &[(&str, f64, f64)] = &[
    ("bundles.least_recall", 0.0, 1.0),
    ("guardrail.requests", 0.0, 10_000.0),
    ("guardrail.most_turnover", 0.0, 1.0),
    ("guardrail.most_loss", 0.0, 1.0),
    ("server.workers", 0.0, 256.0),
    ("server.body_limit_bytes", 1_024.0, 16_777_216.0),
    ("server.budget_ms", 1.0, 60_000.0),
    ("server.drain_s", 0.0, 300.0),
    ("server.max_list_len", 1.0, 10_000.0),
    ("lanes.count", 0.0, 1_024.0),
    ("lanes.queue_capacity", 1.0, 65_536.0),
    ("lanes.wait_target_ms", 1.0, 60_000.0),
    ("index.exact_below", 0.0, 10_000_000.0),
    ("index.cell_rows", 32.0, 65_536.0),
    ("index.miss", 0.0, 1.0),
    ("index.connections", 4.0, 64.0),
    ("index.ef_construction", 8.0, 2_000.0),
    ("index.ef_factor", 1.0, 10.0),
    ("index.probe_every", 0.0, 1_000_000_000.0),
    ("inference.device_id", 0.0, 255.0),
    ("retrieval.two_tower", 0.0, 10_000.0),
    ("retrieval.popular", 0.0, 10_000.0),
    ("retrieval.session_artists", 0.0, 10_000.0),
    ("retrieval.sequential_rules", 0.0, 10_000.0),
    ("retrieval.own_tracks", 0.0, 10_000.0),
    ("retrieval.fresh", 0.0, 10_000.0),
    ("retrieval.exploration", 0.0, 10_000.0),
    ("retrieval.fresh_days", 1.0, 3_650.0),
    ("retrieval.queries.seeds", 0.0, 0.5),
    ("retrieval.queries.session", 0.0, 0.5),
    ("retrieval.queries.long_term", 0.0, 0.5),
    ("retrieval.queries.after_skips", 0.0, 0.5),
    ("ranking.first_phase", 0.0, 10_000.0),
    ("rerank.audio_share", 0.0, 1.0),
    ("rerank.artist_most", 1.0, 50.0),
    ("rerank.album_most", 1.0, 50.0),
    ("rerank.album_window", 1.0, 100.0),
    ("rerank.recording_window", 1.0, 100.0),
    ("rerank.beam_width", 1.0, 1_024.0),
    ("rerank.transition_hold", 0.0, 1.0),
    ("rerank.satiation.strength", 0.0, 5.0),
    ("rerank.satiation.half_life_h", 0.1, 8_760.0),
    ("rerank.satiation.favourite", 0.1, 1.0),
    ("exploration.new_plays", 0.0, 1_000_000.0),
    ("exploration.floor", 0.0, 1.0),
    ("exploration.ceiling", 0.0, 1.0),
    ("exploration.window", 100.0, 10_000_000.0),
    ("signals.completion.half_life_days", 1.0, 3_650.0),
    ("signals.completion.all_plays", 0.1, 100_000.0),
    ("signals.completion.genre_plays", 0.1, 100_000.0),
    ("signals.completion.artist_plays", 0.1, 100_000.0),
    ("signals.completion.warm_impressions", 1.0, 1_000_000.0),
    ("signals.completion.warm_width", 0.0, 1.0),
    ("signals.feedback.valid_h", 1.0, 720.0),
    ("signals.feedback.plays_per_day", 0.0, 10_000.0),
    ("signals.feedback.track_plays_per_day", 0.0, 10_000.0),
    ("signals.feedback.trust_tracks", 0.0, 1_000.0),
    ("signals.early_skip_ms", 0.0, 60_000.0),
    ("signals.positive_ms", 1_000.0, 600_000.0),
    ("signals.skip_decay", 0.0, 1.0),
    ("signals.skip_half_life_min", 1.0, 1_440.0),
    ("signals.forgive", 0.0, 1.0),
    ("signals.affinity_half_life_days", 1.0, 3_650.0),
    ("state.session_idle_min", 1.0, 1_440.0),
    ("state.sessions_mib", 1.0, 1_048_576.0),
    ("state.profiles_mib", 1.0, 1_048_576.0),
    ("state.allowed_lateness_s", 0.0, 31_536_000.0),
    ("state.duplicate_window", 1.0, 1_000_000_000.0),
    ("catalogue.max_added", 0.0, 10_000_000.0),
    ("events.max_batch", 1.0, 10_000.0),
    ("events.max_future_s", 0.0, 86_400.0),
    ("events.max_age_days", 1.0, 3_650.0),
    ("events.clock_correction_max_s", 0.0, 3_153_600_000.0),
    ("events.capture_every", 0.0, 1_000_000_000.0),
    ("events.dead_letters_mib", 1.0, 65_536.0),
    ("events.retain_days", 1.0, 3_650.0),
    ("events.retain_mib", 16.0, 16_777_216.0),
    ("events.export.every_s", 1.0, 86_400.0),
    ("events.fluvio.partitions", 1.0, 1_024.0),
    ("events.fluvio.replicas", 1.0, 16.0),
    ("events.fluvio.linger_ms", 0.0, 1_000.0),
    ("events.fluvio.batch_kib", 16.0, 8_192.0),
    ("events.fluvio.fetch_kib", 16.0, 262_144.0),
    ("events.snapshot_s", 1.0, 86_400.0),
    ("feature_log.unserved_share", 0.0, 1.0),
    ("feature_log.queue", 1.0, 65_536.0),
    ("feature_log.part_s", 1.0, 86_400.0),
    ("feature_log.part_rows", 1.0, 1_000_000_000.0),
    ("feature_log.wait_min", 1.0, 10_080.0),
    ("drift.candidates", 0.0, 1_000.0),
    ("drift.window_min", 10.0, 43_200.0),
    ("retrain.auc_below", 0.0, 1.0),
    ("retrain.auc_margin", 0.0, 1.0),
    ("retrain.psi_above", 0.0, 100.0),
    ("retrain.psi_margin", 0.0, 100.0),
    ("retrain.hold_min", 0.0, 43_200.0),
    ("retrain.cool_down_h", 0.0, 8_760.0),
    ("trace.recent_mib", 0.0, 65_536.0),
    ("trace.recent_s", 1.0, 604_800.0),
    ("trace.sample_every", 0.0, 1_000_000_000.0),
    ("trace.sampled_mib", 0.0, 65_536.0),
    ("trace.sampled_h", 1.0, 8_760.0),
    ("knobs.blend.complete", 0.0, 10.0),
    ("knobs.blend.skip", 0.0, 10.0),
    ("knobs.blend.like", 0.0, 10.0),
    ("knobs.popularity_penalty", 0.0, 5.0),
    ("knobs.skip_penalty", 0.0, 5.0),
    ("knobs.artist_window", 1.0, 50.0),
];

/// Keys that hold places of a list.
const PLACES: [&str; 2] = ["exploration.positions", "exploration.more_positions"];

/// Checks one setting by itself: type, range, and the key's own rule.
pub(super) fn one_key(setting: &Setting) -> Result<(), Problem> {
    let wrong_type = |expected: &str| Err(Problem::WrongType { expected: expected.into() });
    match (&setting.sample, &setting.value) {
        (Value::Integer(_), Value::Integer(given)) => in_range(&setting.key, *given as f64),
        (Value::Integer(_), _) => wrong_type("a whole number"),
        (Value::Float(_), Value::Integer(given)) => in_range(&setting.key, *given as f64),
        (Value::Float(_), Value::Float(given)) => in_range(&setting.key, *given),
        (Value::Float(_), _) => wrong_type("a number"),
        (Value::Boolean(_), Value::Boolean(_)) => Ok(()),
        (Value::Boolean(_), _) => wrong_type("true or false"),
        (Value::String(_), Value::String(given)) => text(&setting.key, given),
        (Value::String(_), _) => wrong_type("text in quotes"),
        (Value::Array(_), Value::Array(given)) if PLACES.contains(&&*setting.key) => places(given),
        (Value::Datetime(_) | Value::Array(_) | Value::Table(_), _) => Ok(()),
    }
}

/// Checks what depends on several keys. `given`: the winning setting of each key that a layer set.
pub(super) fn across_keys(config: &Config, given: &BTreeMap<String, Setting>) -> Option<Fault> {
    early_skips(config, given)
        .or_else(|| exposure(config, given))
        .or_else(|| queries(config, given))
        .or_else(|| listed("rules", &super::rules::faults(&config.rules), given))
        .or_else(|| listed("experiments", &super::experiments::faults(&config.experiments), given))
        .or_else(|| listed("intents", &super::intents::faults(&config.intents), given))
        .or_else(|| listed("keys", &super::keys::faults(&config.keys), given))
}

/// What is wrong with a list of tables.
fn listed(key: &str, faults: &[String], given: &BTreeMap<String, Setting>) -> Option<Fault> {
    let set_by = given.get(key).filter(|_| !faults.is_empty())?;
    Some(set_by.fault(Problem::Refused(faults.join("; "))))
}

fn exposure(config: &Config, given: &BTreeMap<String, Setting>) -> Option<Fault> {
    let (floor, ceiling) = (config.exploration.floor, config.exploration.ceiling);
    if floor <= ceiling {
        return None;
    }
    let set_by = given.get("exploration.floor").or_else(|| given.get("exploration.ceiling"))?;
    let why = format!("exploration.floor ({floor}) must not exceed exploration.ceiling ({ceiling})");
    Some(set_by.fault(Problem::Refused(why)))
}

fn queries(config: &Config, given: &BTreeMap<String, Setting>) -> Option<Fault> {
    let QueryShares { seeds, session, long_term, after_skips } = config.retrieval.queries;
    let sum = seeds + session + long_term.max(after_skips);
    if sum <= 0.9 {
        return None;
    }
    let names = ["seeds", "session", "long_term", "after_skips"];
    let set_by = names.iter().find_map(|name| given.get(&format!("retrieval.queries.{name}")))?;
    let why =
        format!("the shares of retrieval.queries are {sum:.2} together; at most 0.9, the user vector has the rest");
    Some(set_by.fault(Problem::Refused(why)))
}

fn early_skips(config: &Config, given: &BTreeMap<String, Setting>) -> Option<Fault> {
    let signals = &config.signals;
    if signals.early_skip_ms <= signals.positive_ms {
        return None;
    }
    let set_by = given.get("signals.early_skip_ms").or_else(|| given.get("signals.positive_ms"))?;
    let (early, positive) = (signals.early_skip_ms, signals.positive_ms);
    let why = format!("signals.early_skip_ms ({early}) must not exceed signals.positive_ms ({positive})");
    Some(set_by.fault(Problem::Refused(why)))
}

/// Each entry is a place of a list.
fn places(given: &[Value]) -> Result<(), Problem> {
    let is_place = |value: &Value| value.as_integer().is_some_and(|place| (1..=100).contains(&place));
    if given.iter().all(is_place) { Ok(()) } else { Err(Problem::Refused("each must be a place, 1..100".into())) }
}

fn in_range(key: &str, given: f64) -> Result<(), Problem> {
    match RANGES.iter().find(|(ranged, ..)| *ranged == key) {
        Some((_, least, most)) if !(*least..=*most).contains(&given) => Err(Problem::OutOfRange(range(*least, *most))),
        Some(_) | None => Ok(()),
    }
}

fn text(key: &str, given: &str) -> Result<(), Problem> {
    if given.is_empty() {
        return Err(Problem::Refused("must not be empty".into()));
    }
    if key == "log.level" {
        let wrong = |e| Problem::Refused(format!("not a filter such as `info` or `segue=debug`: {e}"));
        return EnvFilter::try_new(given).map(|_| ()).map_err(wrong);
    }
    Ok(())
}

/// `least..most`, digits grouped as TOML allows.
fn range(least: f64, most: f64) -> String {
    format!("{}..{}", grouped(least), grouped(most))
}

fn grouped(number: f64) -> String {
    let digits = number.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    String::from_utf8_lossy(&groups.join(&b'_')).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::schema::Schema;
    use super::*;

    #[test]
    fn every_numeric_key_has_a_range_and_a_default_inside_it() {
        let schema = Schema::new();
        let numeric: BTreeMap<&str, f64> = schema
            .keys()
            .filter_map(|(key, sample)| Some((key, sample.as_float().or(sample.as_integer().map(|i| i as f64))?)))
            .collect();
        let ranged: BTreeMap<&str, (f64, f64)> =
            RANGES.iter().map(|(key, least, most)| (*key, (*least, *most))).collect();
        assert_eq!(numeric.keys().collect::<Vec<_>>(), ranged.keys().collect::<Vec<_>>());
        assert_eq!(ranged.len(), RANGES.len());
        for (key, default) in numeric {
            assert!((ranged[key].0..=ranged[key].1).contains(&default), "{key}");
            assert!(in_range(key, f64::NAN).is_err() && in_range(key, f64::INFINITY).is_err(), "{key}");
        }
    }

    /// The comment lines right above `key`'s line in the file that ships.
    fn comment_above(file: &str, section: &str, name: &str) -> String {
        let mut current = String::new();
        let mut comment = String::new();
        for line in file.lines() {
            let bare = line.trim_start_matches("# ");
            if let Some(header) = line.strip_prefix('[') {
                current = header.trim_end_matches(']').to_owned();
            } else if current == section && bare.starts_with(&format!("{name} = ")) {
                return comment;
            }
            comment = if line.starts_with('#') { comment + line + "\n" } else { String::new() };
        }
        panic!("config/segue.toml does not show {section}.{name}");
    }

    #[test]
    fn the_file_that_ships_documents_every_key_and_its_range() {
        let file = include_str!("../../config/segue.toml");
        for (key, _) in Schema::new().keys() {
            let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
            let comment = comment_above(file, section, name);
            assert!(!comment.is_empty(), "{key} has no comment");
            if let Some((_, least, most)) = RANGES.iter().find(|(ranged, ..)| *ranged == key) {
                let shown = format!("range {}.", range(*least, *most));
                assert!(comment.contains(&shown), "{key}: the comment does not say `{shown}`");
            }
        }
    }

    #[test]
    fn groups_digits_as_toml_does() {
        assert_eq!(range(0.0, 16_777_216.0), "0..16_777_216");
        assert_eq!(range(1.0, 100.0), "1..100");
    }
}
