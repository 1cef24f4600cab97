//! One archive, one log: exports of a log take turns, and an archive takes nothing of another log.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use super::ArchiveError;
use crate::store::{Draft, Store, Stored};

/// In the log's directory: its id. Locked by the one process that exports.
const ID: &str = "export.id";
/// Folder of an archive with an empty object of the name of its log.
const LOG: &str = "log";

/// The turn of an export, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    id: String,
    _lock: File,
}

impl Turn {
    /// Takes the turn for a log's directory, whose id is made at the first time.
    pub(super) fn take(log: &Path) -> Result<Self, ArchiveError> {
        let path = log.join(ID);
        let fault = |error: io::Error| ArchiveError::Refused(format!("{}: {error}", path.display()));
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = file.map_err(fault)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let log = log.display();
                return Err(ArchiveError::Refused(format!(
                    "{log}: another segue exports it; try again when it has ended"
                )));
            }
            Err(TryLockError::Error(error)) => return Err(fault(error)),
        }
        let mut id = String::new();
        file.read_to_string(&mut id).map_err(fault)?;
        if id.parse::<ulid::Ulid>().is_err() {
            id = ulid::Ulid::generate().to_string();
            file.set_len(0).and_then(|()| io::Seek::rewind(&mut file)).map_err(fault)?;
            file.write_all(id.as_bytes()).and_then(|()| file.sync_all()).map_err(fault)?;
        }
        Ok(Self { id, _lock: file })
    }

    /// Makes an archive that of this log, or finds that it is. Of several logs that ask at once none or one gets it.
    pub(super) fn claim(&self, archive: &Arc<dyn Store>) -> Result<(), ArchiveError> {
        let mut owners = Stored::list(archive, LOG)?;
        if owners.is_empty() {
            Draft::begin(archive, &format!("{LOG}/{}", self.id))?.publish()?;
            owners = Stored::list(archive, LOG)?;
        }
        let Some(other) = owners.iter().find(|owner| owner.file_name() != self.id) else { return Ok(()) };
        if let Some(own) = owners.iter().find(|owner| owner.file_name() == self.id) {
            own.delete()?;
        }
        let archive = archive.name("");
        Err(ArchiveError::Refused(format!(
            "{archive}: holds the events of another log ({}): give each log its own archive",
            other.file_name()
        )))
    }
}
