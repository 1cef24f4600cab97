//! From the event log to the archive, each entry exactly once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::ArchiveError;
use super::erasures::{COLUMNS, ErasureRow};
use super::files::{self, ERASURES, EVENTS, FIRST, NEXT, finished, name};
use super::owner::Turn;
use crate::events::{Entry, Step, look, read_step};
use crate::store::{Draft, Store};
use crate::tables::{ArchivedEvent, EventWriter, Hour, RowWriter, TableError};

/// What an export did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exported {
    /// The offset that it began at.
    pub from: u64,
    /// The offset that the next one begins at.
    pub next: u64,
    /// Events written.
    pub events: u64,
    /// Erasures written.
    pub erasures: u64,
    /// Files written.
    pub files: u64,
    /// Events whose listener was erased before they were exported.
    pub erased: u64,
    /// Offsets that the log no longer has: aged out before they were exported, or damaged.
    pub missing: u64,
    /// What of the log is damaged.
    pub damage: Vec<String>,
}

/// Exports what came into the log of `log` since the last export to `archive`, in steps of at most `step` entries, which
/// are held in memory; `now_ms` is noted beside erasures. A server may write the log meanwhile. `after` is told of each step
/// that is finished, with the sums so far, and says whether to go on.
///
/// # Errors
/// The log, the store, an archive of another log, or another process that exports this one. What is finished stands; the
/// next export goes on.
pub fn export(
    log: &Path,
    archive: &Arc<dyn Store>,
    step: usize,
    now_ms: i64,
    after: &mut dyn FnMut(&Exported) -> bool,
) -> Result<Exported, ArchiveError> {
    let end = look(log)?.next;
    let turn = Turn::take(log)?;
    turn.claim(archive)?;
    let from = finished(archive)?;
    if end < from {
        let (archive, log) = (archive.name(""), log.display());
        return Err(ArchiveError::Refused(format!(
            "{archive}: holds the events up to {from} of a log, and the one in {log} ends at {end}: give each log its own \
             archive"
        )));
    }
    clear_up(archive, from)?;
    let mut done = Exported { from, next: from, ..Exported::default() };
    while done.next < end {
        let mut read = read_step(log, done.next, step.max(1))?;
        done.damage.append(&mut read.damage);
        if read.next <= done.next {
            break;
        }
        write(archive, read, now_ms, &mut done)?;
        if !after(&done) {
            break;
        }
    }
    Ok(done)
}

/// Removes what an export that was killed left: drafts, and events from `from` on.
fn clear_up(archive: &Arc<dyn Store>, from: u64) -> Result<(), ArchiveError> {
    for object in files::events(archive, from)?.1 {
        object.delete()?;
    }
    for folder in [EVENTS, ERASURES] {
        archive.clear_drafts(folder)?;
    }
    Ok(())
}

/// Writes a step: events first, then what says that they are there.
fn write(archive: &Arc<dyn Store>, step: Step, now_ms: i64, done: &mut Exported) -> Result<(), ArchiveError> {
    let offsets = done.next..step.next;
    let missing = (offsets.end - offsets.start).saturating_sub(step.entries.len() as u64);
    let mut hours: BTreeMap<Hour, Vec<ArchivedEvent>> = BTreeMap::new();
    let (mut erasures, mut erased) = (Vec::new(), 0);
    for (offset, entry) in step.entries {
        match entry {
            Entry::Event(event) => {
                hours.entry(Hour::of(event.ts_ms)).or_default().push(ArchivedEvent { offset, event });
            }
            Entry::Erase(user) => {
                erasures.push(ErasureRow { offset: offset.cast_signed(), user_id: user.to_string(), seen_ms: now_ms });
            }
            Entry::Erased => erased += 1,
        }
    }
    let (events, files) = (hours.values().map(Vec::len).sum::<usize>(), hours.len() + 1);
    for (hour, events) in hours {
        let mut writer = begin_events(archive, hour, &offsets)?;
        events.iter().try_for_each(|event| writer.write_archived(event))?;
        writer.finish()?;
    }
    let mut writer = begin_erasures(archive, &offsets)?;
    done.erasures += erasures.len() as u64;
    erasures.into_iter().try_for_each(|row| writer.write(row))?;
    writer.finish()?;
    done.events += events as u64;
    done.files += files as u64;
    done.erased += erased;
    done.missing += missing;
    done.next = offsets.end;
    Ok(())
}

/// Begins a file of events.
pub(super) fn begin_events(
    archive: &Arc<dyn Store>,
    hour: Hour,
    offsets: &Range<u64>,
) -> Result<EventWriter, TableError> {
    let mut writer = EventWriter::archive(Draft::begin(archive, &hour.key(EVENTS, &name(offsets)))?)?;
    writer.note(FIRST, offsets.start);
    writer.note(NEXT, offsets.end);
    Ok(writer)
}

/// Begins a file of erasures.
pub(super) fn begin_erasures(
    archive: &Arc<dyn Store>,
    offsets: &Range<u64>,
) -> Result<RowWriter<ErasureRow>, TableError> {
    let draft = Draft::begin(archive, &format!("{ERASURES}/{}", name(offsets)))?;
    let mut writer = RowWriter::on(draft, COLUMNS)?;
    writer.note(FIRST, offsets.start);
    writer.note(NEXT, offsets.end);
    Ok(writer)
}
