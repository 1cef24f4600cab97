//! Rows for the towers: one a positive play.

use std::path::PathBuf;

use super::data::Data;
use super::error::file_fault;
use super::moment::context;
use super::open::Open;
use super::rows::{ITEMS, ItemRow, TOWERS, TowerRow, create, split, write_schema};
use super::{BackfillError, Progress, UserPart};
use crate::bundle::{DEFAULT_HALF_LIFE_DAYS, PlayCounter};
use crate::config::Config;
use crate::domain::{Catalogue, Event, GenreIx, ItemVectors, TrackIx};
use crate::features::schema::RowsInfo;
use crate::features::{History, ItemColumns, StateStore, day_of, user_columns};
use crate::tables::RowWriter;

const DAY_MS: i64 = 86_400_000;
/// Last part of the towers' window that is `valid`.
const VALID_PART: f64 = 0.05;

/// What to write rows from.
#[derive(Debug, Clone)]
pub struct TowersPlan {
    /// Canonical tables.
    pub data: PathBuf,
    /// The rows directory; made if absent.
    pub out: PathBuf,
    /// Days before the test period that the ranker learns from; the towers learn from all days before them.
    pub rank_days: u32,
    /// Last days, which are never learnt from.
    pub test_days: u32,
    /// Whose plays; of all parts the first writes what they have in common.
    pub part: UserPart,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TowersSummary {
    /// Tracks in `items.parquet`.
    pub tracks: usize,
    /// Rows in `towers.parquet`.
    pub rows: u64,
    /// Positive plays of listeners of whom nothing was known yet: no row.
    pub without_history: u64,
    /// Events that change nothing: tracks that the catalogue lacks, sessions of two listeners.
    pub refused: u64,
    /// Where the ranker's window begins, Unix ms.
    pub rank_from_ms: i64,
    /// Where the test period begins, Unix ms.
    pub test_from_ms: i64,
}

/// Writes `schema.json`, `items.parquet` and `towers.parquet`. Reads the events three times: to know when they end, to
/// count plays, to replay. Memory: catalogue, live state, one row an open play.
///
/// # Errors
/// A table that cannot be read or written, events out of order, or a history shorter than the windows.
pub fn towers(
    plan: &TowersPlan,
    config: &Config,
    progress: &mut dyn FnMut(Progress),
) -> Result<TowersSummary, BackfillError> {
    std::fs::create_dir_all(&plan.out).map_err(|e| file_fault(&plan.out, e))?;
    let mut data = Data::open(&plan.data)?;
    let (first_ms, last_ms) = data.span(progress)?;
    let test_from_ms = last_ms + 1 - i64::from(plan.test_days) * DAY_MS;
    let rank_from_ms = test_from_ms - i64::from(plan.rank_days) * DAY_MS;
    if rank_from_ms <= first_ms {
        let days = (last_ms - first_ms) / DAY_MS + 1;
        return Err(BackfillError::History(format!(
            "{days} days of events leave none for the towers before {} days for the ranker and {} for the test; \
             lower --rank-days or --test-days",
            plan.rank_days, plan.test_days
        )));
    }
    let tracks = data.catalogue.len();
    if plan.part.is_first() {
        write_items(plan, config, &data, rank_from_ms, progress)?;
    }
    let mut replay = Replay::new(config, (first_ms, rank_from_ms));
    let mut writer = create(&plan.out.join("towers.parquet"), plan.part, TOWERS)?;
    data.each("rows for the towers", progress, |event| {
        if event.ts_ms >= rank_from_ms {
            return Ok(false);
        }
        if plan.part.has(&event.user_id)
            && let Some(row) = replay.event(&data, event)
        {
            writer.write(row)?;
        }
        Ok(true)
    })?;
    let rows = writer.finish()?;
    if rows == 0 && plan.part == UserPart::ALL {
        return Err(BackfillError::History(
            "no positive play of a listener with a past before the ranker's window".into(),
        ));
    }
    let (artists, genres) = (data.catalogue.artist_count(), data.catalogue.genres().len());
    if plan.part.is_first() {
        write_schema(&plan.out, &RowsInfo { dim: None, tracks, artists, genres, rank_from_ms, test_from_ms })?;
    }
    let Replay { without_history, refused, .. } = replay;
    Ok(TowersSummary { tracks, rows, without_history, refused, rank_from_ms, test_from_ms })
}

/// Writes `items.parquet`: every track as a bundle of that moment would describe it.
fn write_items(
    plan: &TowersPlan,
    config: &Config,
    data: &Data,
    until_ms: i64,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), BackfillError> {
    let catalogue = &data.catalogue;
    let mut plays = vec![0i64; catalogue.len()];
    let mut counter = PlayCounter::new(catalogue.len(), DEFAULT_HALF_LIFE_DAYS);
    data.each("plays", progress, |event| {
        if event.ts_ms >= until_ms {
            return Ok(false);
        }
        if let Some(track) = counter.count(event, catalogue, &config.signals) {
            plays[track.at()] += 1;
        }
        Ok(true)
    })?;
    let popularity = counter.popularity(catalogue, until_ms).map_err(BackfillError::History)?;
    let columns = ItemColumns::new(catalogue, &popularity, day_of(until_ms));
    let mut writer = RowWriter::create(&plan.out.join("items.parquet"), ITEMS)?;
    for (row, plays) in plays.into_iter().enumerate() {
        let track = TrackIx(row as u32);
        let genre = catalogue.genre_of(track);
        writer.write(ItemRow {
            track_id: catalogue.track(track).track_id.to_string(),
            artist_ix: catalogue.artist_of(track).0 as i32,
            genre_ix: if genre == GenreIx::NONE { -1 } else { i32::from(genre.0) },
            item: columns.row(track).to_vec(),
            plays,
        })?;
    }
    writer.finish()?;
    Ok(())
}

/// Live state in replay, and the rows of what plays now.
struct Replay {
    state: StateStore,
    no_vectors: ItemVectors,
    open: Open<TowerRow>,
    history: History,
    window: (i64, i64),
    without_history: u64,
    refused: u64,
}

impl Replay {
    fn new(config: &Config, window: (i64, i64)) -> Self {
        Self {
            state: StateStore::new(&config.state, &config.signals),
            no_vectors: ItemVectors::none(),
            open: Open::new(),
            history: History::default(),
            window,
            without_history: 0,
            refused: 0,
        }
    }

