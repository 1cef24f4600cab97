//! When to ask for a new ranker: thresholds with a margin, a time to hold, and a time to rest.

use crate::config::RetrainConfig;
use crate::statistics::Estimate;

/// What was found of a ranker; what is not known changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reading {
    /// AUC of the head `complete` over what was played.
    pub auc: Option<Estimate>,
    /// Population stability index of the head that differs most from training.
    pub psi: Option<f64>,
}

/// Which condition held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The AUC is too low.
    Auc,
    /// The heads' probabilities have shifted.
    Drift,
}

/// A trigger that went off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Fired {
    /// Why.
    pub reason: Reason,
    /// Since when the condition holds, Unix ms.
    pub since_ms: i64,
}

/// The state between two checks. A condition begins when its figure is past the threshold and ends when the figure is back by
/// the margin. One that has held for `hold_min` goes off, and goes off again after each `cool_down_h` for which it still holds.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// The bundle that the conditions are of.
    bundle: String,
    /// Since when the AUC is too low, Unix ms.
    auc_since_ms: Option<i64>,
    /// Since when the heads have shifted.
    psi_since_ms: Option<i64>,
    /// When it went off last.
    fired_ms: Option<i64>,
}

impl Trigger {
    /// Takes a reading of the bundle in force at `now_ms`; whether it goes off. Another bundle begins without conditions, but
    /// not before the time of rest is over.
    pub fn check(&mut self, rules: &RetrainConfig, bundle: &str, reading: &Reading, now_ms: i64) -> Option<Fired> {
        if self.bundle != bundle {
            *self = Self { bundle: bundle.to_owned(), fired_ms: self.fired_ms, ..Self::default() };
        }
        let (low, back) = (rules.auc_below, rules.auc_below + rules.auc_margin);
        let auc = reading.auc.map(|auc| (auc.high < low, auc.value >= back));
        follow(&mut self.auc_since_ms, auc, low > 0.0, now_ms);
        let (high, back) = (rules.psi_above, rules.psi_above - rules.psi_margin);
        let psi = reading.psi.map(|psi| (psi > high, psi <= back));
        follow(&mut self.psi_since_ms, psi, high > 0.0, now_ms);
        let rests = |ms_of: i64, since: i64| now_ms.saturating_sub(since) < ms_of;
        if self.fired_ms.is_some_and(|fired| rests(ms(rules.cool_down_h, 3_600_000), fired)) {
            return None;
        }
        let conditions = [(Reason::Auc, self.auc_since_ms), (Reason::Drift, self.psi_since_ms)];
        let held = conditions.into_iter().filter_map(|(reason, since)| Some(Fired { reason, since_ms: since? }));
        let fired = held.into_iter().find(|fired| !rests(ms(rules.hold_min, 60_000), fired.since_ms))?;
        self.fired_ms = Some(now_ms);
        Some(fired)
    }
}

fn ms(count: u64, each: i64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(each)
}

