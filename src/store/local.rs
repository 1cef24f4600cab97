//! A directory: keys are paths in it, drafts end in `.partial`.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Found, Spool, Store, StoreError};

/// How the name of a draft ends.
const PARTIAL: &str = "partial";

/// A directory as a store.
#[derive(Debug, Clone)]
pub struct Local {
    root: PathBuf,
}

impl Local {
    /// The store of a directory, which is made when something is written.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn path(&self, key: &str) -> PathBuf {
        if key.is_empty() { self.root.clone() } else { self.root.join(key) }
    }

    /// Calls `visit` with the key and path of every file below a folder.
    fn walk(
        &self,
        folder: &str,
        visit: &mut dyn FnMut(String, &Path) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for path in entries(&self.path(folder))? {
            // Names that are no text are not ours.
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let key = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            if path.is_dir() { self.walk(&key, visit)? } else { visit(key, &path)? }
        }
        Ok(())
    }
}

impl Store for Local {
    fn name(&self, key: &str) -> String {
        self.path(key).display().to_string()
    }

    fn list(&self, folder: &str) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        self.walk(folder, &mut |key, path| {
            if !is_draft(path) {
                found.extend(look(path)?.map(|modified| Found { key, modified }));
            }
            Ok(())
        })?;
        found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    fn find(&self, key: &str) -> Result<Option<Found>, StoreError> {
        Ok(look(&self.path(key))?.map(|modified| Found { key: key.to_owned(), modified }))
    }

    fn open(&self, key: &str) -> Result<File, StoreError> {
        let path = self.path(key);
        File::open(&path).map_err(|error| fault(&path, &error))
    }

    fn tail(&self, key: &str, most: u64) -> Result<Vec<u8>, StoreError> {
        let mut file = self.open(key)?;
        let mut read = || {
            let from = file.metadata()?.len().saturating_sub(most);
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.by_ref().take(most).read_to_end(&mut bytes).map(|_| bytes)
        };
        read().map_err(|error: io::Error| fault(&self.path(key), &error))
    }

    fn spool(&self, key: &str) -> Result<Spool, StoreError> {
        let path = self.path(key);
        let dir = directory(&path);
        if !dir.is_dir() {
            make(dir, &self.root).map_err(|error| fault(dir, &error))?;
        }
        let partial = path.with_extension(PARTIAL);
        let file = File::create(&partial).map_err(|error| fault(&path, &error))?;
        Ok(Spool { file, path: Some(partial) })
    }

    fn publish(&self, key: &str, spool: &mut Spool) -> Result<(), StoreError> {
        let path = self.path(key);
        let Some(partial) = &spool.path else { return Err(StoreError::new(path.display(), "its draft has no name")) };
        let done = spool.file.sync_all().and_then(|()| fs::rename(partial, &path));
        done.and_then(|()| File::open(directory(&path))?.sync_all()).map_err(|error| fault(&path, &error))
    }

    fn delete(&self, key: &str) -> Result<(), StoreError> {
        let path = self.path(key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault(&path, &error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn clear_drafts(&self, folder: &str) -> Result<(), StoreError> {
        self.walk(folder, &mut |key, path| if is_draft(path) { self.delete(&key) } else { Ok(()) })
    }
}

fn is_draft(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == PARTIAL)
}

/// When a file was written; `None` where there is none.
fn look(path: &Path) -> Result<Option<SystemTime>, StoreError> {
    match fs::metadata(path).and_then(|meta| meta.modified()) {
        Ok(modified) => Ok(Some(modified)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fault(path, &error)),
    }
}

/// The directory of a file; a path without one lies in the current one.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a directory, so that a power cut takes neither it nor one above it, up to that of the root, away.
fn make(dir: &Path, root: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let above = dir.ancestors().skip(1).take_while(|above| above.starts_with(directory(root)));
    above.filter(|above| !above.as_os_str().is_empty()).try_for_each(|above| File::open(above)?.sync_all())
}

/// What stands in a directory; nothing where it is none.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    match fs::read_dir(dir) {
        Ok(found) => found.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map_err(|e| fault(dir, &e)),
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => Ok(Vec::new()),
        Err(error) => Err(fault(dir, &error)),
    }
}

fn fault(path: &Path, error: &io::Error) -> StoreError {
    StoreError::new(path.display(), error)
}
