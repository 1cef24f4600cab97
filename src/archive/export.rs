//! From the event log to the archive, each entry exactly once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::ArchiveError;
use super::erasures::{COLUMNS, ErasureRow};
use super::files::{ERASURES, EVENTS, in_force, listed, name, parse, remove, tables, take};
use crate::events::{Entry, EventLogError, look, scan};
use crate::tables::{ArchivedEvent, EventWriter, Hour, RowWriter, TableError, read_notes, tables_by_hour};

/// Notes in a file's metadata: the first offset that it may hold, and the one after the last.
const FIRST: &str = "segue.offset_first";
const NEXT: &str = "segue.offset_next";

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
    /// Events whose listener was erased before they were exported.
    pub erased: u64,
    /// Offsets that the log no longer has: aged out before they were exported, or damaged.
    pub missing: u64,
    /// What of the log is damaged.
    pub damage: Vec<String>,
}

/// Exports what came into the log of `log` since the last export to `archive`, in steps of at most `step` entries, which
/// are held in memory; `now_ms` is noted beside erasures. A server may write the log meanwhile.
///
/// # Errors
/// The log, a full disk, or another process that writes the archive. What is finished stands; the next export goes on.
pub fn export(log: &Path, archive: &Path, step: usize, now_ms: i64) -> Result<Exported, ArchiveError> {
    export_by(log, archive, step, now_ms, &mut |_| {})
}

/// As [`export`]; calls `at` with the archive before anything in it changes.
pub(super) fn export_by(
    log: &Path,
    archive: &Path,
    step: usize,
    now_ms: i64,
    at: &mut dyn FnMut(&Path),
) -> Result<Exported, ArchiveError> {
    let _lock = take(archive)?;
    let (from, end) = (finished(archive)?, look(log)?.next);
    if end < from {
        return Err(ArchiveError::File(format!(
            "{}: holds the events up to {from} of a log, and the one in {} ends at {end}: give each log its own archive",
            archive.display(),
            log.display()
        )));
    }
    clear_up(archive, from, at)?;
    let mut steps =
        Steps { archive, now_ms, at, done: Exported { from, next: from, ..Exported::default() }, held: Held::new() };
    let mut fault = None;
    let scanned = scan(log, from, &mut |offset, entry| {
        steps.take(offset, entry);
        if steps.held.len < step.max(1) {
            return Ok(());
        }
        steps.write(offset + 1).map_err(|error| {
            let told = EventLogError(error.to_string());
            fault = Some(error);
            told
        })
    });
    match fault {
        Some(error) => return Err(error.into()),
        None => steps.done.damage = scanned?,
    }
    if let Some(last) = steps.held.last {
        steps.write(last + 1)?;
    }
    Ok(steps.done)
}

/// The offset up to which everything is there: the end of the last erasures' file, as its metadata says.
fn finished(archive: &Path) -> Result<u64, ArchiveError> {
    let (files, _) = in_force(&tables(&archive.join(ERASURES))?);
    let Some(last) = files.last() else { return Ok(0) };
    let noted = read_notes(&last.path)?.get(NEXT).and_then(|next| next.parse().ok());
    let fault =
        || TableError { file: last.path.display().to_string(), fault: format!("has no {NEXT} in its metadata") };
    Ok(noted.ok_or_else(fault)?)
}

/// Removes what an export that was killed left: files that are not finished, and events from `from` on.
fn clear_up(archive: &Path, from: u64, at: &mut dyn FnMut(&Path)) -> Result<(), ArchiveError> {
    let hours = tables_by_hour(&archive.join(EVENTS))?;
    let begun = hours.values().flatten().filter(|path| parse(path).is_some_and(|file| file.offsets.start >= from));
    let mut left: Vec<_> = begun.cloned().collect();
    let dirs = listed(&archive.join(EVENTS))?.iter().map(|date| listed(date)).collect::<Result<Vec<_>, _>>()?;
    for dir in dirs.into_iter().flatten().chain([archive.join(ERASURES)]) {
        left.extend(listed(&dir)?.into_iter().filter(|path| path.extension().is_some_and(|end| end == "partial")));
    }
    for path in left {
        at(archive);
        remove(&path)?;
    }
    Ok(())
}

/// Entries that are not written yet.
struct Held {
    events: BTreeMap<Hour, Vec<ArchivedEvent>>,
    erasures: Vec<ErasureRow>,
    len: usize,
    last: Option<u64>,
}

impl Held {
    fn new() -> Self {
        Self { events: BTreeMap::new(), erasures: Vec::new(), len: 0, last: None }
    }
}

struct Steps<'a> {
    archive: &'a Path,
    now_ms: i64,
    at: &'a mut dyn FnMut(&Path),
    done: Exported,
    held: Held,
}

impl Steps<'_> {
    fn take(&mut self, offset: u64, entry: Entry) {
        let expected = self.held.last.map_or(self.done.next, |last| last + 1);
        self.done.missing += offset.saturating_sub(expected);
        match entry {
            Entry::Event(event) => {
                let archived = ArchivedEvent { offset, event };
                self.held.events.entry(Hour::of(archived.event.ts_ms)).or_default().push(archived);
            }
            Entry::Erase(user) => self.held.erasures.push(ErasureRow {
                offset: offset.cast_signed(),
                user_id: user.to_string(),
                seen_ms: self.now_ms,
            }),
            Entry::Erased => self.done.erased += 1,
        }
        self.held.len += 1;
        self.held.last = Some(offset);
    }

    /// Writes what is held, up to `next`: events first, then what says that they are there.
    fn write(&mut self, next: u64) -> Result<(), TableError> {
        let held = std::mem::replace(&mut self.held, Held::new());
        let offsets = self.done.next..next;
        for (hour, events) in held.events {
            (self.at)(self.archive);
            let path = hour.make(&self.archive.join(EVENTS))?.join(name(&offsets));
            self.done.events += events.len() as u64;
            let mut writer = begin_events(&path, &offsets)?;
            for event in &events {
                writer.write_archived(event)?;
            }
            (self.at)(self.archive);
            writer.finish()?;
        }
        (self.at)(self.archive);
        let mut writer = begin_erasures(&self.archive.join(ERASURES).join(name(&offsets)), &offsets)?;
        self.done.erasures += held.erasures.len() as u64;
        for row in held.erasures {
            writer.write(row)?;
        }
        (self.at)(self.archive);
        writer.finish()?;
        self.done.next = next;
        Ok(())
    }
}

/// Begins a file of events.
pub(super) fn begin_events(path: &Path, offsets: &Range<u64>) -> Result<EventWriter, TableError> {
    let mut writer = EventWriter::archive(path)?;
    writer.note(FIRST, offsets.start);
    writer.note(NEXT, offsets.end);
    Ok(writer)
}

/// Begins a file of erasures.
pub(super) fn begin_erasures(path: &Path, offsets: &Range<u64>) -> Result<RowWriter<ErasureRow>, TableError> {
    let mut writer = RowWriter::create(path, COLUMNS)?;
    writer.note(FIRST, offsets.start);
    writer.note(NEXT, offsets.end);
    Ok(writer)
}
