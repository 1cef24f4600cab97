//! `[[rules]]`: business rules (`docs/rules.md`).

use std::collections::BTreeSet;

use crate::domain::{MAX_ID_BYTES, RemovalReason};

/// Most rules.
const MAX_RULES: usize = 100;
/// Most ids of all rules together.
const MAX_IDS: usize = 10_000;
/// Places of the longest list.
const MAX_PLACE: usize = 100;

/// What a rule does with the tracks that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleAction {
    /// Puts the first of `tracks` that may be played at `position`.
    Pin,
    /// Moves them `places` up.
    Boost,
    /// Moves them `places` down.
    Bury,
    /// Serves none of them.
    Block,
    /// Sees to it that `count` of them are in the list.
    AtLeast,
}

impl RuleAction {
    /// As it is written in configuration, reports and traces.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::Boost => "boost",
            Self::Bury => "bury",
            Self::Block => "block",
            Self::AtLeast => "at_least",
        }
    }
}

/// One of `[[rules]]`. It is about the tracks that fit every one of `tracks`, `artists`, `genres`, `labels` and `fresh_days`
/// that is given, and holds for the requests that fit every one of `markets`, `surfaces`, `from` and `until` that is given.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Its name in traces, reasons and logs: 1 to 64 of a-z, 0-9, - and _; no two alike.
    pub name: String,
    /// What it does.
    pub action: RuleAction,
    /// Track ids. For a pin, in order of preference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tracks: Vec<String>,
    /// Artist ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artists: Vec<String>,
    /// Genres, as the catalogue writes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub genres: Vec<String>,
    /// Record labels, as the catalogue writes them. A track without one fits none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Released at most so many days before the request, and not after it. Range 0..36,500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_days: Option<u32>,
    /// Markets of the request, ISO 3166 codes. A request without a market fits none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub markets: Vec<String>,
    /// Surfaces of the request. A request without a surface fits none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub surfaces: Vec<String>,
    /// From when on, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Until when, RFC 3339; that moment itself is outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The place of a pin, from 1. Range 1..100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    /// How far a boost or a bury moves. Range 1..10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub places: Option<usize>,
    /// How many tracks `at_least` wants. Range 1..100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
}

impl RuleConfig {
    /// When it holds, Unix ms: from, and until which moment.
    ///
    /// # Errors
    /// What is no moment, or that it would never hold.
    pub fn window_ms(&self) -> Result<(i64, i64), String> {
        let moment = |key: &str, text: &Option<String>, open: i64| match text {
            None => Ok(open),
            Some(text) => match text.parse::<jiff::Timestamp>() {
                Ok(at) => Ok(at.as_millisecond()),
                Err(_) => Err(format!("`{key}` must be a moment such as \"2026-12-24T00:00:00Z\", is {text:?}")),
            },
        };
        let window = (moment("from", &self.from, i64::MIN)?, moment("until", &self.until, i64::MAX)?);
        if window.0 < window.1 { Ok(window) } else { Err("`until` must lie after `from`".into()) }
    }

