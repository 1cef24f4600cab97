//! One file of the log: an SQLite database that holds the entries from one offset up to the next file's.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};

use super::row::{self, INSERT, LAST, REPLACE, SELECT, TABLE};
use crate::config::Durability;
use crate::domain::UserId;
use crate::events::{Entry, EventLogError, Position};

/// Version of the tables, in `PRAGMA user_version`.
const FORMAT: i64 = 1;
/// "SEG" and the version once more, in `PRAGMA application_id`: a newer format is not told from damage otherwise.
const APPLICATION: i64 = 0x5345_4700;
/// What is known of the whole file, and which offsets are known to be lost.
const TABLES: &str = "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS lost (at INTEGER PRIMARY KEY, count INTEGER NOT NULL) STRICT;";
/// Which entries came out of a stream, and up to where that was read with them.
const TAKEN: &str = "CREATE TABLE IF NOT EXISTS taken
    (at INTEGER NOT NULL, count INTEGER NOT NULL, stream TEXT NOT NULL, part INTEGER NOT NULL, next INTEGER NOT NULL) STRICT";
/// When the file was made and when the last entry went in, Unix ms.
const MADE: &str = "made_ms";
const SEALED: &str = "sealed_ms";

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SegmentError {
    /// It is not as it was written.
    Damaged(String),
    /// The disk, the system, or a newer format; the file may be whole.
    Failed(String),
}

impl From<rusqlite::Error> for SegmentError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::OutOfMemory
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::NoLargeFileSupport,
            ) => Self::Failed(error.to_string()),
            // What is left can only come from what the file says: a table or a column that is not there, a value of
            // another type.
            _ => Self::Damaged(error.to_string()),
        }
    }
}

impl SegmentError {
    /// As the log reports it.
    pub(super) fn at(self, path: &Path) -> EventLogError {
        let (Self::Damaged(why) | Self::Failed(why)) = self;
        EventLogError(format!("{}: {why}", path.display()))
    }
}

/// Takes the entries of a log in order, each with its offset.
pub(super) type Visit<'v> = dyn FnMut(u64, Entry) -> Result<(), EventLogError> + 'v;

/// Entries that came out of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    /// The first of them.
    pub(super) at: u64,
    /// How many.
    pub(super) count: u64,
    /// Up to where the stream was read with them.
    pub(super) position: Position,
}

/// How far a walk over a file came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Walk {
    /// The offset after the last good entry.
    pub(super) next: u64,
    /// Why it did not come to the end.
    pub(super) damage: Option<String>,
}

/// A file of the log, open.
pub(super) struct Segment {
    db: Connection,
    path: PathBuf,
    first: u64,
    next: u64,
}

impl Segment {
    /// Opens the file that takes entries; makes it if there is none, beginning at `first`. A file that exists is checked
    /// whole, which is bounded by its size.
    pub(super) fn writable(path: &Path, first: u64, durability: Durability, now_ms: i64) -> Result<Self, SegmentError> {
        let db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version == 0 {
            db.execute_batch(&format!(
                "PRAGMA journal_mode = WAL; BEGIN; {TABLE}; {TABLES} PRAGMA application_id = {};
                 PRAGMA user_version = {FORMAT}; COMMIT",
                APPLICATION + FORMAT
            ))?;
            set_fact(&db, MADE, now_ms)?;
        } else {
            check_format(&db)?;
            let health: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            if health != "ok" {
                return Err(SegmentError::Damaged(health));
            }
        }
        db.execute_batch(TAKEN)?;
        let synchronous = match durability {
            Durability::Fsync => "FULL",
            Durability::Os => "NORMAL",
        };
        db.execute_batch(&format!("PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}"))?;
        let next = end(&db, first)?;
        Ok(Self { db, path: path.to_owned(), first, next })
    }

    /// Opens a file to read it or to blank entries in it; checks only that it is one.
    pub(super) fn existing(path: &Path, first: u64) -> Result<Self, SegmentError> {
        let db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        check_format(&db)?;
        Ok(Self { db, path: path.to_owned(), first, next: first })
    }

    /// Reads how far the file goes, for one that was opened as [`Segment::existing`].
    pub(super) fn read_end(&self) -> Result<u64, SegmentError> {
        end(&self.db, self.first)
    }

