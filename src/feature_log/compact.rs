//! Fewer, larger parts, without the answers to listeners who asked to be forgotten.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::part::{Part, file};
use super::read::{LoggedPart, REPLACES, parts, replaces};
use super::tables::{ANSWERS, CANDIDATES, ITEMS};
use crate::store::{Store, Stored};
use crate::tables::{TableError, read_notes, tables_by_hour};

/// Note in the metadata of a part's answers: erasures up to this offset of the event log have been applied to it.
const ERASED: &str = "segue.erased_through";
/// Files without answers that are older were left by a writer that was killed.
const LEFT_OVER: Duration = Duration::from_secs(86_400);

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// Hours looked at.
    pub hours: u64,
    /// Of them, those that were written anew.
    pub rewritten: u64,
    /// Files removed.
    pub removed: u64,
    /// Answers of erased listeners that are gone with their candidates.
    pub dropped: u64,
}

/// Makes one part of each hour's and drops answers of a listener at a moment (Unix ms) that `covers` names. `through` is
/// the offset of the newest erasure that it knows: an hour of one part that has seen it is left as it is. A server may
/// write the log meanwhile. The new part is there before the old ones go and names them, so that a reader who asks for
/// [`parts`] counts every answer once at any moment. Holds the answers and items of one old part in memory.
///
/// # Errors
/// A full disk or a damaged file. The log is as it was, but for the hours that are done.
pub fn compact(
    log: &Arc<dyn Store>,
    through: u64,
    covers: impl Fn(&str, i64) -> bool,
) -> Result<Compacted, TableError> {
    let mut done = Compacted::default();
    clear_up(log, &mut done)?;
    for parts in parts(log)?.into_values() {
        done.hours += 1;
        if parts.len() > 1 || erased_through(&parts)? < through {
            compact_hour(log, &parts, through, &covers, &mut done)?;
        }
    }
    Ok(done)
}

fn erased_through(parts: &[LoggedPart]) -> Result<u64, TableError> {
    let Some(part) = parts.first() else { return Ok(u64::MAX) };
    Ok(read_notes(&part.file(ANSWERS))?.get(ERASED).and_then(|offset| offset.parse().ok()).unwrap_or(0))
}

fn compact_hour(
    log: &Arc<dyn Store>,
    parts: &[LoggedPart],
    through: u64,
    covers: &impl Fn(&str, i64) -> bool,
    done: &mut Compacted,
) -> Result<(), TableError> {
    let Some(first) = parts.first() else { return Ok(()) };
    let mut new = Part::create(log, first.hour, &ulid::Ulid::generate().to_string())?;
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    new.note(REPLACES, names.join(","));
    new.note(ERASED, through);
    let mut known = HashSet::new();
    for part in parts {
        for item in part.items()? {
            if known.insert((item.bundle.clone(), item.changes.clone(), item.track_ix)) {
                new.item(item)?;
            }
        }
        let mut kept = HashSet::new();
        for answer in part.answers()? {
            if covers(&answer.user_id, answer.ts_ms) {
                done.dropped += 1;
            } else {
                kept.insert(answer.recommendation_id.clone());
                new.answer_only(answer)?;
            }
        }
        for batch in part.candidates()? {
            let mut batch = batch?;
            batch.retain(|answer| kept.contains(answer));
            new.candidates_only(batch)?;
        }
    }
    new.finish()?;
    done.rewritten += 1;
    parts.iter().try_for_each(|part| remove(part, done))
}

/// Removes a part, its answers first: without them the rest is nothing.
fn remove(part: &LoggedPart, done: &mut Compacted) -> Result<(), TableError> {
    [ANSWERS, CANDIDATES, ITEMS].iter().try_for_each(|table| remove_file(&part.file(table), done))
}

fn remove_file(object: &Stored, done: &mut Compacted) -> Result<(), TableError> {
    object.delete()?;
    done.removed += 1;
    Ok(())
}

/// Removes what compactions that were killed left of the parts that they replaced, and old files without answers.
fn clear_up(log: &Arc<dyn Store>, done: &mut Compacted) -> Result<(), TableError> {
    let mut finished: HashSet<String> = HashSet::new();
    let mut replaced: HashSet<String> = HashSet::new();
    for (hour, parts) in tables_by_hour(log, ANSWERS)? {
        for part in &parts {
            replaced.extend(replaces(part)?.iter().map(|name| hour.key("", &file(name))));
        }
        finished.extend(parts.iter().map(|part| hour.key("", part.file_name())));
    }
    for table in [ANSWERS, CANDIDATES, ITEMS] {
        for (hour, objects) in tables_by_hour(log, table)? {
            let is_left = |object: &&Stored| {
                let name = hour.key("", object.file_name());
                replaced.contains(&name) || !finished.contains(&name) && is_old(object)
            };
            objects.iter().filter(is_left).try_for_each(|object| remove_file(object, done))?;
        }
    }
    Ok(())
}

fn is_old(object: &Stored) -> bool {
    let age = object.modified.map(|at| SystemTime::now().duration_since(at));
    age.is_some_and(|age| age.is_ok_and(|age| age > LEFT_OVER))
}
