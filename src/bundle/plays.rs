//! Play counts that decay: what popularity is made of.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::config::SignalConfig;
use crate::domain::{Catalogue, Event, Popularity, TOP_LEN, TrackIx, by_score};
use crate::features;
use crate::tables::{Column, RowWriter, TableError, Type};

/// Milliseconds of a day.
const DAY_MS: f64 = 86_400_000.0;
/// Counts below this are forgotten: a play of about 20 half-lives ago.
const LEAST: f32 = 1e-6;

/// One row of `popularity.parquet`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct PlaysRow {
    /// Market code; `None` = all markets together.
    pub market: Option<String>,
    /// Row of the track.
    pub track_ix: i32,
    /// Decayed plays.
    pub plays: f32,
    /// From 1, within the market.
    pub rank: i32,
}

impl PlaysRow {
    /// The columns of the table.
    pub(super) const COLUMNS: &[Column] = &[
        Column::optional("market", Type::Utf8),
        Column::required("track_ix", Type::Int32),
        Column::required("plays", Type::Float32),
        Column::required("rank", Type::Int32),
    ];
}

/// A count brought up to date whenever it grows.
#[derive(Debug, Clone, Copy, Default)]
struct Decayed {
    weight: f64,
    at_ms: i64,
}

impl Decayed {
    fn add(&mut self, ts_ms: i64, half_life_ms: f64) {
        if ts_ms >= self.at_ms {
            self.weight = self.at(ts_ms, half_life_ms) + 1.0;
            self.at_ms = ts_ms;
        } else {
            self.weight += decay(self.at_ms, ts_ms, half_life_ms);
        }
    }

    fn at(self, now_ms: i64, half_life_ms: f64) -> f64 {
        if self.weight == 0.0 { 0.0 } else { self.weight * decay(now_ms, self.at_ms, half_life_ms) }
    }
}

fn decay(now_ms: i64, then_ms: i64, half_life_ms: f64) -> f64 {
    (-((now_ms as f64 - then_ms as f64) / half_life_ms)).exp2()
}

/// Counts plays in any order of time, in one pass. Memory: 16 bytes a track, and as much again for every market in which
/// it was played.
#[derive(Debug)]
pub struct PlayCounter {
    half_life_ms: f64,
    tracks: Vec<Decayed>,
    markets: BTreeMap<String, HashMap<TrackIx, Decayed>>,
    plays: u64,
}

impl PlayCounter {
    /// Of a catalogue of `tracks`; `half_life_days` must be positive.
    pub fn new(tracks: usize, half_life_days: f32) -> Self {
        let half_life_ms = f64::from(half_life_days) * DAY_MS;
        Self { half_life_ms, tracks: vec![Decayed::default(); tracks], markets: BTreeMap::new(), plays: 0 }
    }

    /// Counts the play that an event ended, if that was positive by what the event reports; tells its track. Plays of
    /// tracks that the catalogue does not know are left out.
    pub fn count(&mut self, event: &Event, catalogue: &Catalogue, signals: &SignalConfig) -> Option<TrackIx> {
        let track = catalogue.find(event.track_id.as_ref()?.as_str())?;
        let duration_ms = features::duration_ms(catalogue.track(track));
        let positive = features::grade(event, duration_ms, None, signals)?.completed;
        positive.then(|| self.add(track, event.market.as_deref(), event.ts_ms))?;
        Some(track)
    }

    /// The popularity as of `now_ms`, as a bundle of that moment has it.
    ///
    /// # Errors
    /// A catalogue with other tracks than the counter's.
    pub fn popularity(&self, catalogue: &Catalogue, now_ms: i64) -> Result<Popularity, String> {
        popularity(catalogue, &self.rows(now_ms))
    }

    /// Writes `popularity.parquet` as of `now_ms`; returns the number of rows.
    ///
    /// # Errors
    /// A full disk.
    pub fn write(&self, path: &Path, now_ms: i64) -> Result<u64, TableError> {
        write(path, &self.rows(now_ms))
    }

    /// Counts one play.
    fn add(&mut self, track: TrackIx, market: Option<&str>, ts_ms: i64) {
        self.plays += 1;
        self.tracks[track.at()].add(ts_ms, self.half_life_ms);
        let Some(market) = market else { return };
        if !self.markets.contains_key(market) {
            self.markets.insert(market.to_owned(), HashMap::new());
        }
        if let Some(plays) = self.markets.get_mut(market) {
            plays.entry(track).or_default().add(ts_ms, self.half_life_ms);
        }
    }

    /// Plays counted so far.
    pub(super) fn plays(&self) -> u64 {
        self.plays
    }

    /// The table as of `now_ms`: all played tracks globally, then the best [`TOP_LEN`] of each market by code; ties by row.
    pub(super) fn rows(&self, now_ms: i64) -> Vec<PlaysRow> {
        let all = self.tracks.iter().enumerate().map(|(row, count)| (TrackIx(row as u32), *count));
        let mut rows = self.ranked(None, all, usize::MAX, now_ms);
        for (market, plays) in &self.markets {
            rows.extend(self.ranked(Some(market), plays.iter().map(|(t, c)| (*t, *c)), TOP_LEN, now_ms));
        }
        rows
    }

