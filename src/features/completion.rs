//! How likely a play of a track is to be completed, as learnt from the event stream.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arc_swap::ArcSwapOption;

use super::feedback::Shares;
use super::tally::{Counts, Tally};
use super::{Applied, BetaGrid};
use crate::config::CompletionConfig;
use crate::domain::{Catalogue, Event, EventType, GenreIx, Popularity, TrackIx};
use crate::vault::{Batch, Row, Shelf, Vault, VaultError};

/// Rows that stand together in memory and on disk.
const CHUNK: usize = 64;
/// The part of a posterior that its interval holds.
const INTERVAL: f32 = 0.9;

/// What tallies are kept of, in the order of [`LEVELS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    All,
    Genre,
    Artist,
    Track,
}

const LEVELS: [(Level, &str); 4] =
    [(Level::All, "all"), (Level::Genre, "genre"), (Level::Artist, "artist"), (Level::Track, "track")];

type Chunk = Arc<[Tally]>;

#[derive(Default)]
struct Held {
    columns: [Vec<Option<Chunk>>; LEVELS.len()],
    changed: BTreeSet<(Level, usize)>,
    leaving: BTreeMap<(Level, usize), Chunk>,
}

impl Held {
    fn get(&self, level: Level, row: usize) -> Tally {
        let chunk = self.columns[level as usize].get(row / CHUNK).and_then(Option::as_ref);
        chunk.map_or_else(Tally::default, |chunk| chunk[row % CHUNK])
    }

    fn change(&mut self, level: Level, row: usize, change: impl FnOnce(&mut Tally)) {
        let at = row / CHUNK;
        let column = &mut self.columns[level as usize];
        if column.len() <= at {
            column.resize(at + 1, None);
        }
        let chunk = column[at].get_or_insert_with(|| Arc::from([Tally::default(); CHUNK]));
        change(&mut Arc::make_mut(chunk)[row % CHUNK]);
        self.changed.insert((level, at));
    }
}

/// What is known of a track's plays at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// First parameter of the Beta posterior of the share of completed plays, above 0.
    pub alpha: f64,
    /// Second parameter, above 0.
    pub beta: f64,
    /// Plays: the bundle's, decayed as they are there, and those that ended since.
    pub plays: f32,
    /// Times that it was shown: plays, or what clients reported where that is more.
    pub impressions: f32,
    /// Whether little is known of it yet.
    pub is_cold: bool,
}

/// Completed plays of every track, artist and genre that has had events, decayed, and the Beta posteriors that follow.
///
/// A track is expected to be as its artist is, an artist as the genre, a genre as all tracks: what is known of each counts
/// like a configured number of plays for the one below. 40 bytes a track, an artist, a genre, in chunks of 64 that come with
/// the first event of one of them, so memory is bounded by the catalogue. Readers wait for a writer while it counts.
pub struct Completions {
    held: RwLock<Held>,
    config: CompletionConfig,
    grid: BetaGrid,
    bundle: ArcSwapOption<Popularity>,
    promoted: AtomicU64,
}

impl Completions {
    /// Knows nothing yet.
    pub(super) fn new(config: CompletionConfig) -> Self {
        let (held, grid, bundle) = (RwLock::default(), BetaGrid::default(), ArcSwapOption::empty());
        Self { held, config, grid, bundle, promoted: AtomicU64::new(0) }
    }

    /// From now on the plays of a bundle count too, unless another one's do.
    pub fn know(&self, bundle: Arc<Popularity>) {
        if self.bundle.load().is_none() {
            self.bundle.store(Some(bundle));
        }
    }

    /// From now on the plays of this bundle count, in place of the one before, which was of the same rows.
    pub fn know_now(&self, bundle: Arc<Popularity>) {
        self.bundle.store(Some(bundle));
    }