    /// Whether the last entry is as it was written: the end of the file is told by its offset.
    ///
    /// # Errors
    /// `Damaged` if it is not.
    pub(super) fn check_last(&self) -> Result<(), SegmentError> {
        let last = self.db.query_row(LAST, [], row::read).optional()?;
        last.map_or(Ok(()), |read| {
            read.map(|_| ()).map_err(|why| SegmentError::Damaged(format!("the last entry: {why}")))
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The offset after the last entry, or after what is known to be lost behind it.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Bytes of the file, without what is not yet moved into it.
    pub(super) fn bytes(&self) -> Result<u64, SegmentError> {
        let pages: i64 = self.db.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        let page: i64 = self.db.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        Ok((pages * page) as u64)
    }

    /// The offset at which the file begins.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Appends entries in one transaction and returns the offset after them. On error nothing has changed.
    pub(super) fn append<'e>(&mut self, entries: impl Iterator<Item = &'e Entry>) -> Result<u64, SegmentError> {
        self.append_taken(entries, &[])
    }

    /// As [`Segment::append`], with which of the entries came out of a stream.
    pub(super) fn append_taken<'e>(
        &mut self,
        entries: impl Iterator<Item = &'e Entry>,
        taken: &[Taken],
    ) -> Result<u64, SegmentError> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut at = self.next;
        {
            let mut statement = tx.prepare_cached(INSERT)?;
            for entry in entries {
                row::insert(&mut statement, at, entry)?;
                at += 1;
            }
        }
        taken.iter().try_for_each(|taken| put_taken(&tx, taken))?;
        tx.commit()?;
        self.next = at;
        Ok(at)
    }

    /// Blanks every event of a listener; what stood there is overwritten on disk. Scans the file.
    pub(super) fn blank(&mut self, user: &UserId) -> Result<(), SegmentError> {
        self.blank_and(user, None, None)
    }

    /// As [`Segment::blank`], and appends the erasure in the same transaction, with where it came from; returns the
    /// offset after it.
    pub(super) fn erase(&mut self, user: &UserId, from: Option<Position>) -> Result<u64, SegmentError> {
        let taken = from.map(|position| Taken { at: self.next, count: 1, position });
        self.blank_and(user, Some(&Entry::Erase(user.clone())), taken)?;
        self.next += 1;
        Ok(self.next)
    }

    fn blank_and(&mut self, user: &UserId, then: Option<&Entry>, taken: Option<Taken>) -> Result<(), SegmentError> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let theirs = {
            let mut find = tx.prepare("SELECT at FROM events WHERE listener = ?1 AND kind <> 'erase'")?;
            find.query_map([user.as_str()], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?
        };
        {
            let mut statement = tx.prepare(REPLACE)?;
            for at in &theirs {
                row::insert(&mut statement, *at as u64, &Entry::Erased)?;
            }
            if let Some(entry) = then {
                row::insert(&mut statement, self.next, entry)?;
            }
        }
        taken.iter().try_for_each(|taken| put_taken(&tx, taken))?;
        tx.commit()?;
        // What stood there must leave the file's log too. It does so at the latest when the segment is full.
        if let Err(error) = self.settle() {
            tracing::warn!(path = %self.path.display(), ?error, "erased entries stay on disk until the next checkpoint");
        }
        Ok(())
    }

    /// Notes that the offsets from the end of the file up to `next` are lost.
    pub(super) fn lose_until(&mut self, next: u64) -> Result<(), SegmentError> {
        if next > self.next {
            let count = (next - self.next) as i64;
            self.db.execute("INSERT INTO lost VALUES (?1, ?2)", [self.next as i64, count])?;
            self.next = next;
        }
        Ok(())
    }

