//! Which files make an archive. A file's name is the first offset that it may hold and the one after the last. A file whose
//! offsets lie within those of another beside it was replaced by that one, and is left over from a compaction that was
//! killed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::ArchiveError;

/// Directory of the events.
pub(super) const EVENTS: &str = "events";
/// Directory of the erasures.
pub(super) const ERASURES: &str = "erasures";
/// Held by the one process that writes.
const LOCK: &str = "lock";

/// A file of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ranged {
    pub(super) path: PathBuf,
    pub(super) offsets: Range<u64>,
}

/// The name of a file with entries of these offsets.
pub(super) fn name(offsets: &Range<u64>) -> String {
    format!("{:020}-{:020}.parquet", offsets.start, offsets.end)
}

/// The offsets in a file's name.
pub(super) fn parse(path: &Path) -> Option<Ranged> {
    let (first, next) = path.file_name()?.to_str()?.strip_suffix(".parquet")?.split_once('-')?;
    Some(Ranged { path: path.to_owned(), offsets: first.parse().ok()?..next.parse().ok()? })
}

/// Files that count, in order of their offsets, and those that others replaced.
pub(super) fn in_force(paths: &[PathBuf]) -> (Vec<Ranged>, Vec<PathBuf>) {
    let mut all: Vec<Ranged> = paths.iter().filter_map(|path| parse(path)).collect();
    all.sort_by_key(|file| (file.offsets.start, std::cmp::Reverse(file.offsets.end)));
    let (mut counts, mut replaced): (Vec<Ranged>, Vec<PathBuf>) = (Vec::new(), Vec::new());
    for file in all {
        if counts.last().is_some_and(|last| file.offsets.end <= last.offsets.end) {
            replaced.push(file.path);
        } else {
            counts.push(file);
        }
    }
    (counts, replaced)
}

/// Files of a directory that end in `.parquet`; none where there is no directory.
pub(super) fn tables(dir: &Path) -> Result<Vec<PathBuf>, ArchiveError> {
    Ok(listed(dir)?.into_iter().filter(|path| path.extension().is_some_and(|end| end == "parquet")).collect())
}

/// What stands in a directory; nothing where there is none.
pub(super) fn listed(dir: &Path) -> Result<Vec<PathBuf>, ArchiveError> {
    match fs::read_dir(dir) {
        Ok(found) => found.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map_err(|e| fault(dir, &e)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(fault(dir, &error)),
    }
}

/// Removes a file.
pub(super) fn remove(path: &Path) -> Result<(), ArchiveError> {
    fs::remove_file(path).map_err(|error| fault(path, &error))
}

/// Makes the directory where there is none and takes it for this process.
pub(super) fn take(dir: &Path) -> Result<File, ArchiveError> {
    fs::create_dir_all(dir.join(ERASURES)).map_err(|error| fault(dir, &error))?;
    let path = dir.join(LOCK);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| fault(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ArchiveError::File(format!(
            "{}: another segue writes here; try again when it has ended",
            dir.display()
        ))),
        Err(TryLockError::Error(error)) => Err(fault(&path, &error)),
    }
}

fn fault(path: &Path, error: &io::Error) -> ArchiveError {
    ArchiveError::File(format!("{}: {error}", path.display()))
}