    /// Appends the estimate of each track at a moment; one lock for all.
    pub fn estimates(
        &self,
        catalogue: &Catalogue,
        tracks: impl Iterator<Item = TrackIx>,
        now_ms: i64,
        out: &mut Vec<Estimate>,
    ) {
        let held = self.read();
        out.extend(tracks.map(|track| self.estimate(&held, catalogue, track, now_ms)));
    }

    /// Calls `visit` with each track and its plays, the bundle's and those since; one lock for all.
    pub fn plays(&self, tracks: impl Iterator<Item = TrackIx>, mut visit: impl FnMut(TrackIx, f32)) {
        let held = self.read();
        tracks.for_each(|track| visit(track, self.in_bundle(track) + held.get(Level::Track, track.at()).plays as f32));
    }

    /// Tracks that turned warm since the process started.
    pub fn promoted(&self) -> u64 {
        self.promoted.load(Ordering::Relaxed)
    }

    /// Takes note of an event that was applied, by the shares that count of what it tells. Constant time, more while its
    /// track is cold.
    pub(super) fn note(&self, catalogue: &Catalogue, event: &Event, applied: &Applied, shares: Shares) {
        let ends = [(applied.ended, shares.ended), (applied.displaced, shares.displaced)];
        let ends = ends.map(|(end, share)| end.filter(|_| share > 0.0).map(|end| (end, share)));
        let is_shown = event.kind == EventType::Impression && Shares::is_whole(shares.shown);
        let shown = event.track_id.as_ref().filter(|_| is_shown).and_then(|id| catalogue.find(id.as_str()));
        if shown.is_none() && ends.iter().all(Option::is_none) {
            return;
        }
        let mut held = self.write();
        for (end, share) in ends.into_iter().flatten() {
            let (track, completed) = (end.play.track, end.labels()[0]);
            let end = |tally: &mut Tally| tally.end(completed, share, event.ts_ms, self.config.half_life_days);
            rows_of(catalogue, track).for_each(|(level, row)| held.change(level, row, end));
            self.promote(&mut held, catalogue, track, event.ts_ms);
        }
        if let Some(track) = shown {
            held.change(Level::Track, track.at(), |tally| tally.shown = tally.shown.saturating_add(1));
            self.promote(&mut held, catalogue, track, event.ts_ms);
        }
    }

    /// Marks and tells a cold track that enough is known of.
    fn promote(&self, held: &mut Held, catalogue: &Catalogue, track: TrackIx, now_ms: i64) {
        let enough = self.config.warm_impressions as f32;
        if held.get(Level::Track, track.at()).is_warm || self.in_bundle(track) >= enough {
            return;
        }
        let known = self.estimate(held, catalogue, track, now_ms);
        let (low, high) = self.grid.interval(known.alpha, known.beta, INTERVAL);
        if known.impressions >= enough || high - low <= self.config.warm_width {
            held.change(Level::Track, track.at(), |tally| tally.is_warm = true);
            self.promoted.fetch_add(1, Ordering::Relaxed);
            let (track, impressions) = (catalogue.track(track).track_id.as_str(), known.impressions);
            tracing::info!(track, impressions, low, high, "the track is warm: 90 % interval of its completed plays");
        }
    }

    fn estimate(&self, held: &Held, catalogue: &Catalogue, track: TrackIx, now_ms: i64) -> Estimate {
        let half_life = self.config.half_life_days;
        let like = |plays: f32| f64::from(plays.max(1e-3));
        let (mut mean, mut own, mut like_plays) = (0.5, Counts::default(), 0.0);
        for (level, row) in rows_of(catalogue, track) {
            // What was found at the level before is what is expected at this one.
            mean = own.mean(mean, like_plays);
            own = held.get(level, row).at(now_ms, half_life);
            like_plays = match level {
                // Half of all plays are completed, until a few plays say otherwise.
                Level::All => 2.0,
                Level::Genre => like(self.config.all_plays),
                Level::Artist => like(self.config.genre_plays),
                Level::Track => like(self.config.artist_plays),
            };
        }
        let tally = held.get(Level::Track, track.at());
        let before = self.in_bundle(track);
        let impressions = before + tally.impressions() as f32;
        Estimate {
            alpha: own.completed + like_plays * mean,
            beta: own.judged - own.completed + like_plays * (1.0 - mean),
            plays: before + tally.plays as f32,
            impressions,
            is_cold: !tally.is_warm && impressions < self.config.warm_impressions as f32,
        }
    }

