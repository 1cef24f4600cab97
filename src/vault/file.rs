//! The file of a vault: made, checked, opened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::{Shelf, VaultError};

/// A file is `state.sqlite`, or `state.N.sqlite` where a swap of the bundle made it.
const STEM: &str = "state";
const SUFFIX: &str = "sqlite";
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

/// Opens the file to write it: its path, the connection, the offset that it is of, and how many files were damaged. Files
/// of other grounds, which a swap may have left, are removed.
pub(super) fn open(dir: &Path, ground: &str) -> Result<(PathBuf, Connection, u64, u64), VaultError> {
    let system = |error: io::Error| at(dir, VaultError::new(error));
    fs::create_dir_all(dir).map_err(system)?;
    let (mut damaged, mut found) = (0, None);
    // The newest first: of two of one ground it is the one that was served.
    for (_, path) in all(dir).map_err(system)?.into_iter().rev() {
        match existing(&path, ground) {
            Ok((db, Some(offset))) if found.is_none() => {
                found = Some((path, db, offset));
                continue;
            }
            Ok((_, Some(_))) => {}
            Ok((_, None)) => tracing::warn!(path = %path.display(), "it is of other tracks or vectors and is removed"),
            Err(Fault::Failed(error)) => return Err(at(&path, error)),
            Err(Fault::Useless(why)) => {
                tracing::error!(path = %path.display(), why, "set aside");
                set_aside(&path, true).map_err(|error| at(&path, VaultError::new(error)))?;
                damaged += 1;
                continue;
            }
        }
        set_aside(&path, false).map_err(|error| at(&path, VaultError::new(error)))?;
    }
    if let Some((path, db, offset)) = found {
        return Ok((path, db, offset, damaged));
    }
    let path = dir.join(format!("{STEM}.{SUFFIX}"));
    tracing::info!(path = %path.display(), "no state of these tracks is on disk: the whole log is read");
    let db = create(&path, ground)?;
    Ok((path, db, 0, damaged))
}

/// Makes an empty file beside those of a directory, with a name that none of them has had: a connection that still closes
/// an old one must not find the new one's files.
pub(super) fn beside(dir: &Path, ground: &str) -> Result<(PathBuf, Connection), VaultError> {
    let system = |error: io::Error| at(dir, VaultError::new(error));
    let next = all(dir).map_err(system)?.last().map_or(1, |(number, _)| number + 1);
    let path = dir.join(format!("{STEM}.{next}.{SUFFIX}"));
    let db = create(&path, ground)?;
    Ok((path, db))
}

fn create(path: &Path, ground: &str) -> Result<Connection, VaultError> {
    let db = fresh(path, ground).map_err(|error| at(path, error))?;
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| at(path, VaultError::new(error)))?;
    Ok(db)
}

fn at(path: &Path, error: VaultError) -> VaultError {
    VaultError { why: format!("{}: {}", path.display(), error.why), ..error }
}

/// The files of a directory with their numbers, ascending: `state.sqlite` is 0, `state.3.sqlite` 3.
fn all(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let inner = name.strip_prefix(STEM).and_then(|rest| rest.strip_suffix(SUFFIX));
        let number = match inner {
            Some(".") => Some(0),
            Some(inner) => inner.strip_prefix('.').and_then(|rest| rest.strip_suffix('.')).and_then(|n| n.parse().ok()),
            None => None,
        };
        files.extend(number.map(|number| (number, path)));
    }
    files.sort();
    Ok(files)
}

/// Removes a file that is no more needed, whoever still has it open.
pub(super) fn remove(path: &Path) {
    if let Err(error) = set_aside(path, false) {
        tracing::error!(path = %path.display(), %error, "it is not needed and was not removed; the next start does it");
    }
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