/// Begins or ends a condition; `found`: whether its figure is past the threshold, and whether it is back.
fn follow(since: &mut Option<i64>, found: Option<(bool, bool)>, is_on: bool, now_ms: i64) {
    match (found, *since) {
        _ if !is_on => *since = None,
        (Some((true, _)), None) => *since = Some(now_ms),
        (Some((_, true)), Some(_)) => *since = None,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: i64 = 60_000;

    fn rules() -> RetrainConfig {
        RetrainConfig { auc_below: 0.6, hold_min: 30, cool_down_h: 2, ..RetrainConfig::default() }
    }

    fn auc(value: f64) -> Reading {
        Reading { auc: Some(Estimate { value, low: value - 0.02, high: value + 0.02 }), psi: None }
    }

    #[test]
    fn a_low_auc_must_be_sure_and_last() {
        let mut trigger = Trigger::default();
        let mut at = |minute: i64, reading: Reading| trigger.check(&rules(), "b1", &reading, minute * MINUTE);
        assert_eq!(at(0, auc(0.59)), None, "its interval reaches the threshold");
        assert_eq!(at(40, auc(0.59)), None);
        assert_eq!(at(50, auc(0.57)), None, "it has just begun");
        assert_eq!(at(70, Reading::default()), None, "nobody knows: it goes on");
        assert_eq!(at(75, auc(0.605)), None, "not back by the margin");
        assert_eq!(at(80, auc(0.59)), Some(Fired { reason: Reason::Auc, since_ms: 50 * MINUTE }));
        assert_eq!(at(199, auc(0.5)), None, "it rests");
        assert_eq!(at(200, auc(0.5)).map(|fired| fired.since_ms), Some(50 * MINUTE), "still: once more");
        assert_eq!(at(330, auc(0.61)), None, "back");
        assert_eq!(at(331, auc(0.57)), None, "begins anew");
    }

    #[test]
    fn another_bundle_begins_anew_and_rests_on() {
        let mut trigger = Trigger::default();
        let drift = Reading { auc: None, psi: Some(0.4) };
        let rules = RetrainConfig { hold_min: 0, ..rules() };
        let fired = trigger.check(&rules, "b1", &drift, 0);
        assert_eq!(fired, Some(Fired { reason: Reason::Drift, since_ms: 0 }));
        assert_eq!(trigger.check(&rules, "b2", &drift, 30 * MINUTE), None, "it rests");
        let text = serde_json::to_string(&trigger).unwrap();
        let mut kept: Trigger = serde_json::from_str(&text).unwrap();
        assert_eq!(kept.check(&rules, "b2", &drift, 120 * MINUTE).map(|fired| fired.since_ms), Some(30 * MINUTE));
    }

    /// One check out of the whole history: the last moment at which the figure was past its threshold with no return since.
    fn since(history: &[(i64, Option<f64>)], past: impl Fn(f64) -> bool, back: impl Fn(f64) -> bool) -> Option<i64> {
        let known: Vec<(i64, f64)> = history.iter().filter_map(|(at, figure)| Some((*at, (*figure)?))).collect();
        let from = known.iter().rposition(|(_, figure)| back(*figure)).map_or(0, |at| at + 1);
        known[from..].iter().find(|(_, figure)| past(*figure)).map(|(at, _)| *at)
    }

    proptest! {
        /// The state machine goes off when, and only when, the history says so; never twice within the time of rest.
        #[test]
        fn equals_a_look_at_the_whole_history(
            steps in prop::collection::vec((1i64..50, prop::option::of(0.4f64..0.8), prop::option::of(0.0f64..0.6)), 1..80)
        ) {
            let rules = RetrainConfig { auc_margin: 0.05, psi_margin: 0.1, ..rules() };
            let (mut trigger, mut now, mut last): (_, _, Option<i64>) = (Trigger::default(), 0, None);
            let (mut aucs, mut psis) = (Vec::new(), Vec::new());
            for (minutes, value, psi) in steps {
                now += minutes * MINUTE;
                aucs.push((now, value));
                psis.push((now, psi));
                let auc = value.map(|value| Estimate { value, low: value, high: value });
                let got = trigger.check(&rules, "b", &Reading { auc, psi }, now);
                let low = since(&aucs, |auc| auc < 0.6, |auc| auc >= 0.65);
                let shifted = since(&psis, |psi| psi > 0.25, |psi| psi <= 0.15);
                let holds = |since: Option<i64>| since.filter(|since| now - since >= 30 * MINUTE);
                let expected = holds(low).map(|at| (Reason::Auc, at)).or(holds(shifted).map(|at| (Reason::Drift, at)));
                let expected = expected.filter(|_| last.is_none_or(|fired| now - fired >= 120 * MINUTE));
                prop_assert_eq!(got.map(|fired| (fired.reason, fired.since_ms)), expected);
                if got.is_some() {
                    last = Some(now);
                }
            }
        }
    }
}
