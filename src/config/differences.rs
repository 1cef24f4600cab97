//! How two configurations differ, key by key.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::Config;
use super::schema::join;

/// One key that two configurations set differently. A key without a value there is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Dotted path; tables of a list (`rules`) count as one value.
    pub key: String,
    /// In the first.
    pub before: Option<Value>,
    /// In the second.
    pub after: Option<Value>,
}

/// All keys that differ, in alphabetical order.
pub fn differences(before: &Config, after: &Config) -> Vec<Difference> {
    let (mut before, mut after) = (flat(before), flat(after));
    let keys: BTreeSet<String> = before.keys().chain(after.keys()).cloned().collect();
    keys.into_iter()
        .map(|key| Difference { before: before.remove(&key), after: after.remove(&key), key })
        .filter(|difference| difference.before != difference.after)
        .collect()
}

/// A configuration that does not serialise has no keys; a test serialises the default.
fn flat(config: &Config) -> BTreeMap<String, Value> {
    let mut keys = BTreeMap::new();
    collect("", &Table::try_from(config).unwrap_or_default(), &mut keys);
    keys
}

fn collect(path: &str, table: &Table, keys: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let path = join(path, name);
        if let Value::Table(inner) = value {
            collect(&path, inner, keys);
        } else {
            keys.insert(path, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    #[test]
    fn names_the_keys_that_differ() {
        let with = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            load(None, std::iter::empty(), &pairs).unwrap()
        };
        let before = with(&[("bundle", "a"), ("knobs.blend.skip", "0.4"), ("lanes.count", "3")]);
        let after = with(&[("knobs.blend.skip", "0.5"), ("lanes.count", "3"), ("log.level", "debug")]);
        assert!(differences(&before, &before).is_empty());
        let found = differences(&before, &after);
        let keys: Vec<&str> = found.iter().map(|difference| difference.key.as_str()).collect();
        assert_eq!(keys, ["bundle", "knobs.blend.skip", "log.level"]);
        assert_eq!((&found[0].before, &found[0].after), (&Some(Value::from("a")), &None));
        assert_eq!(found[2].after, Some(Value::from("debug")));
    }
}
