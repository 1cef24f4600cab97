//! `[[experiments]]` (`docs/experiments.md`).

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{BlendWeights, Knobs};

/// Most experiments.
const MAX_EXPERIMENTS: usize = 50;
/// Most arms of one.
const MAX_ARMS: usize = 10;
/// Largest weight of an arm.
const MAX_WEIGHT: u32 = 1_000;
/// Rounding that ranges of a layer may overlap by.
const ROUNDING: f64 = 1e-9;

/// One of `[[experiments]]`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentConfig {
    /// Its name in answers, the feature log and metrics: 1 to 64 of a-z, 0-9, - and _; no two alike.
    pub name: String,
    /// Experiments of one layer share no listener; layers are independent of each other. Default `main`.
    #[serde(default = "main_layer")]
    pub layer: String,
    /// Share of all listeners, above 0 and up to 1.
    pub share: f64,
    /// Where its part of the layer begins, 0..1. Absent: behind the one before it in the file. Give it where experiments of a
    /// layer come and go, so that those that stay keep their listeners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<f64>,
    /// Parts listeners anew: with another salt they are in other arms. Absent: the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// Its listeners are held back from every other experiment, of any layer. Default false.
    #[serde(default)]
    pub holdback: bool,
    /// The arms, the first of which the others are compared with.
    pub arms: Vec<ArmConfig>,
}

fn main_layer() -> String {
    "main".into()
}

/// An arm: what it sets otherwise. What it leaves out stays as it is for everybody.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmConfig {
    /// Its name: 1 to 64 of a-z, 0-9, - and _; no two of an experiment alike.
    pub name: String,
    /// Listeners of it, relative to the other arms. Range 1..1,000.
    pub weight: u32,
    /// `knobs.blend`, all three weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blend: Option<BlendWeights>,
    /// `knobs.popularity_penalty`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub popularity_penalty: Option<f32>,
    /// `knobs.skip_penalty`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_penalty: Option<f32>,
    /// `knobs.artist_window`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artist_window: Option<usize>,
    /// `knobs.explore`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explore: Option<bool>,
    /// `discovery` of requests that give none. Range 0..1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<f32>,
    /// `diversity` of requests that give none. Range 0..1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diversity: Option<f32>,
}

/// What an arm can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// Weights of the heads.
    Blend,
    /// The popularity penalty.
    PopularityPenalty,
    /// The skip penalty.
    SkipPenalty,
    /// The artists' window.
    ArtistWindow,
    /// Exploration.
    Explore,
    /// The discovery of requests that give none.
    Discovery,
    /// The diversity of requests that give none.
    Diversity,
}

impl Setting {
    /// All of them, with their keys.
    const ALL: [(Self, &'static str); 7] = [
        (Self::Blend, "blend"),
        (Self::PopularityPenalty, "popularity_penalty"),
        (Self::SkipPenalty, "skip_penalty"),
        (Self::ArtistWindow, "artist_window"),
        (Self::Explore, "explore"),
        (Self::Discovery, "discovery"),
        (Self::Diversity, "diversity"),
    ];

    /// Whether two arms set it alike.
    fn is_alike(self, a: &ArmConfig, b: &ArmConfig) -> bool {
        match self {
            Self::Blend => a.blend == b.blend,
            Self::PopularityPenalty => a.popularity_penalty == b.popularity_penalty,
            Self::SkipPenalty => a.skip_penalty == b.skip_penalty,
            Self::ArtistWindow => a.artist_window == b.artist_window,
            Self::Explore => a.explore == b.explore,
            Self::Discovery => a.discovery == b.discovery,
            Self::Diversity => a.diversity == b.diversity,
        }
    }
}

impl ArmConfig {
    /// The weights with what it sets in them.
    pub fn apply(&self, knobs: Knobs) -> Knobs {
        Knobs {
            blend: self.blend.unwrap_or(knobs.blend),
            popularity_penalty: self.popularity_penalty.unwrap_or(knobs.popularity_penalty),
            skip_penalty: self.skip_penalty.unwrap_or(knobs.skip_penalty),
            artist_window: self.artist_window.unwrap_or(knobs.artist_window),
            explore: self.explore.unwrap_or(knobs.explore),
        }
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = name_faults(&self.name);
        if !(1..=MAX_WEIGHT).contains(&self.weight) {
            faults.push(format!("`weight` must lie in 1..{MAX_WEIGHT}"));
        }
        let blend = self.blend.map(|blend| [blend.complete, blend.skip, blend.like]);
        let numbers = [
            ("blend", 10.0, blend.map_or_else(Vec::new, |blend| blend.to_vec())),
            ("popularity_penalty", 5.0, self.popularity_penalty.into_iter().collect()),
            ("skip_penalty", 5.0, self.skip_penalty.into_iter().collect()),
            ("discovery", 1.0, self.discovery.into_iter().collect()),
            ("diversity", 1.0, self.diversity.into_iter().collect()),
        ];
        for (key, most, values) in numbers {
            if values.iter().any(|value: &f32| !(0.0..=most).contains(value)) {
                faults.push(format!("`{key}` must lie in 0..{most}"));
            }
        }
        if self.artist_window.is_some_and(|window| !(1..=50).contains(&window)) {
            faults.push("`artist_window` must lie in 1..50".into());
        }
        faults
    }
}

impl ExperimentConfig {
    /// What its arms do not set alike.
    pub fn differs(&self) -> BTreeSet<Setting> {
        let differ = |setting: &Setting| self.arms.windows(2).any(|pair| !setting.is_alike(&pair[0], &pair[1]));
        Setting::ALL.iter().map(|(setting, _)| *setting).filter(differ).collect()
    }

