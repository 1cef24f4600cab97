//! The report as text.

use std::fmt::Write;

use super::OpeReport;
use crate::statistics::Estimate;

/// One line a policy and estimator.
pub fn text_table(report: &OpeReport) -> String {
    let mut text = String::new();
    let reward = serde_json::to_value(report.reward).ok().and_then(|name| name.as_str().map(str::to_owned));
    let clip = report.clip.map_or_else(String::new, |clip| format!(", weights clipped at {clip}"));
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{} places drawn by exploration in {} answers to {} listeners; {} more have no known outcome, {} no propensity, {} answers wait",
        report.decisions, report.answers, report.listeners, report.unknown, report.broken, report.waiting
    );
    let _ = writeln!(text, "reward: {} a place; 95 % intervals over listeners{clip}", reward.unwrap_or_default());
    if let Some(logged) = report.logged {
        let _ = writeln!(text, "\nwhat was served\n  {:<14} {}", "earned", shown(logged));
    }
    for policy in &report.policies {
        let (name, weight) = (&policy.name, policy.mean_weight);
        let _ = writeln!(
            text,
            "\n{name}\n  effective sample size {:.0}, mean weight {:.3} [{:.3}, {:.3}], largest {:.1}",
            policy.effective, weight.value, weight.low, weight.high, policy.most_weight
        );
        if let Some(why) = &policy.refused {
            let _ = writeln!(text, "  no estimate: {why}");
        }
        if let Some(value) = policy.value {
            let rows = [
                ("ips", value.ips),
                ("snips", value.snips),
                ("doubly robust", value.doubly_robust),
                ("gain", value.gain),
            ];
            for (name, figure) in rows {
                let _ = writeln!(text, "  {name:<14} {}", shown(figure));
            }
        }
    }
    text
}

fn shown(figure: Estimate) -> String {
    format!("{:>8.4}  [{:.4}, {:.4}]", figure.value, figure.low, figure.high)
}