    /// What is wrong with it by itself.
    fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> = self.window_ms().err().into_iter().collect();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(is_plain) {
            faults.push("`name` must be 1 to 64 of a-z, 0-9, - and _".into());
        }
        let mut number = |key: &str, given: Option<usize>, wanted: bool, most: usize| match given {
            None if wanted => faults.push(format!("`{}` needs `{key}`", self.action.as_str())),
            Some(_) if !wanted => faults.push(format!("`{}` takes no `{key}`", self.action.as_str())),
            Some(number) if !(1..=most).contains(&number) => faults.push(format!("`{key}` must lie in 1..{most}")),
            Some(_) | None => {}
        };
        use RuleAction::{AtLeast, Boost, Bury, Pin};
        number("position", self.position, self.action == Pin, MAX_PLACE);
        number("places", self.places, matches!(self.action, Boost | Bury), 10_000);
        number("count", self.count, self.action == AtLeast, MAX_PLACE);
        let lists = [&self.artists, &self.genres, &self.labels];
        let others = lists.iter().any(|list| !list.is_empty()) || self.fresh_days.is_some();
        if self.action == Pin {
            if self.tracks.is_empty() || others {
                faults.push("a pin names `tracks`, and no artists, genres, labels or fresh_days".into());
            }
        } else if self.tracks.is_empty() && !others {
            faults.push("it must say what it is about: `tracks`, `artists`, `genres`, `labels` or `fresh_days`".into());
        }
        if self.fresh_days.is_some_and(|days| days > 36_500) {
            faults.push("`fresh_days` must lie in 0..36_500".into());
        }
        let texts = [&self.tracks, &self.artists, &self.genres, &self.labels, &self.surfaces];
        if texts.into_iter().flatten().any(|text| text.is_empty() || text.len() > MAX_ID_BYTES) {
            faults.push(format!("ids, genres, labels and surfaces have 1 to {MAX_ID_BYTES} bytes"));
        }
        if self.markets.iter().any(|code| code.len() != 2 || !code.bytes().all(|b| b.is_ascii_uppercase())) {
            faults.push("`markets` must be ISO 3166 country codes such as SE".into());
        }
        faults
    }

    /// Whether there may be a request for which both hold.
    fn may_meet(&self, other: &Self) -> bool {
        let share = |a: &[String], b: &[String]| a.is_empty() || b.is_empty() || a.iter().any(|one| b.contains(one));
        let (Ok(own), Ok(their)) = (self.window_ms(), other.window_ms()) else { return false };
        own.0 < their.1
            && their.0 < own.1
            && share(&self.markets, &other.markets)
            && share(&self.surfaces, &other.surfaces)
    }
}

/// What is wrong with the rules, each by itself and by number.
pub(super) fn faults(rules: &[RuleConfig]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut names = BTreeSet::new();
    for (at, rule) in rules.iter().enumerate() {
        let of = |fault: String| format!("rule {} ({:?}): {fault}", at + 1, rule.name);
        faults.extend(rule.faults().into_iter().map(of));
        if !names.insert(&rule.name) {
            faults.push(of("another rule has that name".into()));
        }
    }
    let of = |rule: &RuleConfig| rule.tracks.len() + rule.artists.len() + rule.genres.len() + rule.labels.len();
    let ids: usize = rules.iter().map(of).sum();
    if rules.len() > MAX_RULES || ids > MAX_IDS {
        let (rules, ids) = (rules.len(), ids);
        faults.push(format!("there are {rules} rules with {ids} ids; at most {MAX_RULES} with {MAX_IDS} are taken"));
    }
    faults
}

/// Where rules contradict each other, and what comes of it; for people. Knows ids, not which artist a track is of.
pub fn rule_conflicts(rules: &[RuleConfig]) -> Vec<String> {
    let pairs = rules.iter().enumerate().flat_map(|(at, a)| rules[at + 1..].iter().map(move |b| (a, b)));
    let mut found: Vec<String> =
        pairs.filter(|(a, b)| a.may_meet(b)).filter_map(|(a, b)| conflict(a, b).or_else(|| conflict(b, a))).collect();
    let wanted: usize = rules.iter().filter_map(|rule| rule.count).sum();
    if wanted > MAX_PLACE {
        found.push(format!(
            "the rules `at_least` want {wanted} places together: where a list is too short, earlier rules have theirs"
        ));
    }
    found
}