    fn in_bundle(&self, track: TrackIx) -> f32 {
        self.bundle.load().as_ref().and_then(|bundle| bundle.plays.get(track.at()).copied()).unwrap_or(0.0)
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a track counts, the widest first.
fn rows_of(catalogue: &Catalogue, track: TrackIx) -> impl Iterator<Item = (Level, usize)> {
    let genre = catalogue.genre_of(track);
    let genre = (genre != GenreIx::NONE).then_some((Level::Genre, usize::from(genre.0)));
    let own = [(Level::Artist, catalogue.artist_of(track).at()), (Level::Track, track.at())];
    std::iter::once((Level::All, 0)).chain(genre).chain(own)
}

/// As they stand on disk: a row a chunk, whole as of the offset that sessions and profiles are of.
impl Completions {
    /// Draws the line up to which the next write writes: pointers are copied.
    pub(super) fn part(&self) {
        let mut held = self.write();
        let Held { columns, changed, leaving } = &mut *held;
        for (level, at) in std::mem::take(changed) {
            if let Some(chunk) = &columns[level as usize][at] {
                leaving.insert((level, at), Arc::clone(chunk));
            }
        }
    }

    /// Puts what had changed when the line was drawn; returns the number of rows.
    pub(super) fn put(&self, batch: &mut Batch<'_>) -> Result<u64, VaultError> {
        let leaving = self.read().leaving.clone();
        for ((level, at), chunk) in &leaving {
            let body = postcard::to_stdvec(&chunk[..]).map_err(VaultError::new)?;
            let id = format!("{} {at}", LEVELS[*level as usize].1);
            batch.put(Shelf::Completions, Row { id: &id, owner: "", hour: 0, body: &body })?;
        }
        Ok(leaving.len() as u64)
    }

    /// What was to be written is on disk.
    pub(super) fn release(&self) {
        self.write().leaving.clear();
    }

    /// Takes what is on disk. Rows that make no sense are counted as damaged by the vault and count for nothing.
    pub(super) fn load(&self, vault: &Vault) {
        let mut held = self.write();
        vault.each(Shelf::Completions, |id, body| {
            let (name, at) = id.split_once(' ')?;
            let (level, _) = LEVELS.iter().find(|(_, known)| *known == name)?;
            let at: usize = at.parse().ok().filter(|at| *at <= u32::MAX as usize / CHUNK)?;
            let chunk: Vec<Tally> = postcard::from_bytes(body).ok().filter(|chunk: &Vec<_>| chunk.len() == CHUNK)?;
            let column = &mut held.columns[*level as usize];
            if column.len() <= at {
                column.resize(at + 1, None);
            }
            column[at] = Some(chunk.into());
            Some(())
        });
    }
}

#[cfg(test)]
impl Completions {
    /// Everything, as bytes.
    pub(crate) fn bits(&self) -> Vec<(String, Vec<u8>)> {
        let held = self.read();
        let chunks = LEVELS.iter().flat_map(|(level, name)| {
            let column = held.columns[*level as usize].iter().enumerate();
            column.filter_map(move |(at, chunk)| Some((format!("{name} {at}"), chunk.as_ref()?.clone())))
        });
        chunks.map(|(id, chunk)| (id, postcard::to_stdvec(&chunk[..]).unwrap())).collect()
    }
}

#[cfg(test)]
#[path = "completion_tests.rs"]
mod tests;
