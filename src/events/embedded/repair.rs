//! What becomes of a segment that is not as it was written: its entries up to the first fault go into a new file, the
//! rest is noted as lost, and the damaged file is set aside for whoever wants to look.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::{self, SegmentFile, beside, fault, segment_path, sync_dir};
use super::segment::Segment;
use crate::config::Durability;
use crate::events::{Entry, EventLogError};

/// End of the name of a damaged file that was set aside.
const ASIDE: &str = ".damaged";
/// End of the name of a new file in the making.
const MAKING: &str = ".making";
/// Entries copied in one transaction.
const CHUNK: usize = 10_000;

/// What a repair found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repaired {
    /// The file that now stands for the segment.
    pub(super) file: SegmentFile,
    /// Entries that are gone.
    pub(super) lost: u64,
}

/// Writes a segment anew up to its first fault; its entries from there up to `end` are lost. The old file counts until
/// the new one is whole, whenever this is interrupted.
///
/// # Errors
/// If the new file cannot be written.
pub(super) fn repair(dir: &Path, file: &SegmentFile, end: u64, now_ms: i64) -> Result<Repaired, EventLogError> {
    let path = segment_path(dir, file.first, file.repairs + 1);
    let making = with_end(&path, MAKING);
    files::remove(&making).map_err(|error| fault(&making, &error))?;
    let at = |error: super::segment::SegmentError| error.at(&making);
    let mut fresh = Segment::writable(&making, file.first, Durability::Fsync, now_ms).map_err(at)?;
    if let Ok(old) = Segment::existing(&file.path, file.first) {
        copy(&old, &mut fresh)?;
        // Of what is lost the stream is read again.
        let whole = old.taken().unwrap_or_default().into_iter().filter(|taken| taken.at + taken.count <= fresh.next());
        fresh.carry(&whole.collect::<Vec<_>>()).map_err(at)?;
    }
    let lost = end.saturating_sub(fresh.next());
    fresh.lose_until(end).map_err(at)?;
    fresh.seal(now_ms).map_err(at)?;
    drop(fresh);
    fs::rename(&making, &path).map_err(|error| fault(&making, &error))?;
    sync_dir(dir)?;
    set_aside(&file.path)?;
    let repairs = file.repairs + 1;
    Ok(Repaired { file: SegmentFile { path, repairs, ..file.clone() }, lost })
}

/// Copies what can be read, known gaps included.
fn copy(old: &Segment, fresh: &mut Segment) -> Result<(), EventLogError> {
    let mut chunk: Vec<Entry> = Vec::new();
    let walk = old.walk(0, &mut |at, entry| {
        let expected = fresh.next() + chunk.len() as u64;
        if at > expected || chunk.len() >= CHUNK {
            put(fresh, &mut chunk)?;
            fresh.lose_until(at).map_err(|error| error.at(fresh.path()))?;
        }
        chunk.push(entry);
        Ok(())
    });
    put(fresh, &mut chunk)?;
    // An old file that the system refuses to read is as good as damaged: what came out of it is kept.
    if let Err(error) = walk {
        tracing::warn!(%error, "reading a damaged segment");
    }
    Ok(())
}

fn put(fresh: &mut Segment, chunk: &mut Vec<Entry>) -> Result<(), EventLogError> {
    fresh.append(chunk.iter()).map_err(|error| error.at(fresh.path()))?;
    chunk.clear();
    Ok(())
}

/// Clears up what an interrupted repair left: new files that are not whole, and old ones that no longer count.
pub(super) fn clear_up(dir: &Path) -> Result<(), EventLogError> {
    let counting = files::segments(dir)?;
    for path in listed(dir)? {
        let name = path.to_string_lossy();
        if name.ends_with(MAKING) {
            files::remove(&path).map_err(|error| fault(&path, &error))?;
        } else if name.ends_with(".db") && !counting.iter().any(|file| file.path == path) {
            set_aside(&path)?;
        }
    }
    Ok(())
}

/// Removes the damaged files that were set aside: an erasure must reach them too.
pub(super) fn remove_set_aside(dir: &Path) -> Result<(), EventLogError> {
    for path in listed(dir)?.into_iter().filter(|path| path.to_string_lossy().ends_with(ASIDE)) {
        fs::remove_file(&path).map_err(|error| fault(&path, &error))?;
    }
    Ok(())
}

/// Gives a file, with those beside it, the name that says so.
pub(super) fn set_aside(path: &Path) -> Result<(), EventLogError> {
    for file in [path.to_owned()].into_iter().chain(beside(path)).filter(|file| file.exists()) {
        fs::rename(&file, with_end(&file, ASIDE)).map_err(|error| fault(&file, &error))?;
    }
    Ok(())
}

fn listed(dir: &Path) -> Result<Vec<PathBuf>, EventLogError> {
    let files = fs::read_dir(dir).map_err(|error| fault(dir, &error))?;
    files.map(|file| file.map(|file| file.path())).collect::<Result<_, _>>().map_err(|error| fault(dir, &error))
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", path.display()))
}
