//! The figures of one system under names that programs can rely on.

use serde_json::{Map, Value, json};

use super::report::{EvalReport, SystemReport};
use crate::statistics::Estimate;

/// One object: `n` (moments), each metric of the first system as `{"value", "low", "high"}` under its name with `_at_` for
/// `@` (`recall_at_20`, `ndcg_at_20`, ...; `coverage`, `gini`), and `auc.<head>`, `logloss.<head>`, `ece.<head>` of its
/// ranker over what was played. `systems` holds the same of every system by name, `slices` and `pairs` are as in the report.
/// A figure that is not known is absent.
pub fn flat_json(report: &EvalReport) -> Value {
    let mut object = report.systems.first().map(flat).unwrap_or_default();
    object.insert("n".into(), json!(report.moments));
    object.insert("seed".into(), json!(report.seed));
    for head in report.heads.iter().filter(|head| head.against == "played") {
        for (figure, estimate) in [("auc", head.auc), ("logloss", head.log_loss), ("ece", head.ece)] {
            if let Some(estimate) = estimate {
                object.insert(format!("{figure}.{}", head.task), shown(estimate));
            }
        }
    }
    let systems = report.systems.iter().map(|system| (system.name.clone(), Value::Object(flat(system))));
    object.insert("systems".into(), Value::Object(systems.collect()));
    object.insert("slices".into(), json!(report.slices));
    object.insert("pairs".into(), json!(report.pairs));
    Value::Object(object)
}

fn flat(system: &SystemReport) -> Map<String, Value> {
    let name = |name: &str| match name {
        "coverage@20" => "coverage".to_owned(),
        "gini@20" => "gini".to_owned(),
        name => name.replace('@', "_at_"),
    };
    system.metrics.iter().map(|metric| (name(metric.name), shown(metric.estimate))).collect()
}

fn shown(estimate: Estimate) -> Value {
    json!({"value": estimate.value, "low": estimate.low, "high": estimate.high})
}

#[cfg(test)]
mod tests {
    use super::super::tally::tests::report;
    use super::*;

    #[test]
    fn figures_stand_under_their_names() {
        let json = flat_json(&report());
        let value = |name: &str| json[name]["value"].as_f64().unwrap();
        assert_eq!(
            (value("recall_at_1000"), value("hr_at_20"), value("mrr_at_20"), value("coverage")),
            (0.5, 0.5, 0.25, 0.3)
        );
        assert_eq!((json["n"].as_u64(), value("logloss.skip"), json.get("auc.skip")), (Some(2), 0.5, None));
        for name in ["recall_at_20", "recall_at_100", "ndcg_at_20", "gini"] {
            assert!(json[name]["low"].as_f64() <= json[name]["high"].as_f64(), "{name}");
        }
        assert_eq!(json["systems"]["popularity"]["hr_at_20"]["value"], 0.0);
        assert_eq!(
            (json["slices"][0]["slice"].as_str(), json["pairs"][0]["against"].as_str()),
            (Some("0-5"), Some("popularity"))
        );
    }
}
