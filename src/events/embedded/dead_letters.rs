//! Events that were refused, kept for whoever wants to know why and to send them again: `dead-letters.sqlite` beside the
//! log. Bounded by size and age; one that comes again is not kept twice.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OpenFlags, Row, TransactionBehavior, params};
use sha2::{Digest, Sha256};

use super::segment::SegmentError;
use super::{DAY_MS, repair};
use crate::config::{EventStore, EventsConfig};
use crate::domain::UserId;
use crate::events::EventLogError;
use crate::metrics::EventMetrics;

const NAME: &str = "dead-letters.sqlite";
/// Longest body that is kept, bytes; of a longer one the beginning.
const MAX_BODY: usize = 16 << 10;
/// How often letters that are too old are looked for, ms.
const TIDY_MS: i64 = 3_600_000;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE, origin TEXT NOT NULL, place INTEGER NOT NULL,
    listener TEXT, reason TEXT NOT NULL, body TEXT NOT NULL, bytes INTEGER NOT NULL, shift_ms INTEGER NOT NULL,
    first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, times INTEGER NOT NULL, replayed_ms INTEGER
) STRICT";
const PUT: &str = "INSERT INTO letters
    (digest, origin, place, listener, reason, body, bytes, shift_ms, first_ms, last_ms, times)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, 1)
    ON CONFLICT (digest) DO UPDATE SET origin = excluded.origin, place = excluded.place, reason = excluded.reason,
    shift_ms = excluded.shift_ms, last_ms = excluded.last_ms, times = times + 1, replayed_ms = NULL";
const LIST: &str =
    "SELECT id, origin, place, listener, reason, body, bytes, shift_ms, first_ms, last_ms, times, replayed_ms
    FROM letters ORDER BY id";

/// Where a refused event was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In a request; its place is that in the batch.
    Request,
    /// In the event log, by the live state; its place is the offset.
    Log,
    /// In a stream between nodes; its place is the offset there.
    Stream,
}

impl Origin {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Log => "log",
            Self::Stream => "stream",
        }
    }
}

/// A refused event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Where it was met.
    pub origin: Origin,
    /// Place in the batch, from 0, or offset in the log.
    pub place: u64,
    /// Whose it is, if that could be read.
    pub listener: Option<UserId>,
    /// Why it was refused.
    pub reason: String,
    /// As it was sent.
    pub body: String,
    /// What was added to the client's clock, ms.
    pub shift_ms: i64,
}

/// A letter as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLetter {
    /// Its number; a later letter has a higher one.
    pub id: i64,
    /// When it came last.
    pub letter: Letter,
    /// Bytes of the whole body: where `letter.body` has fewer, it was cut.
    pub bytes: u64,
    /// When it came first, Unix ms.
    pub first_ms: i64,
    /// When it came last, Unix ms.
    pub last_ms: i64,
    /// How often it came.
    pub times: u64,
    /// When it was sent again and taken, Unix ms.
    pub replayed_ms: Option<i64>,
}

/// The dead letters of one directory.
pub struct DeadLetters {
    db: Mutex<Connection>,
    most_bytes: u64,
    keep_ms: i64,
    tidied_ms: Mutex<i64>,
}

impl DeadLetters {
    /// Opens or makes the file; a damaged one is set aside.
    pub(in crate::events) fn open(config: &EventsConfig, metrics: &EventMetrics) -> Result<Self, EventLogError> {
        let path = config.data_dir.join(NAME);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let db = match config.store {
            EventStore::Memory => in_memory().map_err(|error| error.at(&path))?,
            EventStore::Disk => {
                std::fs::create_dir_all(&config.data_dir)
                    .map_err(|error| super::files::fault(&config.data_dir, &error))?;
                match connect(&path, flags) {
                    Err(SegmentError::Damaged(why)) => {
                        metrics.log_damaged.inc();
                        tracing::error!(path = %path.display(), why, "the dead letters were damaged and set aside");
                        repair::set_aside(&path)?;
                        connect(&path, flags)
                    }
                    opened => opened,
                }
                .map_err(|error| error.at(&path))?
            }
        };
        let keep_ms = i64::try_from(config.retain_days).unwrap_or(i64::MAX).saturating_mul(DAY_MS);
        let most_bytes = config.dead_letters_mib.saturating_mul(1 << 20);
        Ok(Self { db: Mutex::new(db), most_bytes, keep_ms, tidied_ms: Mutex::new(0) })
    }