    /// What any of its arms sets.
    fn sets(&self) -> BTreeSet<Setting> {
        let none = ArmConfig::default();
        let set = |setting: &Setting| self.arms.iter().any(|arm| !setting.is_alike(arm, &none));
        Setting::ALL.iter().map(|(setting, _)| *setting).filter(set).collect()
    }

    /// What is wrong with it by itself.
    fn faults(&self) -> Vec<String> {
        let mut faults = name_faults(&self.name);
        if self.layer.is_empty() || self.salt.as_ref().is_some_and(String::is_empty) {
            faults.push("`layer` and `salt` must not be empty".into());
        }
        if !(self.share > 0.0 && self.share <= 1.0) || self.from.is_some_and(|from| !(0.0..1.0).contains(&from)) {
            faults.push("`share` must be above 0 and at most 1, `from` at least 0 and below 1".into());
        }
        let least = if self.holdback { 1 } else { 2 };
        if !(least..=MAX_ARMS).contains(&self.arms.len()) {
            faults.push(format!("it must have {least} to {MAX_ARMS} arms"));
        }
        for (at, arm) in self.arms.iter().enumerate() {
            faults.extend(arm.faults().into_iter().map(|fault| format!("arm {:?}: {fault}", arm.name)));
            if self.arms[..at].iter().any(|other| other.name == arm.name) {
                faults.push(format!("arm {:?}: another arm has that name", arm.name));
            }
        }
        faults
    }
}

fn name_faults(name: &str) -> Vec<String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let wrong = name.is_empty() || name.len() > 64 || !name.chars().all(is_plain);
    wrong.then(|| "`name` must be 1 to 64 of a-z, 0-9, - and _".to_owned()).into_iter().collect()
}

/// The layer of an experiment; those that hold back have one of their own.
fn layer(experiment: &ExperimentConfig) -> (bool, &str) {
    if experiment.holdback { (true, "") } else { (false, &experiment.layer) }
}

/// The part of its layer that each experiment has, `[from, until)` of 0..1.
pub fn parts(experiments: &[ExperimentConfig]) -> Vec<(f64, f64)> {
    let mut ends: BTreeMap<(bool, &str), f64> = BTreeMap::new();
    let part = |experiment| {
        let end = ends.entry(layer(experiment)).or_insert(0.0);
        let from = experiment.from.unwrap_or(*end);
        *end = from + experiment.share;
        (from, *end)
    };
    experiments.iter().map(part).collect()
}

