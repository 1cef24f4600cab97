//! What the exposed did, before and after, out of the archive of events.

use std::collections::HashMap;
use std::sync::Arc;

use super::{ExperimentError, Exposed};
use crate::archive::read_hours;
use crate::config::Config;
use crate::domain::{Catalogue, Event, EventType, ItemVectors, SessionId, TrackId};
use crate::features::{EndedPlay, StateStore};
use crate::store::Store;

/// A day, ms.
pub(super) const DAY_MS: i64 = 86_400_000;
/// Days before the exposure that are known of a listener.
const BEFORE_DAYS: i64 = 14;
/// Days of the long run.
const LONG_DAYS: i64 = 14;

/// What one listener did.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Lived {
    /// Which arm.
    pub arm: usize,
    /// Days from the first exposure to the end of what is known.
    pub days: f64,
    /// Plays of proposed tracks whose end is the listener's verdict.
    pub plays: f64,
    /// Of them, played to their end.
    pub through: f64,
    /// Of them, played for more than 30 s or to their end.
    pub long: f64,
    /// Of them, skipped early.
    pub early: f64,
    /// Minutes of all plays from the first exposure on.
    pub minutes: f64,
    /// The same of the first 14 days.
    pub minutes_two_weeks: f64,
    /// Days on which something happened, bit d: from d to d + 1 days after the first exposure; 63 are told apart.
    pub active: u64,
    /// Minutes of the 14 days before.
    pub before: f64,
}

/// Reads the archive hour by hour: what each of the exposed did up to `until_ms`, or to the end of what is archived. Plays are graded by
/// the code that serves. Listeners come in the order of their ids, without those who were exposed after all that is known; also the
/// moment up to which it is.
///
/// # Errors
/// The archive's, or state that does not fit into memory.
pub fn lived(
    archive: &Arc<dyn Store>,
    exposed: &Exposed,
    catalogue: &Catalogue,
    config: &Config,
    until_ms: Option<i64>,
    progress: &mut dyn FnMut(u64),
) -> Result<(Vec<Lived>, i64), ExperimentError> {
    let mut reading = Reading::new(exposed, catalogue, config);
    let (mut events, mut end) = (0, i64::MIN);
    for hour in read_hours(archive)? {
        let hour = hour?;
        end = end.max(hour.hour.end_ms());
        events += hour.events.len() as u64;
        for event in hour.events.iter().filter(|event| until_ms.is_none_or(|until| event.ts_ms < until)) {
            reading.event(event);
        }
        progress(events);
    }
    match reading.state.figures().lost {
        0 => {}
        lost => return Err(ExperimentError::Forgotten(lost)),
    }
    let end = until_ms.map_or(end, |until| until.min(end));
    let mut all: Vec<(&String, Lived)> = reading.lives.into_iter().collect();
    all.sort_by_key(|(listener, _)| *listener);
    let done = all.into_iter().filter_map(|(listener, life)| {
        let known = end.saturating_sub(exposed.listeners[listener].first_ms);
        (known > 0).then_some(Lived { days: known as f64 / DAY_MS as f64, ..life })
    });
    Ok((done.collect(), end))
}

struct Reading<'a> {
    exposed: &'a Exposed,
    catalogue: &'a Catalogue,
    vectors: ItemVectors,
    state: StateStore,
    /// The play that each session began last, and whether an answer proposed it.
    begun: HashMap<SessionId, (TrackId, bool)>,
    lives: HashMap<&'a String, Lived>,
}

impl<'a> Reading<'a> {
    fn new(exposed: &'a Exposed, catalogue: &'a Catalogue, config: &Config) -> Self {
        let lives = exposed.listeners.iter().map(|(id, of)| (id, Lived { arm: of.arm, ..Lived::default() }));
        let (vectors, state) = (ItemVectors::none(), StateStore::new(&config.state, &config.signals));
        Self { exposed, catalogue, vectors, state, begun: HashMap::new(), lives: lives.collect() }
    }

    fn event(&mut self, event: &Event) {
        let Some((id, exposure)) = self.exposed.listeners.get_key_value(event.user_id.as_str()) else { return };
        let since = event.ts_ms - exposure.first_ms;
        // What the state refuses, a track that the catalogue lacks, is no play.
        let Ok(applied) = self.state.apply(event, self.catalogue, &self.vectors) else { return };
        let Some(life) = self.lives.get_mut(id) else { return };
        if since >= 0 {
            let day = (since / DAY_MS).min(63);
            life.active |= u64::from(day < 63) << day;
        }
        if let Some(ended) = &applied.ended {
            let begun = self.begun.get(&event.session_id);
            let theirs = begun.filter(|(track, _)| event.track_id.as_ref() == Some(track));
            let proposed = event.recommendation_id.is_some() || theirs.is_some_and(|(_, proposed)| *proposed);
            life.play(ended, since, proposed);
        }
        if let (EventType::PlayStart, Some(track)) = (event.kind, &event.track_id) {
            self.begun.insert(event.session_id.clone(), (track.clone(), event.recommendation_id.is_some()));
        }
    }
}

impl Lived {
    fn play(&mut self, ended: &EndedPlay, since: i64, proposed: bool) {
        let verdict = &ended.verdict;
        let minutes = f64::from(verdict.played_ms.unwrap_or(0)) / 60_000.0;
        if since < 0 {
            self.before += if since >= -BEFORE_DAYS * DAY_MS { minutes } else { 0.0 };
            return;
        }
        self.minutes += minutes;
        self.minutes_two_weeks += if since < LONG_DAYS * DAY_MS { minutes } else { 0.0 };
        if proposed && !verdict.censored {
            let one = |is: bool| f64::from(u8::from(is));
            self.plays += 1.0;
            self.through += one(!verdict.skipped);
            self.long += one(verdict.completed);
            self.early += one(verdict.early_skip);
        }
    }
}