    fn ranked(
        &self,
        market: Option<&str>,
        counts: impl Iterator<Item = (TrackIx, Decayed)>,
        most: usize,
        now_ms: i64,
    ) -> Vec<PlaysRow> {
        let counts = counts.map(|(track, count)| (track, count.at(now_ms, self.half_life_ms) as f32));
        let mut played: Vec<_> = counts.filter(|(_, plays)| *plays >= LEAST).collect();
        played.sort_by(|a, b| by_score(a.1, b.1).then(a.0.cmp(&b.0)));
        played.truncate(most);
        let row = |(at, (track, plays)): (usize, (TrackIx, f32))| PlaysRow {
            market: market.map(str::to_owned),
            track_ix: track.0 as i32,
            plays,
            rank: at as i32 + 1,
        };
        played.into_iter().enumerate().map(row).collect()
    }
}

/// Writes the table; returns the number of rows.
pub(super) fn write(path: &Path, rows: &[PlaysRow]) -> Result<u64, TableError> {
    let mut writer = RowWriter::create(path, PlaysRow::COLUMNS)?;
    rows.iter().try_for_each(|row| writer.write(row.clone()))?;
    writer.finish()
}

/// Builds the popularity from the table.
///
/// # Errors
/// A row that names no track, a count that is not positive and finite, or ranks that are not 1, 2, 3...
pub(super) fn popularity(catalogue: &Catalogue, rows: &[PlaysRow]) -> Result<Popularity, String> {
    let mut by_market: BTreeMap<Option<&str>, (Vec<f32>, i32)> = BTreeMap::new();
    let nothing = || (vec![0.0; catalogue.len()], 0);
    by_market.insert(None, nothing());
    for (at, row) in rows.iter().enumerate() {
        let (plays, rank) = by_market.entry(row.market.as_deref()).or_insert_with(nothing);
        let slot = usize::try_from(row.track_ix).ok().and_then(|track| plays.get_mut(track));
        let slot = slot.ok_or_else(|| format!("row {at}: track_ix {} is not a track", row.track_ix))?;
        if !(row.plays.is_finite() && row.plays > 0.0) {
            return Err(format!("row {at}: plays {} is not positive", row.plays));
        }
        *rank += 1;
        if row.rank != *rank || *slot != 0.0 {
            return Err(format!("row {at}: rank {} of track {}, expected rank {rank}", row.rank, row.track_ix));
        }
        *slot = row.plays;
    }
    let global = by_market.remove(&None).map(|(plays, _)| plays).unwrap_or_default();
    let markets = by_market.into_iter().filter_map(|(market, (plays, _))| Some((market?.to_owned(), plays)));
    Ok(Popularity::new(catalogue, &global, markets.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_what_a_plain_sum_counts(
            plays in proptest::collection::vec((0u32..5, 0usize..3, 0i64..100 * DAY_MS as i64), 0..40)
        ) {
            let now = 100 * DAY_MS as i64;
            let mut counter = PlayCounter::new(5, 14.0);
            let markets = [None, Some("DE"), Some("SE")];
            plays.iter().for_each(|(track, market, ts)| counter.add(TrackIx(*track), markets[*market], *ts));
            for row in counter.rows(now) {
                let here = |market: usize| row.market.is_none() || markets[market] == row.market.as_deref();
                let counted = plays.iter().filter(|(track, market, _)| *track as i32 == row.track_ix && here(*market));
                let expected: f64 = counted.map(|(_, _, ts)| 0.5f64.powf((now - ts) as f64 / (14.0 * DAY_MS))).sum();
                prop_assert!((f64::from(row.plays) - expected).abs() < 1e-4 * expected, "{row:?} {expected}");
            }
        }
    }

    #[test]
    fn refuses_rows_that_do_not_fit() {
        let tracks = crate::bundle::fixture::tracks();
        let catalogue = Catalogue::new(tracks).unwrap();
        let row = |track_ix, plays, rank| PlaysRow { market: None, track_ix, plays, rank };
        let error = |rows: &[PlaysRow]| popularity(&catalogue, rows).map(|_| ()).unwrap_err();
        assert!(error(&[row(99, 1.0, 1)]).contains("track_ix 99"));
        assert!(error(&[row(-1, 1.0, 1)]).contains("track_ix -1"));
        assert!(error(&[row(1, f32::NAN, 1)]).contains("plays NaN"));
        assert!(error(&[row(1, 2.0, 1), row(1, 1.0, 2)]).contains("row 1"));
        assert!(error(&[row(1, 2.0, 2)]).contains("expected rank 1"));
        let popularity = popularity(&catalogue, &[row(3, 2.0, 1), row(1, 1.0, 2)]).unwrap();
        assert_eq!(popularity.top, [TrackIx(3), TrackIx(1)]);
    }
}
