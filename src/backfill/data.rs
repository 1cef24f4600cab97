//! A data directory, or a bucket, read in passes: its events are `events.parquet`, or where there is none an archive.

use std::path::Path;
use std::sync::Arc;

use super::{BackfillError, EVENTS_A_TICK, Progress};
use crate::archive::{self, read_hours};
use crate::domain::{Catalogue, Event, TrackIx};
use crate::store::{self, Store, Stored};
use crate::tables::{stored_events, stored_tracks};

const TRACKS: &str = "tracks.parquet";
const EVENTS: &str = "events.parquet";

/// A data directory: its catalogue, and the way to its events.
pub(super) struct Data {
    pub(super) catalogue: Arc<Catalogue>,
    store: Arc<dyn Store>,
    total: u64,
}

/// Events in time order.
type Events = Box<dyn Iterator<Item = Result<Event, BackfillError>>>;

impl Data {
    /// Reads the catalogue.
    pub(super) fn open(directory: &Path) -> Result<Self, BackfillError> {
        let store = store::open(directory)?;
        let catalogue = Catalogue::new(stored_tracks(&Stored::at(&store, TRACKS.into()))?)?;
        Ok(Self { catalogue: Arc::new(catalogue), store, total: 0 })
    }

    /// The events from the first one on. Of an archive one hour is in memory.
    fn events(&self) -> Result<Events, BackfillError> {
        let table = Stored::at(&self.store, EVENTS.into());
        if Stored::find(&self.store, EVENTS)?.is_some() || !archive::is_archive(&self.store)? {
            return Ok(Box::new(stored_events(&table)?.map(|event| event.map_err(BackfillError::from))));
        }
        Ok(Box::new(read_hours(&self.store)?.flat_map(|hour| match hour {
            Ok(hour) => hour.events.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error.into())],
        })))
    }

    /// First and last time of the events, which must be sorted; remembers how many there are.
    pub(super) fn span(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(i64, i64), BackfillError> {
        let (mut first, mut last, mut count) = (i64::MAX, i64::MIN, 0u64);
        self.each("events", progress, |event| {
            if event.ts_ms < last {
                let id = &event.event_id;
                return Err(BackfillError::History(format!(
                    "row {count} ({id}) lies before the row above it: sort by ts_ms"
                )));
            }
            (first, last, count) = (first.min(event.ts_ms), event.ts_ms, count + 1);
            Ok(true)
        })?;
        self.total = count;
        if count == 0 { Err(BackfillError::History("holds no event".into())) } else { Ok((first, last)) }
    }

    /// Calls `visit` with every event until it says `false`.
    pub(super) fn each(
        &self,
        step: &'static str,
        progress: &mut dyn FnMut(Progress),
        mut visit: impl FnMut(&Event) -> Result<bool, BackfillError>,
    ) -> Result<(), BackfillError> {
        for (done, event) in (0u64..).zip(self.events()?) {
            if done % EVENTS_A_TICK == 0 {
                progress(Progress { step, done, total: self.total });
            }
            if !visit(&event?)? {
                break;
            }
        }
        Ok(())
    }

    /// The track that an event begins to play, or ends without a known beginning.
    pub(super) fn track(&self, event: &Event) -> Option<TrackIx> {
        event.track_id.as_ref().and_then(|id| self.catalogue.find(id.as_str()))
    }
}
