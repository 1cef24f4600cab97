//! An object in the making.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::{Local, Spool, Store, StoreError};

/// What becomes an object when it is published, and nothing when it is dropped before.
#[derive(Debug)]
pub struct Draft {
    store: Arc<dyn Store>,
    key: String,
    spool: Spool,
}

impl Draft {
    /// Begins the object of a key.
    ///
    /// # Errors
    /// As [`Store::spool`].
    pub fn begin(store: &Arc<dyn Store>, key: &str) -> Result<Self, StoreError> {
        Ok(Self { store: Arc::clone(store), key: key.to_owned(), spool: store.spool(key)? })
    }

    /// Begins a file of this machine.
    ///
    /// # Errors
    /// The disk's, or a path that names no file.
    pub fn file(path: &Path) -> Result<Self, StoreError> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| StoreError::new(path.display(), "is no name of a file in UTF-8"))?;
        let store: Arc<dyn Store> = Arc::new(Local::new(path.parent().unwrap_or(Path::new(""))));
        Self::begin(&store, name)
    }

    /// As a person names the object.
    pub fn name(&self) -> String {
        self.store.name(&self.key)
    }

    /// Makes it the object; returns its bytes.
    ///
    /// # Errors
    /// As [`Store::publish`].
    pub fn publish(mut self) -> Result<u64, StoreError> {
        let bytes = self.spool.file.metadata().map_err(|error| StoreError::new(self.name(), error))?.len();
        self.store.publish(&self.key, &mut self.spool)?;
        // It has another name now.
        self.spool.path = None;
        Ok(bytes)
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.spool.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.spool.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = self.spool.path.take() {
            // Nothing was promised of what was not published.
            let _ = std::fs::remove_file(path);
        }
    }
}
