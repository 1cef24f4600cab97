//! What the policies would have earned.

use super::{Collected, OpeError, Reward};
use crate::statistics::{Decisions, Estimate, Measured, OffPolicy, evaluate, normal_interval};

const ALPHA: f64 = 0.05;

/// One policy.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PolicyValue {
    /// Its name.
    pub name: String,
    /// Kish's effective sample size of its weights.
    pub effective: f64,
    /// Mean weight: 1 but for chance.
    pub mean_weight: Estimate,
    /// Largest weight.
    pub most_weight: f64,
    /// Why there is no figure; absent where there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The figures a decision; absent where they are refused.
    #[serde(flatten)]
    pub value: Option<Values>,
}

/// The figures of a policy, a decision.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Values {
    /// Inverse propensity scores.
    pub ips: Estimate,
    /// The self-normalised ones.
    pub snips: Estimate,
    /// Doubly robust.
    pub doubly_robust: Estimate,
    /// Doubly robust less what was earned.
    pub gain: Estimate,
}

/// All policies beside what was earned.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct OpeReport {
    /// What is counted.
    pub reward: Reward,
    /// Places that were drawn and whose outcome is known.
    pub decisions: usize,
    /// Answers that were read, those without such a place too.
    pub answers: u64,
    /// Listeners of them.
    pub listeners: u32,
    /// Places whose outcome nobody knows, left out.
    pub unknown: u64,
    /// Places without a propensity, left out.
    pub broken: u64,
    /// Answers whose wait is not over, left out.
    pub waiting: u64,
    /// Weights count as this at most; absent: as they are.
    pub clip: Option<f64>,
    /// What was earned a decision; absent of fewer than two listeners.
    pub logged: Option<Estimate>,
    /// In the order given.
    pub policies: Vec<PolicyValue>,
}

/// Evaluates policies on what was gathered; intervals are 95 %, by listener.
///
/// # Errors
/// Nothing was drawn.
pub fn report(names: &[String], found: &Collected, reward: Reward, clip: Option<f64>) -> Result<OpeReport, OpeError> {
    if found.decisions.is_empty() {
        return Err(OpeError::NothingDrawn);
    }
    let rewards: Vec<f64> = found.decisions.iter().map(|decision| decision.reward).collect();
    let unit: Vec<u32> = found.decisions.iter().map(|decision| decision.listener).collect();
    let lines = fit(found);
    let predicted: Vec<f64> = found.decisions.iter().map(|of| lines[fold(of.listener)].at(of.head)).collect();
    let mut logged = None;
    let mut policies = Vec::new();
    for (name, asked) in names.iter().zip(&found.asked) {
        let weight: Vec<f64> =
            asked.iter().zip(&found.decisions).map(|(asked, of)| asked.chance / of.propensity).collect();
        let expected: Vec<f64> =
            asked.iter().zip(&found.decisions).map(|(asked, of)| lines[fold(of.listener)].at(asked.head)).collect();
        let decisions =
            Decisions { reward: &rewards, weight: &weight, predicted: &predicted, expected: &expected, unit: &unit };
        let value = evaluate(decisions, clip);
        logged = logged.or(value.map(|value| interval(value.logged)));
        policies.push(told(name, value));
    }
    Ok(OpeReport {
        reward,
        decisions: found.decisions.len(),
        answers: found.answers,
        listeners: found.listeners,
        unknown: found.unknown,
        broken: found.broken,
        waiting: found.waiting,
        clip,
        logged,
        policies,
    })
}

fn interval(figure: Measured) -> Estimate {
    normal_interval(figure.value, figure.variance, ALPHA)
}

/// Tells the figures, or why they are not told.
fn told(name: &str, value: Option<OffPolicy>) -> PolicyValue {
    let Some(value) = value else {
        return PolicyValue {
            name: name.to_owned(),
            effective: 0.0,
            mean_weight: Estimate { value: 0.0, low: 0.0, high: 0.0 },
            most_weight: 0.0,
            refused: Some("nothing that it would choose was logged, or by one listener only".into()),
            value: None,
        };
    };
    let refused = value.told().err().map(|why| why.to_string());
    let figures = Values {
        ips: interval(value.ips),
        snips: interval(value.snips),
        doubly_robust: interval(value.doubly_robust),
        gain: interval(value.gain),
    };
    PolicyValue {
        name: name.to_owned(),
        effective: value.effective,
        mean_weight: interval(value.mean_weight),
        most_weight: value.most,
        value: refused.is_none().then_some(figures),
        refused,
    }
}

