//! What sessions are for: the prototypes that a session is compared with, and the rules that name them.

use std::sync::Arc;

/// A range of a number, `[lo, hi]`. For hours `lo > hi` passes midnight: `[22, 5]`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Band(pub f32, pub f32);

/// How far outside its band a number may lie before it counts nothing.
const UNIT_SLACK: f32 = 0.2;
const TEMPO_SLACK: f32 = 20.0;
const HOUR_SLACK: f32 = 2.0;

impl Band {
    /// A trapezoid: 1 inside the band, falling linearly to 0 at `slack` outside; 0 for what is not a number.
    fn membership(self, value: f32, slack: f32) -> f32 {
        let outside = (self.0 - value).max(value - self.1);
        if outside <= 0.0 { 1.0 } else { (1.0 - outside / slack).max(0.0) }
    }
}

/// What sessions are like; absent where it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionProfile {
    /// Mean energy of the plays, 0..1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<f32>,
    /// Mean valence of the plays, 0..1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valence: Option<f32>,
    /// Mean tempo of the plays, bpm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tempo: Option<f32>,
    /// Share of the plays that are of artists whom the listener had not played before, 0..1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_artists: Option<f32>,
}

/// One entry of a bundle's `intents.json`: a name and the bands that sessions must lie in. An absent band asks nothing;
/// at least one must be there, for a rule without bands never applies.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentRule {
    /// The name shown: `focus`, `workout`, ...
    pub label: Arc<str>,
    /// Mean energy of the session's plays, 0..1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<Band>,
    /// Mean valence of the session's plays, 0..1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valence: Option<Band>,
    /// Mean tempo of the session's plays, bpm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tempo: Option<Band>,
    /// Share of plays of artists that are new to the listener, 0..1. Known of prototypes, not of a session at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_artists: Option<Band>,
    /// The listener's hour, 0..24.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Band>,
}

impl IntentRule {
    /// How well a rule must match at least to name anything.
    pub const LEAST_MATCH: f32 = 0.25;

    /// Whether it asks for anything beside the hour.
    pub fn asks_for_plays(&self) -> bool {
        self.energy.or(self.valence).or(self.tempo).or(self.new_artists).is_some()
    }

    /// How well plays match, 0..1: the product of the memberships of the bands that are asked for, 1 where none is. A band
    /// over something unknown counts 0: sound is not guessed.
    pub fn match_of_plays(&self, seen: &SessionProfile) -> f32 {
        let known = |band: Option<Band>, value: Option<f32>, slack| {
            band.map(|band| value.map_or(0.0, |value| band.membership(value, slack)))
        };
        let parts = [
            known(self.energy, seen.energy, UNIT_SLACK),
            known(self.valence, seen.valence, UNIT_SLACK),
            known(self.tempo, seen.tempo, TEMPO_SLACK),
            known(self.new_artists, seen.new_artists, UNIT_SLACK),
        ];
        parts.into_iter().flatten().product()
    }

    /// How well an hour, 0..24, matches, 0..1; 1 where none is asked for. On the circle of 24 hours.
    pub fn match_of_hour(&self, hour: f32) -> f32 {
        let Some(Band(lo, hi)) = self.hours else { return 1.0 };
        let band = Band(lo, if hi < lo { hi + 24.0 } else { hi });
        [-24.0, 0.0, 24.0].map(|turn| band.membership(hour + turn, HOUR_SLACK)).into_iter().fold(0.0, f32::max)
    }
}

/// Sessions of the past that lie together in the embedding space.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prototype {
    /// What they seem to be for; several prototypes may have one label.
    pub label: Arc<str>,
    /// How many they are.
    pub sessions: u64,
    /// What they are like.
    pub profile: SessionProfile,
    /// Their commonest genres with their shares of the plays, at most three.
    pub genres: Vec<(String, f32)>,
    /// The direction of their mean, of length 1, `[dim]`.
    pub direction: Vec<f32>,
}

/// All prototypes of a bundle: the parts of a mixture of von Mises-Fisher distributions of one sharpness and equal
/// weights (Banerjee, Dhillon, Ghosh and Sra 2005, "Clustering on the unit hypersphere").
#[derive(Debug, Clone, PartialEq)]
pub struct IntentPrototypes {
    prototypes: Vec<Prototype>,
    sharpness: Vec<f32>,
    /// Each label with the part of the prototypes that have it, in the order in which they come.
    labels: Vec<(Arc<str>, f32)>,
    /// Prototype to label.
    label_of: Vec<usize>,
}

impl IntentPrototypes {
    /// Takes prototypes and, for 1, 2, ... plays, how sharp the mixture is.
    pub fn new(prototypes: Vec<Prototype>, sharpness: Vec<f32>) -> Self {
        let mut labels: Vec<(Arc<str>, f32)> = Vec::new();
        let part = 1.0 / prototypes.len().max(1) as f32;
        let mut label_of = Vec::with_capacity(prototypes.len());
        for prototype in &prototypes {
            let at = labels.iter().position(|(label, _)| *label == prototype.label).unwrap_or_else(|| {
                labels.push((Arc::clone(&prototype.label), 0.0));
                labels.len() - 1
            });
            labels[at].1 += part;
            label_of.push(at);
        }
        Self { prototypes, sharpness, labels, label_of }
    }

