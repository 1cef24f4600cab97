//! From events to decayed plays, to the rules of what follows what, and to sessions.

use super::BundleError;
use super::build::{BuildConfig, Progress};
use super::layout::{POPULARITY, RULES};
use super::plays::{PlayCounter, PlaysRow};
use super::rules::RuleCounter;
use super::session_sample::{SampledSession, SessionSampler};
use super::sources::RowsSchema;
use crate::domain::{Catalogue, SequentialRules};
use crate::tables;

/// The decayed plays and the moment they stand for.
pub(super) struct Counted {
    /// The table.
    pub rows: Vec<PlaysRow>,
    /// What follows what.
    pub rules: SequentialRules,
    /// Sessions, all or a sample.
    pub sessions: Vec<SampledSession>,
    /// The moment, Unix ms.
    pub as_of_ms: i64,
    /// Positive plays before it.
    pub plays: u64,
}

/// Counts the positive plays before the moment of the bundle: how many there are of each track, and which follow which. A play counts by what its last event reports; plays of
/// tracks that the catalogue does not know are left out.
pub(super) fn count_plays(
    config: &BuildConfig,
    catalogue: &Catalogue,
    rows: &RowsSchema,
    progress: &mut dyn FnMut(Progress),
) -> Result<Counted, BundleError> {
    if !(config.half_life_days.is_finite() && config.half_life_days > 0.0) {
        return Err(BundleError::file(POPULARITY, format!("half-life {} is not positive", config.half_life_days)));
    }
    let path = config.data.join("events.parquet");
    let refuse = |e: tables::TableError| BundleError::path(&path, e.fault);
    let until_ms = rows.instant(config.as_of);
    let mut counter = PlayCounter::new(catalogue.len(), config.half_life_days);
    let (mut rules, mut sessions, mut last_ms) = (RuleCounter::default(), SessionSampler::default(), i64::MIN);
    for (at, event) in tables::read_events(&path).map_err(refuse)?.enumerate() {
        let event = event.map_err(refuse)?;
        if at % 65_536 == 0 {
            progress(Progress { step: "plays", done: at as u64, total: 0 });
        }
        if until_ms.is_some_and(|until| event.ts_ms >= until) {
            continue;
        }
        last_ms = last_ms.max(event.ts_ms);
        if let Some(track) = counter.count(&event, catalogue, &config.signals) {
            rules.play(&event, track);
            sessions.play(&event, track, catalogue);
        }
    }
    let as_of_ms = match until_ms {
        Some(until) => until,
        None if last_ms == i64::MIN => return Err(BundleError::path(&path, "holds no event")),
        None => last_ms.saturating_add(1),
    };
    let rules = rules.rules(catalogue.len(), as_of_ms).map_err(|fault| BundleError::file(RULES, fault))?;
    let sessions = sessions.sessions();
    Ok(Counted { rows: counter.rows(as_of_ms), rules, sessions, as_of_ms, plays: counter.plays() })
}
