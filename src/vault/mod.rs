//! Sessions and profiles on this machine's disk: one SQLite file of rows by id, whole as of one offset of the event log.
//! It knows nothing of what a row says. `docs/formats.md` describes the file.

mod file;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, ErrorCode, Statement, Transaction, TransactionBehavior};
use sha2::{Digest, Sha256};

/// Why the disk was not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the live state on disk: {why}")]
pub struct VaultError {
    /// What happened, for operators.
    why: String,
    /// Whether what stands there is not what was written.
    is_damage: bool,
}

impl VaultError {
    /// What is no fault of what stands there.
    pub fn new(why: impl ToString) -> Self {
        Self { why: why.to_string(), is_damage: false }
    }

    fn damage(why: impl ToString) -> Self {
        Self { why: why.to_string(), is_damage: true }
    }
}

impl From<rusqlite::Error> for VaultError {
    fn from(error: rusqlite::Error) -> Self {
        // Without a code, or with the general one, it is the content that was not expected.
        let is_damage = matches!(
            error.sqlite_error_code(),
            None | Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::Unknown)
        );
        Self { why: error.to_string(), is_damage }
    }
}

/// Where a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// Sessions by their ids.
    Sessions,
    /// Profiles by their listeners.
    Profiles,
    /// Counts of plays, of a number of tracks, artists or genres a row; none is anybody's.
    Completions,
}

impl Shelf {
    /// All of them.
    const ALL: [Self; 3] = [Self::Sessions, Self::Profiles, Self::Completions];

    fn table(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Profiles => "profiles",
            Self::Completions => "completions",
        }
    }

    /// The rows of one bucket.
    fn select(self) -> String {
        format!("SELECT place, id, owner, body, sum FROM {} WHERE place BETWEEN ?1 AND ?2", self.table())
    }
}

/// A row to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// Its id, unique on its shelf.
    pub id: &'a str,
    /// By whom [`Vault::owned`] finds it; empty where nobody asks.
    pub owner: &'a str,
    /// Hours since 1970 by which [`Batch::expire`] goes.
    pub hour: i64,
    /// What it says.
    pub body: &'a [u8],
}

/// Rows whose ids hash alike stand beside each other, at most so many. The hash is SHA-256 cut to 60 bits: nobody can make
/// more of them.
const BUCKET: u64 = 8;
const BUCKETS: u64 = 1 << 60;

/// The rows of one directory. Reads go on while rows are written, and see what was written last.
pub struct Vault {
    path: PathBuf,
    // Before the writer: the last one to close moves everything into the one file, which readers may not.
    readers: Mutex<Vec<Connection>>,
    writer: Mutex<Connection>,
    buckets: u64,
    reads: AtomicU64,
    damaged: AtomicU64,
    is_spare: AtomicBool,
}

impl Drop for Vault {
    fn drop(&mut self) {
        if self.is_spare.load(Ordering::Relaxed) {
            file::remove(&self.path);
        }
    }
}

impl Vault {
    /// Opens the file of a directory that is of a ground, made if absent, and says of which offset it is. `ground` names what
    /// the rows depend on: files of other grounds are removed, and one that is not as it was written is kept aside as
    /// `state.sqlite.damaged` and logged; the offset of a file that is made is 0.
    ///
    /// # Errors
    /// The directory or the disk, or a file of a newer segue.
    pub fn open(dir: &Path, ground: &str) -> Result<(Self, u64), VaultError> {
        Self::open_with(dir, ground, BUCKETS)
    }

    fn open_with(dir: &Path, ground: &str, buckets: u64) -> Result<(Self, u64), VaultError> {
        let (path, writer, offset, damaged) = file::open(dir, ground)?;
        Ok((Self::of(path, writer, buckets, damaged), offset))
    }

    fn of(path: PathBuf, writer: Connection, buckets: u64, damaged: u64) -> Self {
        let (readers, reads, damaged) = (Mutex::default(), AtomicU64::new(0), AtomicU64::new(damaged));
        Self { path, writer: Mutex::new(writer), readers, buckets, reads, damaged, is_spare: AtomicBool::new(false) }
    }