    /// The prototypes.
    pub fn prototypes(&self) -> &[Prototype] {
        &self.prototypes
    }

    /// For 1, 2, ... plays, how sharp the mixture is.
    pub fn sharpness(&self) -> &[f32] {
        &self.sharpness
    }

    /// The labels, each with the part of the prototypes that have it.
    pub fn labels(&self) -> &[(Arc<str>, f32)] {
        &self.labels
    }

    /// The share of each label, in the order of [`IntentPrototypes::labels`]: the softmax of `sharpness * cosine` over the
    /// prototypes, added up by label. `cosines`: one a prototype, finite; `plays`: how many they were taken of, from 1. The
    /// shares add up to 1. `O(prototypes)`.
    pub fn shares(&self, cosines: &[f32], plays: usize, out: &mut Vec<f32>) {
        let last = self.sharpness.len().saturating_sub(1);
        let sharpness = self.sharpness.get(plays.saturating_sub(1).min(last)).copied().unwrap_or(0.0);
        let nearest = cosines.iter().copied().fold(f32::MIN, f32::max);
        let weight = |cosine: &f32| (sharpness * (cosine - nearest)).exp();
        let sum: f32 = cosines.iter().map(weight).sum();
        out.clear();
        out.resize(self.labels.len(), 0.0);
        for (cosine, label) in cosines.iter().zip(&self.label_of) {
            out[*label] += weight(cosine) / sum;
        }
    }

    /// How much more a label's share is than chance, 0..1: 0 where it is the part of the prototypes that have the label, 1
    /// where it is everything.
    pub fn confidence(&self, label: usize, share: f32) -> f32 {
        let chance = self.labels[label].1;
        if chance < 1.0 { ((share - chance) / (1.0 - chance)).clamp(0.0, 1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prototype(label: &str) -> Prototype {
        let profile = SessionProfile::default();
        Prototype { label: label.into(), sessions: 1, profile, genres: Vec::new(), direction: vec![1.0] }
    }

    fn prototypes(labels: &[&str], sharpness: Vec<f32>) -> IntentPrototypes {
        IntentPrototypes::new(labels.iter().map(|label| prototype(label)).collect(), sharpness)
    }

    #[test]
    fn bands_have_slopes_and_pass_midnight() {
        let night: IntentRule = serde_json::from_str(r#"{"label":"x","energy":[0.2,0.4],"hours":[22,5]}"#).unwrap();
        assert_eq!([23.0, 0.5, 5.0, 6.0, 12.0].map(|hour| night.match_of_hour(hour)), [1.0, 1.0, 1.0, 0.5, 0.0]);
        let seen = |energy| SessionProfile { energy, ..SessionProfile::default() };
        assert_eq!(night.match_of_plays(&seen(None)), 0.0, "sound is not guessed");
        assert_eq!(night.match_of_plays(&seen(Some(0.3))), 1.0);
        assert!((night.match_of_plays(&seen(Some(0.5))) - 0.5).abs() < 1e-6);
        let by_hour: IntentRule = serde_json::from_str(r#"{"label":"x","hours":[7,9]}"#).unwrap();
        assert!(by_hour.match_of_plays(&seen(None)) == 1.0 && !by_hour.asks_for_plays() && night.asks_for_plays());
    }

    #[test]
    fn labels_gather_their_prototypes() {
        let all = prototypes(&["calm", "loud", "calm", "odd"], vec![0.0, 50.0]);
        let mut shares = Vec::new();
        all.shares(&[0.1, 0.9, 0.1, 0.1], 1, &mut shares);
        assert_eq!(shares, [0.5, 0.25, 0.25], "no sharpness, no verdict");
        assert_eq!([0, 1].map(|label| all.confidence(label, shares[label])), [0.0, 0.0]);
        all.shares(&[0.1, 0.9, 0.1, 0.1], 7, &mut shares);
        assert!(shares[1] > 0.999 && all.confidence(1, shares[1]) > 0.999);
        assert_eq!(prototypes(&["one", "one"], vec![9.0]).confidence(0, 1.0), 0.0, "there is nothing to tell apart");
    }

    proptest! {
        #[test]
        fn shares_are_a_distribution_and_equal_the_plain_softmax(
            rows in prop::collection::vec((-1.0f32..=1.0, 0usize..4), 1..30), sharpness in 0.0f32..500.0,
        ) {
            let labels: Vec<&str> = rows.iter().map(|(_, label)| ["a", "b", "c", "d"][*label]).collect();
            let cosines: Vec<f32> = rows.iter().map(|(cosine, _)| *cosine).collect();
            let all = prototypes(&labels, vec![sharpness]);
            let mut shares = Vec::new();
            all.shares(&cosines, 3, &mut shares);
            prop_assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-4);
            let plain = |label: &str| {
                let weights = cosines.iter().map(|cosine| (f64::from(sharpness) * f64::from(*cosine)).exp());
                let own = weights.clone().zip(&labels).filter(|(_, other)| **other == label).map(|(weight, _)| weight);
                own.sum::<f64>() / weights.sum::<f64>()
            };
            for ((label, chance), share) in all.labels().iter().zip(&shares) {
                prop_assert!((f64::from(*share) - plain(label)).abs() < 1e-3);
                prop_assert!((0.0..=1.0001).contains(share) && *chance > 0.0);
            }
        }
    }
}