    /// Which entries came out of a stream, in the order in which they were appended.
    pub(super) fn taken(&self) -> Result<Vec<Taken>, SegmentError> {
        let mut statement = self.db.prepare("SELECT at, count, stream, part, next FROM taken ORDER BY rowid")?;
        let rows = statement.query_map([], |row| {
            let number = |column| row.get::<_, i64>(column).map(|number| number as u64);
            let position = Position { stream: row.get(2)?, partition: row.get(3)?, next: number(4)? };
            Ok(Taken { at: number(0)?, count: number(1)?, position })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// How far each stream was read with what is in this file and before it.
    pub(super) fn positions(&self) -> Result<Vec<Position>, SegmentError> {
        let mut newest: Vec<Position> = Vec::new();
        for Taken { position, .. } in self.taken()? {
            newest.retain(|held| (&held.stream, held.partition) != (&position.stream, position.partition));
            newest.push(position);
        }
        Ok(newest)
    }

    /// Notes positions of which the entries are in a file before this one, and of a damaged one those that still hold.
    pub(super) fn carry(&mut self, taken: &[Taken]) -> Result<(), SegmentError> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        taken.iter().try_for_each(|taken| put_taken(&tx, taken))?;
        Ok(tx.commit()?)
    }

    /// Notes that nothing more goes in, and moves everything into the one file.
    pub(super) fn seal(&self, now_ms: i64) -> Result<(), SegmentError> {
        set_fact(&self.db, SEALED, now_ms)?;
        self.settle()
    }

    /// When the last entry went in, Unix ms; `None` for a file that still takes some.
    pub(super) fn sealed_ms(&self) -> Result<Option<i64>, SegmentError> {
        fact(&self.db, SEALED)
    }

    /// When the file was made, Unix ms.
    pub(super) fn made_ms(&self) -> Result<Option<i64>, SegmentError> {
        fact(&self.db, MADE)
    }

    /// Hands out the entries from an offset on, in order, until the file ends, an entry is not as it was written or
    /// missing, or `visit` fails.
    pub(super) fn walk(&self, from: u64, visit: &mut Visit<'_>) -> Result<Walk, EventLogError> {
        let mut walk = Walk { next: self.first.max(from), damage: None };
        match self.walk_on(&mut walk, visit) {
            Ok(done) => done?,
            Err(SegmentError::Damaged(why)) => walk.damage = Some(why),
            Err(failed @ SegmentError::Failed(_)) => return Err(failed.at(&self.path)),
        }
        Ok(walk)
    }

    fn walk_on(&self, walk: &mut Walk, visit: &mut Visit<'_>) -> Result<Result<(), EventLogError>, SegmentError> {
        // Gaps that cannot be read are met as missing entries.
        let mut gaps = gaps(&self.db).unwrap_or_default().into_iter().peekable();
        let mut statement = self.db.prepare(SELECT)?;
        let mut rows = statement.query([walk.next as i64])?;
        loop {
            // What is known to be lost is no new damage.
            while let Some((at, count)) = gaps.peek().copied()
                && at <= walk.next
            {
                walk.next = walk.next.max(at + count);
                gaps.next();
            }
            let Some(row) = rows.next()? else { return Ok(Ok(())) };
            let (at, entry) = match row::read(row)? {
                Ok(read) => read,
                Err(why) => return Err(SegmentError::Damaged(format!("the entry at {}: {why}", walk.next))),
            };
            if at != walk.next {
                return Err(SegmentError::Damaged(format!("after {} comes {at}", walk.next.saturating_sub(1))));
            }
            if let Err(error) = visit(at, entry) {
                return Ok(Err(error));
            }
            walk.next += 1;
        }
    }

    /// Moves what was appended into the file proper, so that nothing of the old content is left beside it.
    pub(super) fn settle(&self) -> Result<(), SegmentError> {
        Ok(self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    /// Lets no more pages be made, as a full disk would.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: u64) {
        self.db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    }
}

fn put_taken(db: &Connection, taken: &Taken) -> rusqlite::Result<()> {
    let Taken { at, count, position: Position { stream, partition, next } } = taken;
    let mut put = db.prepare_cached("INSERT INTO taken VALUES (?1, ?2, ?3, ?4, ?5)")?;
    put.execute((*at as i64, *count as i64, stream, partition, *next as i64)).map(|_| ())
}

pub(super) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, SegmentError> {
    let db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // A reader beside the server may hold the file for a moment.
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    db.execute_batch("PRAGMA secure_delete = ON; PRAGMA cell_size_check = ON")?;
    Ok(db)
}

fn check_format(db: &Connection) -> Result<(), SegmentError> {
    let [version, application] = ["PRAGMA user_version", "PRAGMA application_id"]
        .map(|pragma| db.query_row(pragma, [], |row| row.get::<_, i64>(0)));
    match (version?, application? - APPLICATION) {
        (FORMAT, FORMAT) => Ok(()),
        (version, again) if version == again && version > FORMAT => Err(SegmentError::Failed(format!(
            "format {version} is newer than this segue, which reads {FORMAT}: use the segue that wrote it"
        ))),
        (version, again) => Err(SegmentError::Damaged(format!("formats {version} and {again}: no log of segue"))),
    }
}

/// The offset after everything in the file.
fn end(db: &Connection, first: u64) -> Result<u64, SegmentError> {
    let last: Option<i64> = db.query_row("SELECT max(at) FROM events", [], |row| row.get(0))?;
    let last = last.map_or(first, |at| at as u64 + 1);
    Ok(gaps(db)?.into_iter().map(|(at, count)| at + count).fold(last.max(first), u64::max))
}

fn gaps(db: &Connection) -> Result<Vec<(u64, u64)>, SegmentError> {
    let mut statement = db.prepare("SELECT at, count FROM lost ORDER BY at")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn set_fact(db: &Connection, name: &str, value: i64) -> Result<(), SegmentError> {
    db.execute("REPLACE INTO facts VALUES (?1, ?2)", (name, value))?;
    Ok(())
}

fn fact(db: &Connection, name: &str) -> Result<Option<i64>, SegmentError> {
    Ok(db.query_row("SELECT value FROM facts WHERE name = ?1", [name], |row| row.get(0)).optional()?)
}
