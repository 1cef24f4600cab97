//! What the session seems to be for, by the bundle's rules.

use std::sync::Arc;

use crate::domain::{Band, Intent, IntentRule, RequestContext, SessionState};
use crate::pipeline::{ContextPatch, ContextSource, Deadline, StageError};

/// What the rules look at; absent where nothing with audio has been played yet.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Observed {
    energy: Option<f32>,
    valence: Option<f32>,
    tempo: Option<f32>,
    hour: f32,
}

impl Observed {
    fn of(session: &SessionState, local_hour: Option<u8>, now_ms: i64) -> Self {
        let mean = |moments: (f32, f32, f32)| (moments.0 > 0.0).then_some(moments.1);
        let utc_hour = || now_ms.rem_euclid(86_400_000) as f32 / 3_600_000.0;
        Self {
            energy: mean(session.energy),
            valence: mean(session.valence),
            tempo: mean(session.tempo),
            hour: local_hour.map_or_else(utc_hour, f32::from),
        }
    }
}

/// How far outside its band a number may lie before it counts nothing.
const UNIT_SLACK: f32 = 0.2;
const TEMPO_SLACK: f32 = 20.0;
const HOUR_SLACK: f32 = 2.0;
/// A rule must match at least this well to name a session.
const LEAST_MATCH: f32 = 0.25;

/// How well a session matches a rule, 0..1: the product of the memberships of the bands that are asked for. A band over
/// something unknown counts 0: sound is not guessed.
fn match_of(rule: &IntentRule, seen: &Observed) -> f32 {
    let known = |band: Option<Band>, value: Option<f32>, slack| {
        band.map(|band| value.map_or(0.0, |value| membership(band, value, slack)))
    };
    let parts = [
        known(rule.energy, seen.energy, UNIT_SLACK),
        known(rule.valence, seen.valence, UNIT_SLACK),
        known(rule.tempo, seen.tempo, TEMPO_SLACK),
        rule.hours.map(|band| hour_membership(band, seen.hour)),
    ];
    parts.into_iter().flatten().reduce(|product, part| product * part).unwrap_or(0.0)
}

/// A trapezoid: 1 inside the band, falling linearly to 0 at `slack` outside; 0 for what is not a number.
fn membership(Band(lo, hi): Band, value: f32, slack: f32) -> f32 {
    let outside = (lo - value).max(value - hi);
    if outside <= 0.0 { 1.0 } else { (1.0 - outside / slack).max(0.0) }
}

/// The same on the circle of 24 hours.
fn hour_membership(Band(lo, hi): Band, hour: f32) -> f32 {
    let hi = if hi < lo { hi + 24.0 } else { hi };
    [-24.0, 0.0, 24.0].map(|turn| membership(Band(lo, hi), hour + turn, HOUR_SLACK)).into_iter().fold(0.0, f32::max)
}

/// The best rule, if it matches well enough; ties by order. Confidence is the margin over the second best rule, 0..1.
fn recognise(rules: &[IntentRule], seen: &Observed) -> Option<Intent> {
    let (mut best, mut second): (Option<(&IntentRule, f32)>, f32) = (None, 0.0);
    for rule in rules {
        let match_ = match_of(rule, seen);
        match best {
            Some((_, most)) if match_ <= most => second = second.max(match_),
            _ => {
                second = best.map_or(0.0, |(_, most)| most);
                best = Some((rule, match_));
            }
        }
    }
    let (rule, most) = best.filter(|(_, most)| *most >= LEAST_MATCH)?;
    Some(Intent { label: Arc::clone(&rule.label), confidence: (most - second).clamp(0.0, 1.0) })
}

/// Names the session's intent.
pub struct IntentSource {
    rules: Arc<[IntentRule]>,
}

impl IntentSource {
    /// Takes the bundle's rules; ties between them are decided by their order.
    pub fn new(rules: Arc<[IntentRule]>) -> Self {
        Self { rules }
    }
}

impl ContextSource for IntentSource {
    fn name(&self) -> &'static str {
        "intent"
    }

    /// `O(rules)`, no allocation; no intent where no rule matches well.
    fn load(&mut self, context: &RequestContext, _deadline: &Deadline) -> Result<ContextPatch, StageError> {
        let request = &context.request;
        let seen = Observed::of(&context.session, request.local_hour, request.now_ms);
        Ok(ContextPatch::Intent(recognise(&self.rules, &seen)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules() -> Vec<IntentRule> {
        serde_json::from_str(
            r#"[{"label":"workout","energy":[0.7,1.0],"tempo":[120,180]},
                {"label":"sleep","energy":[0.0,0.3],"hours":[22,5]},
                {"label":"commute","hours":[7,9]}]"#,
        )
        .unwrap()
    }

    fn seen(energy: f32, tempo: f32, hour: f32) -> Observed {
        Observed { energy: Some(energy), valence: None, tempo: Some(tempo), hour }
    }

    fn label(seen: &Observed) -> Option<(String, f32)> {
        recognise(&rules(), seen).map(|intent| (intent.label.to_string(), intent.confidence))
    }

    #[test]
    fn names_sessions() {
        assert_eq!(label(&seen(0.9, 130.0, 17.0)), Some(("workout".into(), 1.0)));
        assert_eq!(label(&seen(0.1, 70.0, 2.0)), Some(("sleep".into(), 1.0)), "the band passes midnight");
        assert_eq!(label(&seen(0.5, 90.0, 13.0)), None);
        assert_eq!(
            label(&seen(0.9, 130.0, 8.0)),
            Some(("workout".into(), 0.0)),
            "two rules match alike: no confidence"
        );
        let (name, confidence) = label(&seen(0.9, 110.0, 17.0)).unwrap();
        assert!(name == "workout" && (confidence - 0.5).abs() < 1e-6, "half way down the slope");
    }

    #[test]
    fn an_empty_session_is_named_by_the_hour_alone() {
        let seen = Observed::of(&SessionState::default(), Some(8), 0);
        assert_eq!(label(&seen), Some(("commute".into(), 1.0)));
        assert_eq!(Observed::of(&SessionState::default(), None, 5_400_000).hour, 1.5);
    }

    #[test]
    fn rules_read_and_write_the_same() {
        let text = serde_json::to_string(&rules()).unwrap();
        assert_eq!(serde_json::from_str::<Vec<IntentRule>>(&text).unwrap(), rules());
        assert!(serde_json::from_str::<IntentRule>(r#"{"label":"x","enrgy":[0,1]}"#).is_err());
    }

    proptest! {
        #[test]
        fn never_fails_on_any_number(energy in any::<f32>(), tempo in any::<f32>(), hour in any::<f32>()) {
            if let Some(intent) = recognise(&rules(), &seen(energy, tempo, hour)) {
                prop_assert!((0.0..=1.0).contains(&intent.confidence));
            }
        }
    }
}