/// What is contradictory in `a` and `b`; `a` stands first wherever order counts.
fn conflict(a: &RuleConfig, b: &RuleConfig) -> Option<String> {
    use RuleAction::{Block, Boost, Bury, Pin};
    let shared = a.tracks.iter().find(|track| b.tracks.contains(track));
    let both = |list: fn(&RuleConfig) -> &Vec<String>| list(a).iter().find(|one| list(b).contains(one));
    let alike = shared.or_else(|| both(|rule| &rule.artists)).or_else(|| both(|rule| &rule.genres));
    let alike = alike.or_else(|| both(|rule| &rule.labels));
    let (first, second) = (&a.name, &b.name);
    match (a.action, b.action) {
        (Pin, Pin) if a.position == b.position => {
            Some(format!("`{first}` and `{second}` pin the same place: `{second}` gets the next free one"))
        }
        (Pin, Pin) => shared.map(|track| {
            format!("`{first}` and `{second}` pin track {track:?}: `{first}` has it, as it stands first in the file")
        }),
        (Pin, Block) => shared.map(|track| {
            let reason = RemovalReason::Rule.as_str();
            format!("`{second}` blocks track {track:?} that `{first}` pins: it is not served (filter `{reason}`)")
        }),
        (Boost, Bury) => alike.map(|what| {
            format!("`{first}` boosts and `{second}` buries {what:?}: what fits both moves by the difference")
        }),
        (Pin | Boost | Bury | Block | RuleAction::AtLeast, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<RuleConfig> {
        #[derive(serde::Deserialize)]
        struct File {
            rules: Vec<RuleConfig>,
        }
        toml::from_str::<File>(text).unwrap().rules
    }

    #[test]
    fn every_fault_is_named() {
        let text = "[[rules]]\nname='A b'\naction='pin'\nartists=['a']\nplaces=3\n[[rules]]\nname='x'\naction='boost'\n\
                    markets=['se']\nfrom='noon'\n[[rules]]\nname='x'\naction='at_least'\ncount=101\ngenres=['']\n\
                    from='2026-01-02T00:00:00Z'\nuntil='2026-01-01T00:00:00Z'\nfresh_days=40_000\n";
        let expected = [
            "rule 1 (\"A b\"): `name` must be 1 to 64 of a-z, 0-9, - and _",
            "rule 1 (\"A b\"): `pin` needs `position`",
            "rule 1 (\"A b\"): `pin` takes no `places`",
            "rule 1 (\"A b\"): a pin names `tracks`, and no artists, genres, labels or fresh_days",
            "rule 2 (\"x\"): `from` must be a moment such as \"2026-12-24T00:00:00Z\", is \"noon\"",
            "rule 2 (\"x\"): `boost` needs `places`",
            "rule 2 (\"x\"): it must say what it is about: `tracks`, `artists`, `genres`, `labels` or `fresh_days`",
            "rule 2 (\"x\"): `markets` must be ISO 3166 country codes such as SE",
            "rule 3 (\"x\"): `until` must lie after `from`",
            "rule 3 (\"x\"): `count` must lie in 1..100",
            "rule 3 (\"x\"): `fresh_days` must lie in 0..36_500",
            "rule 3 (\"x\"): ids, genres, labels and surfaces have 1 to 128 bytes",
            "rule 3 (\"x\"): another rule has that name",
        ];
        assert_eq!(faults(&read(text)), expected);
        let one = &read("[[rules]]\nname='a'\naction='block'\ngenres=['x']")[0];
        let many: Vec<_> = (0..101).map(|at| RuleConfig { name: format!("r{at}"), ..one.clone() }).collect();
        assert_eq!((faults(&many[..100]).len(), faults(&many).len()), (0, 1));
    }

    #[test]
    fn contradictions_are_found_where_rules_can_meet() {
        let text = "[[rules]]\nname='a'\naction='pin'\ntracks=['t1']\nposition=1\n\
                    [[rules]]\nname='b'\naction='block'\ntracks=['t1']\nmarkets=['SE']\n\
                    [[rules]]\nname='c'\naction='pin'\ntracks=['t2','t1']\nposition=1\nmarkets=['DE']\n\
                    [[rules]]\nname='d'\naction='pin'\ntracks=['t2']\nposition=2\nuntil='2026-01-01T00:00:00Z'\n\
                    [[rules]]\nname='e'\naction='bury'\nplaces=1\ngenres=['jazz']\nfrom='2026-01-01T00:00:00Z'\n\
                    [[rules]]\nname='f'\naction='boost'\nplaces=2\ngenres=['jazz']\n\
                    [[rules]]\nname='g'\naction='boost'\nplaces=2\ngenres=['jazz']\nuntil='2026-01-01T00:00:00Z'\n\
                    [[rules]]\nname='h'\naction='at_least'\ncount=60\ngenres=['jazz']\n\
                    [[rules]]\nname='i'\naction='at_least'\ncount=60\ngenres=['jazz']\n";
        let rules = read(text);
        assert!(faults(&rules).is_empty());
        let expected = [
            "`b` blocks track \"t1\" that `a` pins: it is not served (filter `rule`)",
            "`a` and `c` pin the same place: `c` gets the next free one",
            "`c` and `d` pin track \"t2\": `c` has it, as it stands first in the file",
            "`f` boosts and `e` buries \"jazz\": what fits both moves by the difference",
            "the rules `at_least` want 120 places together: where a list is too short, earlier rules have theirs",
        ];
        assert_eq!(rule_conflicts(&rules), expected);
    }
}