/// What is wrong with the experiments, each by itself and beside the others.
pub(super) fn faults(experiments: &[ExperimentConfig]) -> Vec<String> {
    let mut faults = Vec::new();
    let parts = parts(experiments);
    for (at, own) in experiments.iter().enumerate() {
        let of = |fault: String| format!("experiment {} ({:?}): {fault}", at + 1, own.name);
        faults.extend(own.faults().into_iter().map(of));
        if parts[at].1 > 1.0 + ROUNDING {
            faults.push(of("its layer has no room for its share".into()));
        }
        for (other, part) in experiments[..at].iter().zip(&parts) {
            if other.name == own.name {
                faults.push(of("another experiment has that name".into()));
            }
            let overlap = part.1.min(parts[at].1) - part.0.max(parts[at].0) > ROUNDING;
            if layer(other) == layer(own) && overlap {
                faults.push(of(format!("it overlaps with {:?} in its layer", other.name)));
            }
            let shared = own.sets().intersection(&other.sets()).next().copied();
            if let Some(shared) = shared.filter(|_| layer(other) != layer(own) && !own.holdback && !other.holdback) {
                let key = Setting::ALL.iter().find(|(setting, _)| *setting == shared).map_or("", |(_, key)| key);
                faults.push(of(format!(
                    "it sets `{key}` as {:?} of another layer does: put both into one layer",
                    other.name
                )));
            }
        }
    }
    if experiments.len() > MAX_EXPERIMENTS {
        faults.push(format!("there are {} experiments; at most {MAX_EXPERIMENTS} are taken", experiments.len()));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<ExperimentConfig> {
        #[derive(serde::Deserialize)]
        struct File {
            experiments: Vec<ExperimentConfig>,
        }
        toml::from_str::<File>(text).unwrap().experiments
    }

    #[test]
    fn every_fault_is_named() {
        let text = "[[experiments]]\nname='A b'\nshare=0.6\narms=[{name='x',weight=0},{name='x',weight=1,discovery=1.5}]\n\
                    [[experiments]]\nname='b'\nshare=0.6\nfrom=0.5\narms=[{name='x',weight=1,artist_window=51}]\n\
                    [[experiments]]\nname='b'\nlayer='other'\nshare=2.0\n\
                    arms=[{name='x',weight=1},{name='y',weight=1,discovery=0.5}]\n";
        let expected = [
            "experiment 1 (\"A b\"): `name` must be 1 to 64 of a-z, 0-9, - and _",
            "experiment 1 (\"A b\"): arm \"x\": `weight` must lie in 1..1000",
            "experiment 1 (\"A b\"): arm \"x\": `discovery` must lie in 0..1",
            "experiment 1 (\"A b\"): arm \"x\": another arm has that name",
            "experiment 2 (\"b\"): it must have 2 to 10 arms",
            "experiment 2 (\"b\"): arm \"x\": `artist_window` must lie in 1..50",
            "experiment 2 (\"b\"): its layer has no room for its share",
            "experiment 2 (\"b\"): it overlaps with \"A b\" in its layer",
            "experiment 3 (\"b\"): `share` must be above 0 and at most 1, `from` at least 0 and below 1",
            "experiment 3 (\"b\"): its layer has no room for its share",
            "experiment 3 (\"b\"): it sets `discovery` as \"A b\" of another layer does: put both into one layer",
            "experiment 3 (\"b\"): another experiment has that name",
        ];
        assert_eq!(faults(&read(text)), expected);
    }

    #[test]
    fn experiments_stand_behind_each_other_in_their_layers() {
        let arms = "arms=[{name='x',weight=1},{name='y',weight=1,skip_penalty=0.0}]";
        let text = format!(
            "[[experiments]]\nname='a'\nshare=0.3\n{arms}\n[[experiments]]\nname='h'\nshare=0.02\nholdback=true\n\
             arms=[{{name='held',weight=1}}]\n[[experiments]]\nname='b'\nshare=0.7\n{arms}\n"
        );
        let experiments = read(&text);
        assert_eq!(faults(&experiments), Vec::<String>::new());
        assert_eq!(parts(&experiments), [(0.0, 0.3), (0.0, 0.02), (0.3, 1.0)]);
        assert_eq!(experiments[0].differs(), BTreeSet::from([Setting::SkipPenalty]));
        let knobs = experiments[0].arms[1].apply(Knobs::default());
        assert_eq!(knobs, Knobs { skip_penalty: 0.0, ..Knobs::default() });
    }
}
