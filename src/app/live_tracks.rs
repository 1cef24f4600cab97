//! Changes of the catalogue while the bundle is served: tracks put, taken down and restored.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::Wiring;
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

/// The changes of the catalogue since its bundles were built, whichever of them is served. A change is on the disk before it
/// counts. Whoever changes the catalogue, or the bundle that is served, holds them.
pub(super) struct Changes {
    kept: Kept,
}

enum Kept {
    /// In a file, for the next start too.
    File(ChangeLog),
    /// Tracks that were put, at most as many as may be added. What is taken down is read off the bundle that is served.
    Memory(Vec<Track>),
}

impl Changes {
    /// Opens the file of changes, if there is to be one.
    ///
    /// # Errors
    /// The file.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, BundleError> {
        let kept = match path {
            Some(path) => Kept::File(ChangeLog::open(path)?.0),
            None => Kept::Memory(Vec::new()),
        };
        Ok(Self { kept })
    }

    /// Names the file of changes; empty without one.
    pub(super) fn id(&self) -> &str {
        match &self.kept {
            Kept::File(log) => log.id(),
            Kept::Memory(_) => "",
        }
    }

    fn store(&mut self, change: &Change) -> Result<(), BundleError> {
        match (&mut self.kept, change) {
            (Kept::File(log), _) => log.append(change)?,
            (Kept::Memory(puts), Change::Put(track)) => puts.push(Track::clone(track)),
            (Kept::Memory(_), Change::TakeDown(_) | Change::Restore(_)) => {}
        }
        Ok(())
    }

    fn count(&self) -> usize {
        match &self.kept {
            Kept::File(log) => log.count(),
            Kept::Memory(puts) => puts.len(),
        }
    }

    /// What a bundle lacks that has taken the first `taken`. `served`: the bundle that has all of them.
    fn since(&self, taken: usize, to: &Wiring, served: Option<&Wiring>) -> Result<Vec<Change>, BundleError> {
        let puts = match &self.kept {
            Kept::File(log) => return log.since(taken),
            Kept::Memory(puts) => puts.iter().skip(taken).cloned().map(|track| Change::Put(Box::new(track))),
        };
        let Some(served) = served else { return Ok(puts.collect()) };
        let (up, down) = (down(to).difference(&down(served)).cloned().collect::<Vec<_>>(), down(served));
        Ok(puts.chain(up.into_iter().map(Change::Restore)).chain(down.into_iter().map(Change::TakeDown)).collect())
    }
}

/// The ids that are taken down.
fn down(wiring: &Wiring) -> BTreeSet<TrackId> {
    let catalogue = &wiring.bundle().catalogue;
    let current = |row: &TrackIx| catalogue.find(catalogue.track(*row).track_id.as_str()) == Some(*row);
    let rows = wiring.takedowns().rows().filter(current);
    rows.map(|row| catalogue.track(row).track_id.clone()).collect()
}

/// Changes the catalogue of one bundle under running lanes.
pub(super) struct LiveTracks {
    runtime: Runtime,
    max_added: usize,
    writer: Mutex<Writer>,
}

struct Writer {
    /// Opened when the first track comes.
    tower: Option<OrtItemTower>,
    /// Changes that the bundle has.
    taken: usize,
}

/// Makes a change last before it counts.
type Store<'a> = &'a mut dyn FnMut(&Change) -> Result<(), BundleError>;

impl LiveTracks {
    /// Of a bundle that has none of the changes. At most `max_added` tracks are added.
    pub(super) fn new(runtime: Runtime, max_added: usize) -> Self {
        Self { runtime, max_added, writer: Mutex::new(Writer { tower: None, taken: 0 }) }
    }

