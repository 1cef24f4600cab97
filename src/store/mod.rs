//! Where tables for others are kept: a directory, or a bucket of an object store.
//!
//! Objects have *keys*, parts between `/`, and are there wholly or not at all: whoever lists them sees none that is being
//! written. They are written into a *draft*, a file of this machine, and published. Of a directory the draft lies beside the
//! object and is renamed; for a bucket it lies among the temporary files and is sent.

mod draft;
mod local;
#[cfg(feature = "s3")]
mod remote;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

pub use draft::Draft;
pub use local::Local;
#[cfg(feature = "s3")]
pub use remote::Remote;

/// What a place in a bucket begins with: `s3://bucket/prefix`.
const S3: &str = "s3://";

/// Why something could not be done to an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{object}: {fault}")]
pub struct StoreError {
    /// The object or folder, as a person names it.
    pub object: String,
    /// What is wrong with it.
    pub fault: String,
}

impl StoreError {
    fn new(object: impl ToString, fault: impl ToString) -> Self {
        Self { object: object.to_string(), fault: fault.to_string() }
    }
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its key.
    pub key: String,
    /// When it was published.
    pub modified: SystemTime,
}

/// A draft's file, and where it lies if it has a name.
#[derive(Debug)]
pub struct Spool {
    file: File,
    path: Option<std::path::PathBuf>,
}

/// Objects by their keys. Calls wait for disk or network: they are for threads that may.
pub trait Store: std::fmt::Debug + Send + Sync {
    /// As a person names the object of a key, or with an empty one the whole.
    fn name(&self, key: &str) -> String;

    /// The objects below a folder in order of their keys; none where there is no such folder. `""` is the whole.
    ///
    /// # Errors
    /// The disk's or the network's.
    fn list(&self, folder: &str) -> Result<Vec<Found>, StoreError>;

    /// Looks for an object.
    ///
    /// # Errors
    /// The disk's or the network's.
    fn find(&self, key: &str) -> Result<Option<Found>, StoreError>;

    /// An object as a file of this machine; out of a bucket it is fetched whole into a temporary one without a name.
    ///
    /// # Errors
    /// There is none; the disk's or the network's.
    fn open(&self, key: &str) -> Result<File, StoreError>;

    /// The last bytes of an object, at most so many.
    ///
    /// # Errors
    /// As [`Store::open`].
    fn tail(&self, key: &str, most: u64) -> Result<Vec<u8>, StoreError>;

    /// A file for what is to become the object of a key ([`Draft`]).
    ///
    /// # Errors
    /// The disk's.
    fn spool(&self, key: &str) -> Result<Spool, StoreError>;

    /// Makes what was written the object of a key, durably and at once; one that was there is replaced.
    ///
    /// # Errors
    /// The disk's or the network's: the object is not there, or the one that was is.
    fn publish(&self, key: &str, spool: &mut Spool) -> Result<(), StoreError>;

    /// Removes an object; none is fine.
    ///
    /// # Errors
    /// The disk's or the network's.
    fn delete(&self, key: &str) -> Result<(), StoreError>;

    /// Removes drafts below a folder that a killed writer left. For the one writer there.
    ///
    /// # Errors
    /// The disk's.
    fn clear_drafts(&self, folder: &str) -> Result<(), StoreError>;
}

/// Opens a directory, made when something is written, or a bucket: `s3://bucket/prefix`, whose access is configured by the
/// variables that AWS' own tools read (`docs/stores.md`).
///
/// # Errors
/// A bucket that is misnamed, or a build without the feature `s3`. Whether it answers shows later.
pub fn open(place: &Path) -> Result<Arc<dyn Store>, StoreError> {
    match place.to_str().filter(|place| place.starts_with(S3)) {
        Some(url) => bucket(url),
        None => Ok(Arc::new(Local::new(place))),
    }
}

#[cfg(feature = "s3")]
fn bucket(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(Remote::s3(url)?))
}

#[cfg(not(feature = "s3"))]
fn bucket(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    Err(StoreError::new(url, "this segue was built without object stores: build with --features s3"))
}

/// An object with the store that has it.
#[derive(Debug, Clone)]
pub struct Stored {
    store: Arc<dyn Store>,
    /// Its key.
    pub key: String,
    /// When it was published, where it was looked for.
    pub modified: Option<SystemTime>,
}

impl Stored {
    /// The object that a key names, whether there is one or not.
    pub fn at(store: &Arc<dyn Store>, key: String) -> Self {
        Self { store: Arc::clone(store), key, modified: None }
    }

    /// The objects of a store below a folder, in order of their keys.
    ///
    /// # Errors
    /// As [`Store::list`].
    pub fn list(store: &Arc<dyn Store>, folder: &str) -> Result<Vec<Self>, StoreError> {
        let found = store.list(folder)?;
        let object = |Found { key, modified }| Self { modified: Some(modified), ..Self::at(store, key) };
        Ok(found.into_iter().map(object).collect())
    }

    /// The object that a key names, if there is one.
    ///
    /// # Errors
    /// As [`Store::find`].
    pub fn find(store: &Arc<dyn Store>, key: &str) -> Result<Option<Self>, StoreError> {
        let found = store.find(key)?;
        Ok(found.map(|Found { key, modified }| Self { modified: Some(modified), ..Self::at(store, key) }))
    }

    /// As a person names it.
    pub fn name(&self) -> String {
        self.store.name(&self.key)
    }

    /// The last part of its key.
    pub fn file_name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or_default()
    }

    /// As [`Store::open`].
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open(&self) -> Result<File, StoreError> {
        self.store.open(&self.key)
    }

    /// As [`Store::tail`].
    ///
    /// # Errors
    /// As [`Store::tail`].
    pub fn tail(&self, most: u64) -> Result<Vec<u8>, StoreError> {
        self.store.tail(&self.key, most)
    }

    /// As [`Store::delete`].
    ///
    /// # Errors
    /// As [`Store::delete`].
    pub fn delete(&self) -> Result<(), StoreError> {
        self.store.delete(&self.key)
    }
}
