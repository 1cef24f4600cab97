//! Daily aggregates of a whole history: what is played in each market, and what each listener likes, as of one moment.
//! `scripts/spark/daily.py` computes the same on a cluster.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::data::Data;
use super::error::file_fault;
use super::{BackfillError, Progress};
use crate::bundle::{DEFAULT_HALF_LIFE_DAYS, PlayCounter};
use crate::config::Config;
use crate::domain::{Affinity, Catalogue, ItemVectors, UserId, UserProfile};
use crate::features::{StateStore, affinity};
use crate::tables::{Column, RowWriter, Type};

/// Weights below this are left out: they are what a profile forgets.
const LEAST: f32 = 1e-6;

/// What to aggregate.
#[derive(Debug, Clone)]
pub struct AggregatePlan {
    /// Canonical tables, or an archive of events with `tracks.parquet`.
    pub data: PathBuf,
    /// Where the tables go; made if absent.
    pub out: PathBuf,
    /// Events before this moment count, Unix ms; `None` = all, as of 1 ms after the last.
    pub as_of_ms: Option<i64>,
}

/// What was aggregated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AggregateSummary {
    /// The moment that the tables stand for, Unix ms.
    pub as_of_ms: i64,
    /// Rows of `popularity.parquet`.
    pub popularity: u64,
    /// Listeners with an event.
    pub listeners: usize,
    /// Rows of `tastes.parquet`.
    pub tastes: u64,
    /// Events that changed no profile: tracks that the catalogue lacks, sessions of two listeners.
    pub refused: u64,
}

/// A row of `tastes.parquet`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct TasteRow {
    pub(super) user_id: String,
    pub(super) kind: String,
    pub(super) key: String,
    pub(super) weight: f32,
}

const TASTES: &[Column] = &[
    Column::required("user_id", Type::Utf8),
    Column::required("kind", Type::Utf8),
    Column::required("key", Type::Utf8),
    Column::required("weight", Type::Float32),
];

/// Writes `popularity.parquet`, as a bundle of that moment has it, and `tastes.parquet`, what the profiles of that moment know
/// of artists and genres. Reads the events twice: to know when they end, to count and replay. Memory: sessions and profiles,
/// which must find room in the configured bytes.
///
/// # Errors
/// A table that cannot be read or written, events out of order, or state that found no room.
pub fn aggregate(
    plan: &AggregatePlan,
    config: &Config,
    progress: &mut dyn FnMut(Progress),
) -> Result<AggregateSummary, BackfillError> {
    std::fs::create_dir_all(&plan.out).map_err(|e| file_fault(&plan.out, e))?;
    let mut data = Data::open(&plan.data)?;
    let (_, last_ms) = data.span(progress)?;
    let as_of_ms = plan.as_of_ms.unwrap_or(last_ms.saturating_add(1));
    let mut counter = PlayCounter::new(data.catalogue.len(), DEFAULT_HALF_LIFE_DAYS);
    let state = StateStore::new(&config.state, &config.signals);
    let (mut listeners, mut refused) = (BTreeSet::new(), 0);
    data.each("plays and tastes", progress, |event| {
        if event.ts_ms >= as_of_ms {
            return Ok(false);
        }
        counter.count(event, &data.catalogue, &config.signals);
        match state.apply(event, &data.catalogue, &ItemVectors::none()) {
            Ok(_) if listeners.contains(&event.user_id) => {}
            Ok(_) => drop(listeners.insert(event.user_id.clone())),
            Err(_) => refused += 1,
        }
        Ok(true)
    })?;
    let tastes =
        write_tastes(&plan.out.join("tastes.parquet"), &data.catalogue, &state, &listeners, |weight, then_ms| {
            weight * affinity::decay(as_of_ms - then_ms, config.signals.affinity_half_life_days)
        })?;
    let popularity = counter.write(&plan.out.join("popularity.parquet"), as_of_ms)?;
    Ok(AggregateSummary { as_of_ms, popularity, listeners: listeners.len(), tastes, refused })
}

/// Writes the tastes, listener by listener; `now` says what is left of a weight of that moment.
fn write_tastes(
    path: &Path,
    catalogue: &Catalogue,
    state: &StateStore,
    listeners: &BTreeSet<UserId>,
    now: impl Fn(f32, i64) -> f32,
) -> Result<u64, BackfillError> {
    // Counting does the housekeeping by which the store finds out what it has lost.
    let (_, profiles) = (state.session_count(), state.profile_count());
    let lost = state.figures().lost;
    if lost > 0 || profiles < listeners.len() as u64 {
        return Err(BackfillError::History(format!(
            "{} listeners, of whom {profiles} found room in memory, and {lost} sessions or profiles were lost: raise \
             state.sessions_mib and state.profiles_mib, or use scripts/spark/daily.py",
            listeners.len()
        )));
    }
    let mut writer = RowWriter::create(path, TASTES)?;
    for user in listeners {
        let UserProfile { artists, genres, .. } = &*state.profile(user);
        let mut write = |kind: &str, key: &str, weight: f32| {
            if weight < LEAST {
                return Ok(());
            }
            writer.write(TasteRow { user_id: user.to_string(), kind: kind.into(), key: key.into(), weight })
        };
        each(artists, |artist, weight, at| write("artist", catalogue.artist(artist).id.as_str(), now(weight, at)))?;
        each(genres, |genre, weight, at| {
            let name = catalogue.genres().get(genre.at());
            name.map_or(Ok(()), |name| write("genre", name, now(weight, at)))
        })?;
    }
    Ok(writer.finish()?)
}

fn each<K: Copy, E>(affinity: &Affinity<K>, mut visit: impl FnMut(K, f32, i64) -> Result<(), E>) -> Result<(), E> {
    affinity.entries.iter().try_for_each(|(key, weight)| visit(*key, *weight, affinity.as_of_ms))
}