/// Which half of the listeners one is in.
fn fold(listener: u32) -> usize {
    (listener % 2) as usize
}

/// The reward as a line over the head.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Line {
    offset: f64,
    slope: f64,
}

impl Line {
    fn at(self, head: f64) -> f64 {
        self.offset + self.slope * head
    }
}

/// A line for each half of the listeners, by least squares on the other half: what a model says of a decision must not know what
/// came of it (cross-fitting, Chernozhukov et al. 2018).
fn fit(found: &Collected) -> [Line; 2] {
    [0, 1].map(|own| {
        let others = || found.decisions.iter().filter(move |of| fold(of.listener) != own);
        let n = others().count() as f64;
        if n == 0.0 {
            return Line::default();
        }
        let mean = |of: fn(&super::Decision) -> f64| others().map(of).sum::<f64>() / n;
        let (head, reward) = (mean(|of| of.head), mean(|of| of.reward));
        let square: f64 = others().map(|of| (of.head - head).powi(2)).sum();
        let product: f64 = others().map(|of| (of.head - head) * (of.reward - reward)).sum();
        let slope = if square > 0.0 { product / square } else { 0.0 };
        Line { offset: reward - slope * head, slope }
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Asked, Decision};
    use super::*;
    use proptest::prelude::*;

    fn collected(rows: &[(f64, f64)]) -> Collected {
        let decision = |(at, (head, reward)): (usize, &(f64, f64))| Decision {
            reward: *reward,
            propensity: 0.5,
            head: *head,
            listener: at as u32,
        };
        let decisions: Vec<Decision> = rows.iter().enumerate().map(decision).collect();
        let asked = vec![decisions.iter().map(|of| Asked { chance: 0.5, head: of.head }).collect()];
        Collected { decisions, asked, listeners: rows.len() as u32, ..Collected::default() }
    }

    proptest! {
        /// No other line is nearer to the other half.
        #[test]
        fn lines_are_of_least_squares(rows in prop::collection::vec((0.0f64..1.0, -2.0f64..2.0), 6..40), step in [-0.5f64..0.5, -0.5f64..0.5]) {
            let found = collected(&rows);
            for (own, line) in fit(&found).into_iter().enumerate() {
                let off = |line: Line| found.decisions.iter().filter(|of| fold(of.listener) != own)
                    .map(|of| (of.reward - line.at(of.head)).powi(2)).sum::<f64>();
                let other = Line { offset: line.offset + step[0], slope: line.slope + step[1] };
                prop_assert!(off(line) <= off(other) + 1e-9);
            }
        }
    }

    #[test]
    fn refuses_by_the_rule_and_tells_otherwise() {
        let rows: Vec<(f64, f64)> = (0..400).map(|at| (f64::from(at % 7) / 7.0, f64::from(at % 2))).collect();
        let names = ["same".to_owned(), "never".to_owned()];
        let mut found = collected(&rows);
        found.asked.push(found.decisions.iter().map(|of| Asked { chance: 0.0, head: of.head }).collect());
        let told = report(&names, &found, Reward::Complete, None).unwrap();
        let [same, never] = &told.policies[..] else { panic!("two") };
        let values = same.value.unwrap();
        assert!((values.ips.value - 0.5).abs() < 1e-9 && values.gain.value.abs() < 1e-9, "{values:?}");
        assert!((same.effective - 400.0).abs() < 1e-6 && same.refused.is_none());
        assert!(never.value.is_none() && never.refused.is_some(), "{never:?}");
        assert!(matches!(report(&names, &Collected::default(), Reward::Complete, None), Err(OpeError::NothingDrawn)));
    }
}
