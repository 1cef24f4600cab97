//! `intents.json`: a list of rules, each a label and bands of energy, valence, tempo, new artists and hour. They name the
//! prototypes of a bundle, and sessions where it has none.

use std::collections::HashSet;

use crate::domain::{Band, IntentRule};

/// Most rules of a bundle.
const MAX_RULES: usize = 64;
/// Longest label, bytes: it is shown and logged.
pub(super) const MAX_LABEL_BYTES: usize = 64;

/// The rules of a bundle built without its own: six moods that energy, valence, tempo and the hour tell apart, and sessions
/// that are for finding something.
pub fn default_rules() -> Vec<IntentRule> {
    let rule = |label: &str, energy, valence, tempo, hours| IntentRule {
        label: label.into(),
        energy,
        valence,
        tempo,
        new_artists: None,
        hours,
    };
    let band = |lo, hi| Some(Band(lo, hi));
    vec![
        rule("focus", band(0.15, 0.5), band(0.2, 0.6), band(60.0, 115.0), band(8.0, 18.0)),
        rule("workout", band(0.7, 1.0), None, band(118.0, 190.0), band(5.0, 20.0)),
        rule("party", band(0.65, 1.0), band(0.55, 1.0), band(100.0, 150.0), band(19.0, 4.0)),
        rule("relax", band(0.1, 0.45), band(0.3, 1.0), band(60.0, 105.0), band(17.0, 23.0)),
        rule("melancholy", band(0.0, 0.5), band(0.0, 0.25), None, None),
        rule("sleep", band(0.0, 0.25), None, band(40.0, 90.0), band(22.0, 5.0)),
        IntentRule { label: "discovery".into(), new_artists: band(0.5, 1.0), ..IntentRule::default() },
    ]
}

/// Parses and checks the file: labels unique and short, at least one band a rule, every bound finite and in order.
///
/// # Errors
/// What is wrong, with the rule's label.
pub(super) fn parse(json: &[u8]) -> Result<Vec<IntentRule>, String> {
    let rules: Vec<IntentRule> = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    if rules.len() > MAX_RULES {
        return Err(format!("{} rules, at most {MAX_RULES}", rules.len()));
    }
    let mut labels = HashSet::new();
    for rule in &rules {
        check(rule).map_err(|fault| format!("intent {:?}: {fault}", rule.label))?;
        if !labels.insert(&rule.label) {
            return Err(format!("intent {:?} stands twice", rule.label));
        }
    }
    Ok(rules)
}

fn check(rule: &IntentRule) -> Result<(), String> {
    check_label(&rule.label)?;
    let bands = [
        ("energy", rule.energy),
        ("valence", rule.valence),
        ("tempo", rule.tempo),
        ("new_artists", rule.new_artists),
        ("hours", rule.hours),
    ];
    if bands.iter().all(|(_, band)| band.is_none()) {
        return Err("it has no band and would never apply".into());
    }
    for (name, band) in bands {
        let Some(Band(lo, hi)) = band else { continue };
        let most = match name {
            "hours" => 24.0,
            "tempo" => 1_000.0,
            _ => 1.0,
        };
        if !((0.0..=most).contains(&lo) && (0.0..=most).contains(&hi)) || (lo > hi && name != "hours") {
            return Err(format!("{name} [{lo}, {hi}] is not a range within 0..{most}"));
        }
    }
    Ok(())
}

/// Checks a label.
pub(super) fn check_label(label: &str) -> Result<(), String> {
    if label.is_empty() || label.len() > MAX_LABEL_BYTES {
        return Err(format!("a label has 1 to {MAX_LABEL_BYTES} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_rules_pass_their_own_check() {
        let json = serde_json::to_vec(&default_rules()).unwrap();
        assert_eq!(parse(&json), Ok(default_rules()));
    }

    #[test]
    fn faults_name_the_rule() {
        let error = |json: &str| parse(json.as_bytes()).unwrap_err();
        assert!(error(r#"[{"label":"x"}]"#).contains("intent \"x\": it has no band"));
        assert!(error(r#"[{"label":"x","energy":[0.5,0.1]}]"#).contains("energy [0.5, 0.1]"));
        assert!(error(r#"[{"label":"x","hours":[22,25]}]"#).contains("hours"));
        assert!(error(r#"[{"label":"x","new_artists":[0.5,2]}]"#).contains("new_artists [0.5, 2]"));
        assert!(error(r#"[{"label":"x","hours":[22,5]},{"label":"x","hours":[1,2]}]"#).contains("twice"));
        assert!(error("[{").contains("EOF"));
    }
}
