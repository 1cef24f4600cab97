//! Which files make the log. A segment's name is its first offset and how often it was repaired; of one offset only the
//! file of most repairs counts.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::events::EventLogError;

/// Held by the one server that writes.
const LOCK: &str = "lock";

/// A segment on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentFile {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// Its first offset.
    pub(super) first: u64,
    /// How often it was repaired.
    pub(super) repairs: u32,
    /// Bytes, with what is not yet moved into the file proper.
    pub(super) bytes: u64,
}

/// The place of a segment.
pub(super) fn segment_path(dir: &Path, first: u64, repairs: u32) -> PathBuf {
    dir.join(format!("{first:020}.{repairs}.db"))
}

/// The files that SQLite keeps beside a database.
pub(super) fn beside(path: &Path) -> [PathBuf; 2] {
    ["-wal", "-shm"].map(|end| PathBuf::from(format!("{}{end}", path.display())))
}

/// Removes a segment. Its log goes first: a log without its database is nothing.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    beside(path).iter().try_for_each(|file| absent_is_fine(fs::remove_file(file)))?;
    absent_is_fine(fs::remove_file(path))
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// The segments of a directory in order of their offsets.
///
/// # Errors
/// If the directory cannot be read.
pub(super) fn segments(dir: &Path) -> Result<Vec<SegmentFile>, EventLogError> {
    let mut found: BTreeMap<u64, SegmentFile> = BTreeMap::new();
    for file in fs::read_dir(dir).map_err(|error| fault(dir, &error))? {
        let path = file.map_err(|error| fault(dir, &error))?.path();
        let Some((first, repairs)) = parse(&path) else { continue };
        if found.get(&first).is_none_or(|held| held.repairs < repairs) {
            let all = beside(&path).into_iter().chain([path.clone()]);
            let bytes = all.filter_map(|file| fs::metadata(file).ok()).map(|meta| meta.len()).sum();
            found.insert(first, SegmentFile { path, first, repairs, bytes });
        }
    }
    Ok(found.into_values().collect())
}

/// First offset and repairs out of a segment's path.
fn parse(path: &Path) -> Option<(u64, u32)> {
    let (first, repairs) = path.file_name()?.to_str()?.strip_suffix(".db")?.split_once('.')?;
    Some((first.parse().ok()?, repairs.parse().ok()?))
}

/// Makes the directory where there is none and takes it for this process.
///
/// # Errors
/// If it cannot be made, or another process has it.
pub(super) fn take(dir: &Path) -> Result<File, EventLogError> {
    fs::create_dir_all(dir).map_err(|error| fault(dir, &error))?;
    let path = dir.join(LOCK);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| fault(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(EventLogError(format!(
            "{}: another segue writes here; give each server its own events.data_dir",
            dir.display()
        ))),
        Err(TryLockError::Error(error)) => Err(fault(&path, &error)),
    }
}

/// Makes names of files in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), EventLogError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| fault(dir, &error))
}

/// An error of the system at a path.
pub(super) fn fault(path: &Path, error: &io::Error) -> EventLogError {
    EventLogError(format!("{}: {error}", path.display()))
}