    /// Applies an event; the row of the play that it ended, if that is one to learn from.
    fn event(&mut self, data: &Data, event: &Event) -> Option<TowerRow> {
        let track = data.track(event);
        if let Some(track) = track.filter(|track| self.open.begins(event, *track)) {
            let row = self.row(event, track, &data.catalogue);
            self.open.begin(event, track, row);
        }
        let Ok(applied) = self.state.apply(event, &data.catalogue, &self.no_vectors) else {
            self.open.drop_row(&event.session_id);
            self.refused += 1;
            return None;
        };
        let ended = applied.ended?;
        let row = self.open.end(event, &ended)?;
        if !ended.verdict.completed {
            return None;
        }
        if row.history_ix.first().is_none_or(|newest| *newest < 0) {
            self.without_history += 1;
            return None;
        }
        Some(row)
    }

    fn row(&mut self, event: &Event, track: TrackIx, catalogue: &Catalogue) -> TowerRow {
        let context = context(&self.state, event, catalogue);
        self.history.fill(&context, None);
        TowerRow {
            user_id: event.user_id.to_string(),
            session_id: event.session_id.to_string(),
            ts_ms: event.ts_ms,
            split: split(event.ts_ms, self.window, VALID_PART).into(),
            target_ix: track.0 as i32,
            history_ix: self.history.ix.clone(),
            history_signals: self.history.signals.clone(),
            user: user_columns(&context).to_vec(),
        }
    }
}
