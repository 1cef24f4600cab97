//! Which keys there are and what type each has, read off the default configuration.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::Config;

/// Keys that have no default, hence are not in the serialised default configuration. All are written as text.
const WITHOUT_DEFAULT: [&str; 11] = [
    "bundle",
    "bundles.dir",
    "events.export.dir",
    "events.fluvio.endpoint",
    "feature_log.dir",
    "inference.library",
    "retrain.command",
    "retrain.file",
    "retrain.webhook",
    "server.admin_listen",
    "signals.feedback.secret_file",
];

/// How close a key must be to be suggested: 1 = equal.
const CLOSE_ENOUGH: f64 = 0.7;

/// What a dotted path names.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Known {
    /// A table of keys.
    Section,
    /// A key; the sample has its type.
    Key {
        /// Its default, or an empty string for a key without one.
        sample: Value,
    },
}

/// The keys of `Config`.
#[derive(Debug)]
pub(super) struct Schema {
    known: BTreeMap<String, Known>,
    defaults: Table,
}

impl Schema {
    /// Reads the keys off `Config::default()`.
    #[expect(clippy::expect_used, reason = "the default configuration is a constant, and a test below serialises it")]
    pub(super) fn new() -> Self {
        let defaults = Table::try_from(Config::default()).expect("the default configuration serialises");
        let mut known = BTreeMap::new();
        collect("", &defaults, &mut known);
        let sample = Value::String(String::new());
        known.extend(WITHOUT_DEFAULT.map(|key| (key.to_owned(), Known::Key { sample: sample.clone() })));
        Self { known, defaults }
    }

    /// What `path` names; `None` for an unknown key.
    pub(super) fn get(&self, path: &str) -> Option<&Known> {
        self.known.get(path)
    }

    /// Every key that is not a section, with its sample.
    #[cfg(test)]
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.known.iter().filter_map(|(path, known)| match known {
            Known::Key { sample } => Some((path.as_str(), sample)),
            Known::Section => None,
        })
    }

    /// The default configuration as a table.
    pub(super) fn defaults(&self) -> &Table {
        &self.defaults
    }

    /// The known path closest to an unknown one: in spelling, or with the same name in another section.
    pub(super) fn closest(&self, path: &str) -> Option<String> {
        let closeness = |known: &str| {
            let whole = strsim::normalized_damerau_levenshtein(path, known);
            let name = strsim::normalized_damerau_levenshtein(last(path), last(known));
            whole.max(0.9 * name)
        };
        let scored = self.known.keys().map(|known| (closeness(known), known));
        let best = scored.max_by(|(a, known_a), (b, known_b)| a.total_cmp(b).then(known_b.cmp(known_a)))?;
        (best.0 >= CLOSE_ENOUGH).then(|| best.1.clone())
    }
}

/// Puts `value` at a dotted path, making the tables on the way.
pub(super) fn place(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                place(inner, rest, value);
            }
        }
    }
}

/// `prefix.name`, the name quoted where it is not a bare TOML key, so that no name can pose as a path.
pub(super) fn join(prefix: &str, name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let name = if bare { name.to_owned() } else { format!("{name:?}") };
    if prefix.is_empty() { name } else { format!("{prefix}.{name}") }
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

fn collect(prefix: &str, table: &Table, known: &mut BTreeMap<String, Known>) {
    for (name, value) in table {
        let path = join(prefix, name);
        if let Value::Table(inner) = value {
            collect(&path, inner, known);
            known.insert(path, Known::Section);
        } else {
            known.insert(path, Known::Key { sample: value.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names that serde accepts in a section, taken from its complaint about an unknown one.
    fn names_serde_accepts(section: &str) -> Vec<String> {
        let mut table = Table::new();
        place(&mut table, &join(section, "no_such_key"), Value::Boolean(true));
        let message = table.try_into::<Config>().unwrap_err().message().to_owned();
        message.split('`').skip(3).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn knows_exactly_the_keys_that_serde_accepts() {
        let schema = Schema::new();
        let sections =
            schema.known.iter().filter(|(_, known)| **known == Known::Section).map(|(path, _)| path.as_str());
        let mut accepted: Vec<String> = sections
            .chain([""])
            .flat_map(|section| names_serde_accepts(section).into_iter().map(move |name| join(section, &name)))
            .collect();
        accepted.sort();
        let known: Vec<String> = schema.known.keys().cloned().collect();
        assert_eq!(known, accepted);
        assert!(known.contains(&"knobs.blend.skip".to_owned()) && known.contains(&"bundle".to_owned()));
    }

    #[test]
    fn suggests_close_names_and_names_of_other_sections() {
        let schema = Schema::new();
        let cases = [
            ("servr", Some("server")),
            ("lanes.cuont", Some("lanes.count")),
            ("budget_ms", Some("server.budget_ms")),
            ("index.library", Some("inference.library")),
            ("qqqq", None),
            ("", None),
        ];
        for (wrong, right) in cases {
            assert_eq!(schema.closest(wrong).as_deref(), right, "{wrong}");
        }
    }
}