    /// Opens the file of a directory, beside a server that may be writing it.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn look(dir: &Path) -> Result<Self, EventLogError> {
        let path = dir.join(NAME);
        if !path.exists() {
            return Err(EventLogError(format!("{}: no event was ever refused here", path.display())));
        }
        let db = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| error.at(&path))?;
        Ok(Self { db: Mutex::new(db), most_bytes: u64::MAX, keep_ms: i64::MAX, tidied_ms: Mutex::new(0) })
    }

    /// Keeps letters, wholly or not at all, and removes the oldest beyond the bounds, which is counted.
    pub(in crate::events) fn put(
        &self,
        letters: &[Letter],
        now_ms: i64,
        metrics: &EventMetrics,
    ) -> Result<(), EventLogError> {
        let mut db = self.db();
        put_all(&mut db, letters, now_ms).map_err(failed)?;
        let removed = self.tidy(&db, now_ms).map_err(failed)?;
        metrics.dead_letters_dropped.inc_by(removed);
        Ok(())
    }

    /// All letters, oldest first.
    ///
    /// # Errors
    /// The file's.
    pub fn list(&self) -> Result<Vec<KeptLetter>, EventLogError> {
        let db = self.db();
        let all = || db.prepare(LIST)?.query_map([], kept)?.collect::<rusqlite::Result<Vec<_>>>();
        all().map_err(failed)
    }

    /// Notes that a letter was sent again and taken.
    ///
    /// # Errors
    /// The file's.
    pub fn replayed(&self, id: i64, now_ms: i64) -> Result<(), EventLogError> {
        let mark = "UPDATE letters SET replayed_ms = ?2 WHERE id = ?1";
        self.db().execute(mark, [id, now_ms]).map(|_| ()).map_err(failed)
    }

    /// Removes what is a listener's, or could be: of letters whose listener could not be read, those that hold the id.
    /// Returns how many.
    pub(in crate::events) fn forget(&self, user: &UserId) -> Result<usize, EventLogError> {
        let db = self.db();
        let theirs = "DELETE FROM letters WHERE listener = ?1 OR (listener IS NULL AND instr(body, ?1) > 0)";
        let removed = db.execute(theirs, [user.as_str()]).map_err(failed)?;
        if removed > 0 {
            db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(failed)?;
        }
        Ok(removed)
    }

    /// Removes letters that are too old, now and then, and the oldest tenth as long as there are too many.
    fn tidy(&self, db: &Connection, now_ms: i64) -> rusqlite::Result<u64> {
        let mut removed = 0;
        let mut tidied = self.tidied_ms.lock().unwrap_or_else(PoisonError::into_inner);
        if now_ms.saturating_sub(*tidied) >= TIDY_MS {
            *tidied = now_ms;
            removed += db.execute("DELETE FROM letters WHERE last_ms < ?1", [now_ms.saturating_sub(self.keep_ms)])?;
        }
        let oldest = "DELETE FROM letters WHERE id IN
            (SELECT id FROM letters ORDER BY id LIMIT 1 + (SELECT count(*) FROM letters) / 10)";
        while used(db)? > self.most_bytes {
            match db.execute(oldest, [])? {
                0 => break,
                some => removed += some,
            }
        }
        Ok(removed as u64)
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put_all(db: &mut Connection, letters: &[Letter], now_ms: i64) -> rusqlite::Result<()> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut put = tx.prepare_cached(PUT)?;
        for letter in letters {
            let digest: [u8; 32] = Sha256::digest(&letter.body).into();
            let body = &letter.body[..letter.body.floor_char_boundary(MAX_BODY)];
            let listener = letter.listener.as_ref().map(UserId::as_str);
            let (place, bytes) = (letter.place as i64, letter.body.len() as i64);
            let origin = letter.origin.as_str();
            put.execute(params![digest, origin, place, listener, letter.reason, body, bytes, letter.shift_ms, now_ms])?;
        }
    }
    tx.commit()
}

fn kept(row: &Row<'_>) -> rusqlite::Result<KeptLetter> {
    let origin: String = row.get(1)?;
    let listener: Option<String> = row.get(3)?;
    let letter = Letter {
        origin: match &*origin {
            "log" => Origin::Log,
            "stream" => Origin::Stream,
            _ => Origin::Request,
        },
        place: row.get::<_, i64>(2)? as u64,
        listener: listener.and_then(|id| UserId::new(id).ok()),
        reason: row.get(4)?,
        body: row.get(5)?,
        shift_ms: row.get(7)?,
    };
    Ok(KeptLetter {
        id: row.get(0)?,
        letter,
        bytes: row.get::<_, i64>(6)? as u64,
        first_ms: row.get(8)?,
        last_ms: row.get(9)?,
        times: row.get::<_, i64>(10)? as u64,
        replayed_ms: row.get(11)?,
    })
}

/// Bytes of the file that hold something.
fn used(db: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma: &str| db.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let pages = number("PRAGMA page_count")? - number("PRAGMA freelist_count")?;
    Ok((pages * number("PRAGMA page_size")?) as u64)
}