    /// Applies the changes that the bundle has not taken yet, in their order: a track that comes again gets the row that it
    /// had. About 60 us a track. `served`: the bundle that has all of them, if one is served.
    ///
    /// # Errors
    /// The file, the item tower, or more tracks than may be added: a live state may name any of them.
    pub(super) fn catch_up(
        &self,
        wiring: &Wiring,
        changes: &Changes,
        served: Option<&Wiring>,
    ) -> Result<(), ChangeError> {
        let mut writer = self.writer();
        let missing = changes.since(writer.taken, wiring, served)?;
        writer.taken = changes.count();
        let (total, mut refused) = (missing.len(), 0);
        let kept: Store<'_> = &mut |_| Ok(());
        for change in missing {
            let done = match change {
                Change::Put(track) => self.put_with(&mut writer, wiring, *track, kept).map(|_| ()),
                Change::TakeDown(id) => take_down(wiring, &id, kept).map(|_| ()),
                Change::Restore(id) => restore(wiring, &id, kept).map(|_| ()),
            };
            match done {
                Ok(()) => {}
                // Of another bundle's track, or of one that this bundle cannot take: said, and not in the way.
                Err(error @ (ChangeError::Unknown | ChangeError::Refused(_))) => {
                    tracing::warn!(%error, "a change of the catalogue does not fit this bundle");
                    refused += 1;
                }
                Err(error) => return Err(error),
            }
        }
        if total > 0 {
            let (added, down) = (wiring.bundle().catalogue.added().len(), wiring.takedowns().count());
            tracing::info!(total, refused, added, down, "the catalogue is up to its changes");
        }
        Ok(())
    }

    fn writer(&self) -> std::sync::MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a track, or replaces what is known of its id; on return it is stored and every search finds it.
    pub(super) fn put(&self, changes: &mut Changes, wiring: &Wiring, track: Track) -> Result<Put, ChangeError> {
        let mut writer = self.writer();
        let done = self.put_with(&mut writer, wiring, track, &mut |change| changes.store(change));
        writer.taken = changes.count();
        done
    }

    /// Serves a track no more; on return that is stored and holds for every request that comes.
    pub(super) fn take_down(&self, changes: &mut Changes, wiring: &Wiring, id: &TrackId) -> Result<(), ChangeError> {
        let mut writer = self.writer();
        let done = take_down(wiring, id, &mut |change| changes.store(change));
        writer.taken = changes.count();
        done
    }

    /// Undoes [`LiveTracks::take_down`].
    pub(super) fn restore(&self, changes: &mut Changes, wiring: &Wiring, id: &TrackId) -> Result<(), ChangeError> {
        let mut writer = self.writer();
        let done = restore(wiring, id, &mut |change| changes.store(change));
        writer.taken = changes.count();
        done
    }

    fn put_with(
        &self,
        writer: &mut Writer,
        wiring: &Wiring,
        track: Track,
        store: Store<'_>,
    ) -> Result<Put, ChangeError> {
        let bundle = wiring.bundle();
        let known = bundle.catalogue.find(track.track_id.as_str());
        if let Some(row) = known.filter(|row| *bundle.catalogue.track(*row) == track) {
            if wiring.takedowns().contains(row) {
                store(&Change::Restore(track.track_id))?;
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
        store(&Change::Put(Box::new(track.clone())))?;
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
}

fn take_down(wiring: &Wiring, id: &TrackId, store: Store<'_>) -> Result<(), ChangeError> {
    let row = wiring.bundle().catalogue.find(id.as_str()).ok_or(ChangeError::Unknown)?;
    if !wiring.takedowns().contains(row) {
        store(&Change::TakeDown(id.clone()))?;
        wiring.takedowns().take_down(row);
    }
    Ok(())
}

fn restore(wiring: &Wiring, id: &TrackId, store: Store<'_>) -> Result<(), ChangeError> {
    let row = wiring.bundle().catalogue.find(id.as_str()).ok_or(ChangeError::Unknown)?;
    if wiring.takedowns().contains(row) {
        store(&Change::Restore(id.clone()))?;
        wiring.takedowns().restore(row);
    }
    Ok(())
}

impl Writer {
    fn tower(&mut self, runtime: &Runtime, bundle: &Arc<Bundle>) -> Result<&mut OrtItemTower, BundleError> {
        let tower = match self.tower.take() {
            Some(tower) => tower,
            None => bundle.item_tower(runtime)?,
        };
        Ok(self.tower.insert(tower))
    }
}
