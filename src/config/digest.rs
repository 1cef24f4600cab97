//! What tells what two configurations say apart.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use toml::Value;

use super::{Config, RuleConfig};

/// Digits of a digest.
const DIGITS: usize = 16;

/// The begin of the SHA-256 of what each section says.
pub fn section_digests(config: &Config) -> BTreeMap<String, String> {
    // A configuration can be written: `check-config --print` does so, too.
    let sections = toml::Table::try_from(config).unwrap_or_default();
    sections.into_iter().map(|(name, value)| (name, digest(&value))).collect()
}

/// That of business rules by themselves.
pub fn rules_digest(rules: &[RuleConfig]) -> String {
    digest(&Value::try_from(rules).unwrap_or(Value::Boolean(false)))
}

fn digest(value: &Value) -> String {
    let mut digits = hex::encode(Sha256::digest(value.to_string()));
    digits.truncate(DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_the_digest_of_their_section() {
        let rule = toml::from_str("name = 'a'\naction = 'block'\ngenres = ['jazz']").unwrap();
        let (with, without) = (Config { rules: vec![rule], ..Config::default() }, Config::default());
        for config in [&with, &without] {
            assert_eq!(section_digests(config)["rules"], rules_digest(&config.rules));
        }
        assert_ne!(rules_digest(&with.rules), rules_digest(&[]));
        assert_eq!(section_digests(&with)["knobs"], section_digests(&without)["knobs"]);
    }
}