fn in_memory() -> Result<Connection, SegmentError> {
    let db = Connection::open_in_memory()?;
    db.execute_batch(TABLE)?;
    Ok(db)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, SegmentError> {
    let db = super::segment::connect(path, flags)?;
    let health: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if health != "ok" {
        return Err(SegmentError::Damaged(health));
    }
    // Not worth a sync each: whoever sent it was told.
    db.execute_batch(&format!("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {TABLE}"))?;
    Ok(db)
}

fn failed(error: rusqlite::Error) -> EventLogError {
    EventLogError(format!("{NAME}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn letter(body: &str, listener: Option<&str>) -> Letter {
        Letter {
            origin: Origin::Request,
            place: 3,
            listener: listener.map(|id| UserId::new(id).unwrap()),
            reason: "client_ts: too old".into(),
            body: body.into(),
            shift_ms: -5,
        }
    }

    fn config(dir: &Path) -> EventsConfig {
        EventsConfig { data_dir: dir.to_owned(), dead_letters_mib: 1, ..EventsConfig::default() }
    }

    #[test]
    fn letters_are_kept_once_marked_and_found_from_outside() {
        let (dir, metrics) = (tempfile::tempdir().unwrap(), Metrics::new().unwrap().events);
        assert!(DeadLetters::look(dir.path()).is_err());
        let letters = DeadLetters::open(&config(dir.path()), &metrics).unwrap();
        let (one, two) = (letter("{}", Some("u")), Letter { origin: Origin::Log, place: 9, ..letter("[1]", None) });
        letters.put(&[one.clone(), two.clone()], 1_000, &metrics).unwrap();
        let outside = DeadLetters::look(dir.path()).unwrap();
        outside.replayed(1, 1_500).unwrap();
        let expected = |id, letter: &Letter, times, last_ms, replayed_ms| KeptLetter {
            id,
            bytes: letter.body.len() as u64,
            letter: letter.clone(),
            first_ms: 1_000,
            last_ms,
            times,
            replayed_ms,
        };
        let listed = [expected(1, &one, 1, 1_000, Some(1_500)), expected(2, &two, 1, 1_000, None)];
        assert_eq!(outside.list().unwrap(), listed);
        let again = Letter { reason: "other".into(), ..one };
        letters.put(std::slice::from_ref(&again), 2_000, &metrics).unwrap();
        let listed = [expected(1, &again, 2, 2_000, None), expected(2, &two, 1, 1_000, None)];
        assert_eq!(letters.list().unwrap(), listed, "open again, and its reason is the newest");
    }

    #[test]
    fn a_listener_is_forgotten_where_they_can_be_read() {
        let (dir, metrics) = (tempfile::tempdir().unwrap(), Metrics::new().unwrap().events);
        let letters = DeadLetters::open(&config(dir.path()), &metrics).unwrap();
        let all = [letter("a", Some("anna")), letter("b", Some("bo")), letter("{anna", None), letter("{bo", None)];
        letters.put(&all, 1, &metrics).unwrap();
        assert_eq!(letters.forget(&UserId::new("anna").unwrap()).unwrap(), 2);
        let left: Vec<_> = letters.list().unwrap().into_iter().map(|kept| kept.letter.body).collect();
        assert_eq!(left, ["b", "{bo"]);
        for file in std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()) {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!bytes.windows(5).any(|part| part == b"{anna"), "{} still has it", file.display());
        }
    }

    #[test]
    fn size_and_age_are_bounded_and_counted() {
        let (dir, metrics) = (tempfile::tempdir().unwrap(), Metrics::new().unwrap().events);
        let letters = DeadLetters::open(&config(dir.path()), &metrics).unwrap();
        let old = letter("old", None);
        letters.put(&[old], 0, &metrics).unwrap();
        let long = |n: usize| letter(&format!("{n:05}{}", "ü".repeat(MAX_BODY)), None);
        let many: Vec<_> = (0..200).map(long).collect();
        letters.put(&many, 40 * DAY_MS, &metrics).unwrap();
        let kept = letters.list().unwrap();
        assert!(kept.len() > 30 && kept.len() as u64 + metrics.dead_letters_dropped.get() == 201, "{}", kept.len());
        assert!(used(&letters.db()).unwrap() <= 1 << 20);
        let newest = kept.last().unwrap();
        assert!(newest.letter.body.starts_with("00199ü") && newest.letter.body.len() <= MAX_BODY);
        assert_eq!(newest.bytes as usize, 5 + 2 * MAX_BODY);
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        let (dir, metrics) = (tempfile::tempdir().unwrap(), Metrics::new().unwrap().events);
        std::fs::write(dir.path().join(NAME), b"this is no database, and long enough to be read as one's header")
            .unwrap();
        let letters = DeadLetters::open(&config(dir.path()), &metrics).unwrap();
        letters.put(&[letter("a", None)], 1, &metrics).unwrap();
        assert_eq!((letters.list().unwrap().len(), metrics.log_damaged.get()), (1, 1));
        assert!(dir.path().join("dead-letters.sqlite.damaged").exists());
    }
}
