//! Who is in which arm of which experiment.

use std::sync::Arc;

use super::Rung;

/// An arm of an experiment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct ArmName {
    /// The experiment's name.
    #[schema(value_type = String)]
    pub name: Arc<str>,
    /// The arm's.
    #[schema(value_type = String)]
    pub arm: Arc<str>,
}

/// An arm that a request is in, and where on its way the experiment's arms part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// The arm.
    pub of: ArmName,
    /// They may rank this request otherwise.
    pub ranks: bool,
    /// They may put its list together otherwise.
    pub arranges: bool,
}

impl Assigned {
    /// Whether an answer of a rung came past the point where the arms part: only then its listener was exposed. Depends on nothing
    /// that an arm decides, so that the exposed of all arms compare.
    pub fn diverges(&self, rung: Rung) -> bool {
        match rung {
            Rung::Full | Rung::Reduced => self.ranks || self.arranges,
            Rung::RetrievalOrder => self.arranges,
            Rung::UserTop | Rung::MarketTop | Rung::GlobalTop => false,
        }
    }
}

/// What the column `arm` of the feature log says of an answer: `experiment=arm`, several between `;`. `None` of none.
pub fn arms_text(arms: &[ArmName]) -> Option<String> {
    let texts: Vec<String> = arms.iter().map(|of| format!("{}={}", of.name, of.arm)).collect();
    (!texts.is_empty()).then(|| texts.join(";"))
}

/// The arm of an experiment in such a text.
pub fn arm_in<'a>(text: &'a str, experiment: &str) -> Option<&'a str> {
    text.split(';').filter_map(|one| one.split_once('=')).find(|(name, _)| *name == experiment).map(|(_, arm)| arm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arms_are_found_in_their_text() {
        let of = |name: &str, arm: &str| ArmName { name: name.into(), arm: arm.into() };
        let text = arms_text(&[of("a", "x"), of("aa", "y")]).unwrap();
        assert_eq!((text.as_str(), arm_in(&text, "a"), arm_in(&text, "aa")), ("a=x;aa=y", Some("x"), Some("y")));
        assert_eq!((arms_text(&[]), arm_in(&text, "x"), arm_in("", "")), (None, None, None));
    }
}