    /// Makes an empty file in the directory of this one, for another ground. It is a spare.
    ///
    /// # Errors
    /// The disk's.
    pub fn beside(&self, ground: &str) -> Result<Self, VaultError> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let (path, writer) = file::beside(dir, ground)?;
        let vault = Self::of(path, writer, self.buckets, 0);
        vault.spare(true);
        Ok(vault)
    }

    /// Says whether this file is one that nothing depends on, which is removed when it is let go.
    pub fn spare(&self, is_spare: bool) {
        self.is_spare.store(is_spare, Ordering::Relaxed);
    }

    /// Reads a row: `take` gets its owner and body and returns `None` where they make no sense. `None` without such a row.
    /// One look-up in a B-tree. A row that cannot be read is logged, counted as damaged, and taken as absent.
    pub fn read<T>(&self, shelf: Shelf, id: &str, take: impl FnOnce(&str, &[u8]) -> Option<T>) -> Option<T> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let found = self.reader().and_then(|db| {
            let found = find(&mut *db.prepare_cached(&shelf.select())?, self.bucket(id), id, take)?;
            self.pool().push(db);
            Ok(found)
        });
        found.unwrap_or_else(|error| {
            self.count_damage(shelf, &error);
            None
        })
    }

    /// Reads every row of a shelf: `take` gets its id and body and returns `None` where they make no sense. A row that cannot
    /// be read is logged, counted as damaged, and taken as absent. `O(rows)`: for shelves of few.
    pub fn each(&self, shelf: Shelf, mut take: impl FnMut(&str, &[u8]) -> Option<()>) {
        let done = self.reader().and_then(|db| {
            let sql = format!("SELECT place, id, owner, body, sum FROM {}", shelf.table());
            let mut statement = db.prepare(&sql)?;
            let mut rows = statement.query(())?;
            while let Some(row) = rows.next()? {
                if let Err(error) = checked(row).and_then(|(id, _, body)| take(id, body).ok_or_else(nonsense)) {
                    self.count_damage(shelf, &error);
                }
            }
            Ok(())
        });
        done.unwrap_or_else(|error| self.count_damage(shelf, &error));
    }

    fn count_damage(&self, shelf: Shelf, error: &VaultError) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
        tracing::error!(path = %self.path.display(), shelf = shelf.table(), %error, "a row is taken as absent");
    }

    /// The ids of a shelf's rows of one owner. Only sessions are found by owner at the cost of their own number.
    ///
    /// # Errors
    /// The disk's.
    pub fn owned(&self, owner: &str) -> Result<Vec<String>, VaultError> {
        let db = self.reader()?;
        let ids = {
            let mut statement = db.prepare_cached("SELECT id FROM sessions WHERE owner = ?1")?;
            statement.query_map([owner], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?
        };
        self.pool().push(db);
        Ok(ids)
    }

    /// Writes rows and the offset that they make the file one of, wholly or not at all; on the disk when it returns. What
    /// was removed is overwritten.
    ///
    /// # Errors
    /// The disk's, or what `fill` returns: nothing has changed then.
    pub fn write(
        &self,
        offset: u64,
        fill: impl FnOnce(&mut Batch<'_>) -> Result<(), VaultError>,
    ) -> Result<(), VaultError> {
        self.write_rows(offset, fill).inspect_err(|error| {
            if error.is_damage {
                self.damaged.fetch_add(1, Ordering::Relaxed);
                tracing::error!(path = %self.path.display(), %error, "the next start sets it aside and reads the whole log");
                file::condemn(&self.path);
            }
        })
    }

    fn write_rows(
        &self,
        offset: u64,
        fill: impl FnOnce(&mut Batch<'_>) -> Result<(), VaultError>,
    ) -> Result<(), VaultError> {
        let mut db = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut batch = Batch { vault: self, tx: &tx, removed: false };
        fill(&mut batch)?;
        let removed = batch.removed;
        file::set_offset(&tx, offset)?;
        tx.commit()?;
        if removed && let Err(error) = file::settle(&db) {
            tracing::warn!(path = %self.path.display(), %error, "removed rows stay beside the file until the next write");
        }
        Ok(())
    }

    /// Rows that were looked for since the file was opened.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Rows and files that were not as they were written, since the file was opened.
    pub fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Where rows of an id stand; rows that are written in this order touch each page once.
    pub fn place(&self, id: &str) -> u64 {
        self.bucket(id).0 as u64
    }

    fn bucket(&self, id: &str) -> (i64, i64) {
        let digest = Sha256::digest(id.as_bytes());
        let hash = digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        let first = hash % self.buckets * BUCKET;
        (first as i64, (first + BUCKET - 1) as i64)
    }

    fn pool(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> Result<Connection, VaultError> {
        let idle = self.pool().pop();
        idle.map_or_else(|| file::reader(&self.path), Ok)
    }
}

/// Finds the row of an id among those of its bucket.
fn find<T>(
    statement: &mut Statement<'_>,
    bucket: (i64, i64),
    id: &str,
    take: impl FnOnce(&str, &[u8]) -> Option<T>,
) -> Result<Option<T>, VaultError> {
    let mut rows = statement.query(bucket)?;
    while let Some(row) = rows.next()? {
        if text(row, 1)? == id {
            let (_, owner, body) = checked(row)?;
            return take(owner, body).map(Some).ok_or_else(nonsense);
        }
    }
    Ok(None)
}

/// Id, owner and body of a row that is as it was written.
fn checked<'r>(row: &'r rusqlite::Row<'_>) -> Result<(&'r str, &'r str, &'r [u8]), VaultError> {
    let (id, owner, body) = (text(row, 1)?, text(row, 2)?, row.get_ref(3)?.as_blob().map_err(VaultError::damage)?);
    if row.get::<_, i64>(4)? != sum(id, owner, body) {
        return Err(VaultError::damage("its checksum does not fit"));
    }
    Ok((id, owner, body))
}

fn nonsense() -> VaultError {
    VaultError::damage("its body makes no sense")
}

fn text<'r>(row: &'r rusqlite::Row<'_>, at: usize) -> Result<&'r str, VaultError> {
    row.get_ref(at)?.as_str().map_err(VaultError::damage)
}

/// CRC-32 over lengths and texts.
fn sum(id: &str, owner: &str, body: &[u8]) -> i64 {
    let mut crc = crc32fast::Hasher::new();
    for part in [id.as_bytes(), owner.as_bytes(), body] {
        crc.update(&(part.len() as u64).to_le_bytes());
        crc.update(part);
    }
    i64::from(crc.finalize())
}

/// Rows on their way to the disk, in one transaction.
pub struct Batch<'v> {
    vault: &'v Vault,
    tx: &'v Transaction<'v>,
    removed: bool,
}

impl Batch<'_> {
    /// Puts a row, in the place of the one with its id.
    ///
    /// # Errors
    /// The disk's.
    pub fn put(&mut self, shelf: Shelf, row: Row<'_>) -> Result<(), VaultError> {
        let table = shelf.table();
        let sum = sum(row.id, row.owner, row.body);
        let place = match self.stands(shelf, row.id)? {
            Stands::Here(place, owner) if owner == row.owner => {
                let sql = format!("UPDATE {table} SET hour = ?2, body = ?3, sum = ?4 WHERE place = ?1");
                self.tx.prepare_cached(&sql)?.execute((place, row.hour, row.body, sum))?;
                return Ok(());
            }
            Stands::Here(place, _) => {
                self.remove(shelf, row.id)?;
                place
            }
            Stands::Nowhere(place) => place,
            Stands::NoPlace => return Err(VaultError::new(format!("more than {BUCKET} ids of {table} share a place"))),
        };
        let sql = format!("INSERT INTO {table} VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
        self.tx.prepare_cached(&sql)?.execute((place, row.id, row.owner, row.hour, row.body, sum))?;
        Ok(())
    }

    /// Removes the row of an id, if there is one.
    ///
    /// # Errors
    /// The disk's.
    pub fn remove(&mut self, shelf: Shelf, id: &str) -> Result<(), VaultError> {
        if let Stands::Here(place, _) = self.stands(shelf, id)? {
            self.tx.prepare_cached(&format!("DELETE FROM {} WHERE place = ?1", shelf.table()))?.execute([place])?;
            self.removed = true;
        }
        Ok(())
    }

    /// Removes sessions whose hour lies before the given one.
    ///
    /// # Errors
    /// The disk's.
    pub fn expire(&mut self, before_hour: i64) -> Result<(), VaultError> {
        self.tx.prepare_cached("DELETE FROM sessions WHERE hour < ?1")?.execute([before_hour])?;
        Ok(())
    }

    fn stands(&self, shelf: Shelf, id: &str) -> Result<Stands, VaultError> {
        let (first, last) = self.vault.bucket(id);
        let sql = format!("SELECT place, id, owner FROM {} WHERE place BETWEEN ?1 AND ?2", shelf.table());
        let mut statement = self.tx.prepare_cached(&sql)?;
        let mut rows = statement.query((first, last))?;
        let mut free = first;
        while let Some(row) = rows.next()? {
            let place: i64 = row.get(0)?;
            if text(row, 1)? == id {
                return Ok(Stands::Here(place, row.get(2)?));
            }
            free += i64::from(place == free);
        }
        Ok(if free <= last { Stands::Nowhere(free) } else { Stands::NoPlace })
    }
}

/// Whether there is a row of an id.
enum Stands {
    /// Its place and owner.
    Here(i64, String),
    /// No; the first free place of its bucket.
    Nowhere(i64),
    /// No, and its bucket is full.
    NoPlace,
}

#[cfg(test)]
impl Vault {
    /// Lets no more pages be made, as a full disk would.
    pub(crate) fn limit_pages(&self, pages: u64) {
        let db = self.writer.lock().unwrap();
        db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    }

    /// Every row of a shelf: id, owner, body.
    pub(crate) fn all(&self, shelf: Shelf) -> Vec<(String, String, Vec<u8>)> {
        let db = self.reader().unwrap();
        let mut statement = db.prepare(&format!("SELECT id, owner, body FROM {}", shelf.table())).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

#[cfg(test)]
mod tests;
