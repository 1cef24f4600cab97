//! `[[intents]]`: what a session's intent turns (`docs/intents.md`).

use crate::domain::BlendWeights;

/// Most entries.
const MAX_INTENTS: usize = 64;
/// Longest label, bytes, as in bundles.
const MAX_LABEL_BYTES: usize = 64;

/// One of `[[intents]]`. What is given here is approached as far as it is sure that the session is for this: not at all where
/// that is as good as chance, wholly where there is no doubt. What is absent stays.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentConfig {
    /// A label of the bundle's prototypes or rules; one that the bundle lacks turns nothing. 1 to 64 bytes, no two alike.
    pub label: String,
    /// Weights of the heads instead of `knobs.blend`, all three. Range 0..10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blend: Option<BlendWeights>,
    /// `discovery` of requests that give none, unless an arm sets it to 0. Range 0..1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<f32>,
    /// `diversity` of requests that give none, unless an arm sets it to 0. Range 0..1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diversity: Option<f32>,
}

impl IntentConfig {
    /// What is wrong with it by itself.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.label.is_empty() || self.label.len() > MAX_LABEL_BYTES {
            faults.push(format!("`label` must have 1 to {MAX_LABEL_BYTES} bytes"));
        }
        let blend = self.blend.map(|blend| [blend.complete, blend.skip, blend.like]);
        if blend.is_some_and(|weights| weights.iter().any(|weight| !(0.0..=10.0).contains(weight))) {
            faults.push("`blend` must lie in 0..10".into());
        }
        for (key, dial) in [("discovery", self.discovery), ("diversity", self.diversity)] {
            if dial.is_some_and(|dial| !(0.0..=1.0).contains(&dial)) {
                faults.push(format!("`{key}` must lie in 0..1"));
            }
        }
        if self.blend.is_none() && self.discovery.is_none() && self.diversity.is_none() {
            faults.push("it must turn something: `blend`, `discovery` or `diversity`".into());
        }
        faults
    }
}

/// What is wrong with the entries, each by itself and beside the others.
pub(super) fn faults(intents: &[IntentConfig]) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, intent) in intents.iter().enumerate() {
        let of = |fault: String| format!("intent {} ({:?}): {fault}", at + 1, intent.label);
        faults.extend(intent.faults().into_iter().map(of));
        if intents[..at].iter().any(|other| other.label == intent.label) {
            faults.push(of("another entry has that label".into()));
        }
    }
    if intents.len() > MAX_INTENTS {
        faults.push(format!("there are {} intents; at most {MAX_INTENTS} are taken", intents.len()));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named() {
        #[derive(serde::Deserialize)]
        struct File {
            intents: Vec<IntentConfig>,
        }
        let read = |text: &str| toml::from_str::<File>(text).unwrap().intents;
        let text = "[[intents]]\nlabel='focus'\ndiscovery=1.5\n[[intents]]\nlabel=''\n[[intents]]\nlabel='focus'\n\
                    diversity=-0.1\nblend={complete=1.0,skip=11.0,like=0.0}\n";
        let expected = [
            "intent 1 (\"focus\"): `discovery` must lie in 0..1",
            "intent 2 (\"\"): `label` must have 1 to 64 bytes",
            "intent 2 (\"\"): it must turn something: `blend`, `discovery` or `diversity`",
            "intent 3 (\"focus\"): `blend` must lie in 0..10",
            "intent 3 (\"focus\"): `diversity` must lie in 0..1",
            "intent 3 (\"focus\"): another entry has that label",
        ];
        assert_eq!(faults(&read(text)), expected);
        assert!(faults(&read("[[intents]]\nlabel='party'\ndiscovery=0.1\n")).is_empty());
    }
}
