//! The file of a vault: made, checked, opened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::{Shelf, VaultError};

const NAME: &str = "state.sqlite";
/// Version of the tables, in `PRAGMA user_version`; "SEH" and the version, in `PRAGMA application_id`.
const FORMAT: i64 = 2;
/// The version before there were counts of plays.
const WITHOUT_COMPLETIONS: i64 = 1;
const APPLICATION: i64 = 0x5345_4800;
/// Bytes of a page: several profiles fit into one.
const PAGE: u32 = 8_192;
/// KiB of pages that the writer keeps, and each reader.
const WRITER_KIB: u32 = 65_536;
const READER_KIB: u32 = 8_192;

/// What stands in the way of a file.
enum Fault {
    /// It is not as it was written, or of another ground: it says nothing.
    Useless(String),
    Failed(VaultError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let error = VaultError::from(error);
        if error.is_damage { Self::Useless(error.why) } else { Self::Failed(error) }
    }
}

/// Opens the file to write it: its path, the connection, the offset that it is of, and how many files were damaged.
pub(super) fn open(dir: &Path, ground: &str) -> Result<(PathBuf, Connection, u64, u64), VaultError> {
    let path = dir.join(NAME);
    let at = |error: VaultError| VaultError { why: format!("{}: {}", path.display(), error.why), ..error };
    let system = |error: io::Error| at(VaultError::new(error));
    fs::create_dir_all(dir).map_err(system)?;
    let mut damaged = 0;
    if path.exists() {
        match existing(&path, ground) {
            Ok((db, Some(offset))) => return Ok((path, db, offset, 0)),
            Ok((db, None)) => {
                drop(db);
                tracing::warn!(path = %path.display(), "it is of other tracks or vectors; the whole log is read instead");
            }
            Err(Fault::Failed(error)) => return Err(at(error)),
            Err(Fault::Useless(why)) => {
                tracing::error!(path = %path.display(), why, "set aside; the whole log is read instead");
                damaged = 1;
            }
        }
        set_aside(&path, damaged > 0).map_err(system)?;
    }
    let db = fresh(&path, ground).map_err(at)?;
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(system)?;
    Ok((path, db, 0, damaged))
}

/// A file that is there, and its offset; `None` where it is of another ground.
fn existing(path: &Path, ground: &str) -> Result<(Connection, Option<u64>), Fault> {
    if condemned(path).exists() {
        return Err(Fault::Useless("a write found it damaged".into()));
    }
    let db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, WRITER_KIB)?;
    let [version, application] = ["PRAGMA user_version", "PRAGMA application_id"]
        .map(|pragma| db.query_row(pragma, [], |row| row.get::<_, i64>(0)));
    let (version, application) = (version?, application? - APPLICATION);
    if version == application && version > FORMAT {
        let why =
            format!("format {version} is newer than this segue, which reads {FORMAT}: use the segue that wrote it");
        return Err(Fault::Failed(VaultError::new(why)));
    }
    if (version, application) == (WITHOUT_COMPLETIONS, WITHOUT_COMPLETIONS) {
        // Profiles may be older than the log: better counts that begin now than profiles that begin anew.
        let tables = table(Shelf::Completions);
        db.execute_batch(&format!("BEGIN; {tables} {} COMMIT;", marks()))?;
    } else if (version, application) != (FORMAT, FORMAT) {
        return Err(Fault::Useless(format!("formats {version} and {application}: no state of segue")));
    }
    let fact = |name| db.query_row("SELECT value FROM facts WHERE name = ?1", [name], |row| row.get::<_, String>(0));
    if fact("ground")? != ground {
        return Ok((db, None));
    }
    let offset = fact("offset")?.parse().map_err(|_| Fault::Useless("its offset is no number".into()))?;
    // Whoever reads a table that is not there should learn it now.
    for shelf in Shelf::ALL {
        db.query_row(&format!("SELECT 1 FROM {} LIMIT 1", shelf.table()), [], |_| Ok(())).optional()?;
    }
    db.execute_batch("PRAGMA synchronous = FULL")?;
    Ok((db, Some(offset)))
}

fn fresh(path: &Path, ground: &str) -> Result<Connection, VaultError> {
    let db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE, WRITER_KIB)?;
    let tables = Shelf::ALL.map(table);
    db.execute_batch(&format!(
        "PRAGMA page_size = {PAGE}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN;
         CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT; {}
         CREATE INDEX sessions_owner ON sessions (owner); CREATE INDEX sessions_hour ON sessions (hour); {}",
        tables.concat(),
        marks()
    ))?;
    db.execute("INSERT INTO facts VALUES ('ground', ?1), ('offset', '0')", [ground])?;
    db.execute_batch("COMMIT")?;
    Ok(db)
}

fn table(shelf: Shelf) -> String {
    format!(
        "CREATE TABLE {} (place INTEGER PRIMARY KEY, id TEXT NOT NULL, owner TEXT NOT NULL, hour INTEGER NOT NULL,
         body BLOB NOT NULL, sum INTEGER NOT NULL) STRICT;",
        shelf.table()
    )
}

/// Marks a file as one of this version.
fn marks() -> String {
    format!("PRAGMA application_id = {}; PRAGMA user_version = {FORMAT};", APPLICATION + FORMAT)
}

/// A connection for reads.
pub(super) fn reader(path: &Path) -> Result<Connection, VaultError> {
    Ok(connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, READER_KIB)?)
}

fn connect(path: &Path, flags: OpenFlags, cache_kib: u32) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    db.execute_batch(&format!(
        "PRAGMA secure_delete = ON; PRAGMA cell_size_check = ON; PRAGMA cache_size = -{cache_kib}"
    ))?;
    Ok(db)
}

/// Notes of which offset the file is.
pub(super) fn set_offset(db: &Connection, offset: u64) -> Result<(), VaultError> {
    db.prepare_cached("UPDATE facts SET value = ?1 WHERE name = 'offset'")?.execute([offset.to_string()])?;
    Ok(())
}

/// Moves everything into the one file, so that nothing of what was removed is left beside it.
pub(super) fn settle(db: &Connection) -> Result<(), VaultError> {
    let busy: i64 = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy == 0 { Ok(()) } else { Err(VaultError::new("it is being read")) }
}

/// Stands beside a file that is to be used no more.
fn condemned(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.condemned", path.display()))
}

/// Sees to it that the next start does not use a file.
pub(super) fn condemn(path: &Path) {
    if let Err(error) = fs::File::create(condemned(path)) {
        tracing::error!(path = %path.display(), %error, "it must be removed by hand before the next start");
    }
}

/// Takes the file out of the way, or away.
fn set_aside(path: &Path, keep: bool) -> io::Result<()> {
    absent_is_fine(fs::remove_file(format!("{}-wal", path.display())))?;
    absent_is_fine(fs::remove_file(format!("{}-shm", path.display())))?;
    if keep { fs::rename(path, format!("{}.damaged", path.display())) } else { fs::remove_file(path) }?;
    absent_is_fine(fs::remove_file(condemned(path)))
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
