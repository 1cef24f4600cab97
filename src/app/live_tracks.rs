//! Changes of the catalogue while the bundle is served: tracks put, taken down and restored.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{AppError, Wiring};
use crate::bundle::{Bundle, BundleError, Change, ChangeLog, embed_new};
use crate::domain::{CatalogueError, Track, TrackId, TrackIx};
use crate::index::IndexError;
use crate::inference::{OrtItemTower, Runtime};

/// Why a change of the catalogue did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such track.
    #[error("there is no such track")]
    Unknown,
    /// The catalogue cannot take the track as it is.
    #[error("{0}")]
    Refused(#[from] CatalogueError),
    /// As many tracks were added as may be.
    #[error(
        "{0} tracks were added since the bundle was built, as many as catalogue.max_added allows: build the next bundle \
         with them (segue bundle build --changes), or raise it"
    )]
    Full(usize),
    /// The item tower failed, or the change could not be stored.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The index did not take the vector.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Earlier changes left catalogue and vectors of different length: a bug.
    #[error("catalogue and vectors are no longer of one length: restart the server")]
    Torn,
}

/// What putting a track did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// Its id was new.
    Added(TrackIx),
    /// It replaced what was known of its id.
    Replaced(TrackIx),
    /// It was known like that; if it was taken down, it is served again.
    Unchanged(TrackIx),
}

/// Changes the catalogue under running lanes. A change is on the disk before it counts.
pub(super) struct LiveTracks {
    runtime: Runtime,
    max_added: usize,
    writer: Mutex<Writer>,
}

struct Writer {
    /// Nothing where changes need not survive a restart.
    log: Option<ChangeLog>,
    /// Opened when the first track comes.
    tower: Option<OrtItemTower>,
}

impl LiveTracks {
    /// Opens the file of changes, if there is to be one, and applies what it holds, in its order: a track that comes again
    /// gets the row that it had. About 60 us a track.
    ///
    /// # Errors
    /// The file, the item tower, or more tracks than `max`: a live state may name any of them.
    pub(super) fn open(
        runtime: Runtime,
        wiring: &Wiring,
        changes: Option<&Path>,
        max: usize,
    ) -> Result<Self, AppError> {
        let (log, changes) = match changes {
            None => (None, Vec::new()),
            Some(path) => ChangeLog::open(path).map(|(log, changes)| (Some(log), changes))?,
        };
        let live = Self { runtime, max_added: max, writer: Mutex::new(Writer { log: None, tower: None }) };
        let (total, mut refused) = (changes.len(), 0);
        for change in changes {
            let done = match change {
                Change::Put(track) => live.put(wiring, *track).map(|_| ()),
                Change::TakeDown(id) => live.take_down(wiring, &id).map(|_| ()),
                Change::Restore(id) => live.restore(wiring, &id).map(|_| ()),
            };
            match done {
                Ok(()) => {}
                // Of another bundle's track, or of one that this bundle cannot take: said, and not in the way.
                Err(error @ (ChangeError::Unknown | ChangeError::Refused(_))) => {
                    tracing::warn!(%error, "a change of the catalogue does not fit this bundle");
                    refused += 1;
                }
                Err(error) => return Err(AppError::Changes(error)),
            }
        }
        if total > 0 {
            let (added, down) = (wiring.bundle().catalogue.added().len(), wiring.takedowns().count());
            tracing::info!(total, refused, added, down, "the catalogue is up to its changes");
        }
        live.writer().log = log;
        Ok(live)
    }

    /// Names the file of changes; empty without one.
    pub(super) fn log_id(&self) -> String {
        self.writer().log.as_ref().map(|log| log.id().to_owned()).unwrap_or_default()
    }

    fn writer(&self) -> std::sync::MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a track, or replaces what is known of its id; on return it is stored and every search finds it.
    pub(super) fn put(&self, wiring: &Wiring, track: Track) -> Result<Put, ChangeError> {
        let mut writer = self.writer();
        let bundle = wiring.bundle();
        let known = bundle.catalogue.find(track.track_id.as_str());
        if let Some(row) = known.filter(|row| *bundle.catalogue.track(*row) == track) {
            if wiring.takedowns().contains(row) {
                writer.store(&Change::Restore(track.track_id))?;
                wiring.takedowns().restore(row);
            }
            return Ok(Put::Unchanged(row));
        }
        let added = bundle.catalogue.added().len();
        if added >= self.max_added {
            return Err(ChangeError::Full(added));
        }
        bundle.catalogue.may_add(&track)?;
        if bundle.vectors.len() != bundle.catalogue.len() {
            return Err(ChangeError::Torn);
        }
        let artist = bundle.catalogue.find_artist(track.artist_id.as_str());
        let columns = wiring.assembler().items().of_new(&track, artist, &bundle.popularity);
        let vector = embed_new(writer.tower(&self.runtime, bundle)?, bundle, &[&track], &columns)?;
        writer.store(&Change::Put(Box::new(track.clone())))?;
        // Vector and columns first: whoever learns of a row from the catalogue or the index finds all of it.
        for vector in vector {
            wiring.assembler().add(columns, vector).map_err(|_| ChangeError::Torn)?;
        }
        let row = bundle.catalogue.add(track)?;
        bundle.index.add(row)?;
        if let Some(old) = known {
            wiring.takedowns().take_down(old);
        }
        Ok(known.map_or(Put::Added(row), |_| Put::Replaced(row)))
    }

    /// Serves a track no more; on return that is stored and holds for every request that comes.
    pub(super) fn take_down(&self, wiring: &Wiring, id: &TrackId) -> Result<(), ChangeError> {
        let mut writer = self.writer();
        let row = wiring.bundle().catalogue.find(id.as_str()).ok_or(ChangeError::Unknown)?;
        if !wiring.takedowns().contains(row) {
            writer.store(&Change::TakeDown(id.clone()))?;
            wiring.takedowns().take_down(row);
        }
        Ok(())
    }

    /// Undoes [`LiveTracks::take_down`].
    pub(super) fn restore(&self, wiring: &Wiring, id: &TrackId) -> Result<(), ChangeError> {
        let mut writer = self.writer();
        let row = wiring.bundle().catalogue.find(id.as_str()).ok_or(ChangeError::Unknown)?;
        if wiring.takedowns().contains(row) {
            writer.store(&Change::Restore(id.clone()))?;
            wiring.takedowns().restore(row);
        }
        Ok(())
    }
}

impl Writer {
    fn store(&mut self, change: &Change) -> Result<(), BundleError> {
        self.log.as_mut().map_or(Ok(()), |log| log.append(change))
    }

    fn tower(&mut self, runtime: &Runtime, bundle: &Arc<Bundle>) -> Result<&mut OrtItemTower, BundleError> {
        let tower = match self.tower.take() {
            Some(tower) => tower,
            None => bundle.item_tower(runtime)?,
        };
        Ok(self.tower.insert(tower))
    }
}
