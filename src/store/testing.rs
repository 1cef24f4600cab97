//! Stores for tests: every kind there is, and one that can be told to fail.

use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;

use super::{Found, Spool, Store, StoreError};

/// A store, and the directory that lives as long as it is wanted.
type Kept = (Arc<dyn Store>, TempDir);

/// A store of each kind that this build has.
pub(crate) fn stores() -> Vec<Kept> {
    let dir = tempfile::tempdir().unwrap();
    let local: Kept = (Arc::new(super::Local::new(&dir.path().join("a/b"))), dir);
    std::iter::once(local).chain(buckets()).collect()
}

#[cfg(not(feature = "s3"))]
fn buckets() -> Vec<Kept> {
    Vec::new()
}

#[cfg(feature = "s3")]
fn buckets() -> Vec<Kept> {
    let bucket = |prefix: &str| {
        let objects = Arc::new(object_store::memory::InMemory::new());
        let store: Arc<dyn Store> = Arc::new(super::Remote::new("memory://bucket/", prefix, objects).unwrap());
        (store, tempfile::tempdir().unwrap())
    };
    ["", "some/prefix"].map(bucket).into()
}

/// Asked before anything changes.
type Before = Box<dyn FnMut() -> Result<(), StoreError> + Send>;

/// A store that asks before each change.
pub(crate) struct Watched {
    inner: Arc<dyn Store>,
    before: Mutex<Before>,
}

impl Watched {
    pub(crate) fn over(
        inner: &Arc<dyn Store>,
        before: impl FnMut() -> Result<(), StoreError> + Send + 'static,
    ) -> Arc<dyn Store> {
        Arc::new(Self { inner: Arc::clone(inner), before: Mutex::new(Box::new(before)) })
    }

    /// A store that makes so many changes and then none.
    pub(crate) fn failing_after(inner: &Arc<dyn Store>, changes: usize) -> Arc<dyn Store> {
        let mut left = changes;
        Self::over(inner, move || match left.checked_sub(1) {
            Some(less) => {
                left = less;
                Ok(())
            }
            None => Err(StoreError { object: "store".into(), fault: "is away".into() }),
        })
    }

    fn ask(&self) -> Result<(), StoreError> {
        (self.before.lock().unwrap_or_else(PoisonError::into_inner))()
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl Store for Watched {
    fn name(&self, key: &str) -> String {
        self.inner.name(key)
    }

    fn list(&self, folder: &str) -> Result<Vec<Found>, StoreError> {
        self.inner.list(folder)
    }

    fn find(&self, key: &str) -> Result<Option<Found>, StoreError> {
        self.inner.find(key)
    }

    fn open(&self, key: &str) -> Result<std::fs::File, StoreError> {
        self.inner.open(key)
    }

    fn tail(&self, key: &str, most: u64) -> Result<Vec<u8>, StoreError> {
        self.inner.tail(key, most)
    }

    fn spool(&self, key: &str) -> Result<Spool, StoreError> {
        self.ask()?;
        self.inner.spool(key)
    }

    fn publish(&self, key: &str, spool: &mut Spool) -> Result<(), StoreError> {
        self.ask()?;
        self.inner.publish(key, spool)
    }

    fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.ask()?;
        self.inner.delete(key)
    }

    fn clear_drafts(&self, folder: &str) -> Result<(), StoreError> {
        self.ask()?;
        self.inner.clear_drafts(folder)
    }
}
