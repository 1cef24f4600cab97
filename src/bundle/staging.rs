//! A directory that appears whole or not at all.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{BundleError, FileEntry, digest};

/// A directory beside the target, renamed to it once it is complete and removed otherwise.
#[derive(Debug)]
pub(super) struct Staging {
    target: PathBuf,
    partial: PathBuf,
}

impl Staging {
    /// Makes the partial directory.
    ///
    /// # Errors
    /// The target exists: bundles are never overwritten. Or the directory cannot be made.
    pub(super) fn new(target: &Path) -> Result<Self, BundleError> {
        let target = std::path::absolute(target).map_err(|e| BundleError::directory(target, e))?;
        if target.symlink_metadata().is_ok() {
            return Err(BundleError::directory(&target, "exists; a bundle is never overwritten, choose another path"));
        }
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(BundleError::directory(&target, "is not a path for a bundle"));
        };
        let partial = parent.join(format!(".{}.partial-{}", name.to_string_lossy(), std::process::id()));
        std::fs::create_dir_all(parent).map_err(|e| BundleError::directory(parent, e))?;
        std::fs::create_dir(&partial).map_err(|e| BundleError::directory(&partial, e))?;
        Ok(Self { target, partial })
    }

    /// The directory to write to.
    pub(super) fn directory(&self) -> &Path {
        &self.partial
    }

    /// The path of a file in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.partial.join(name)
    }

    /// Writes a file.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), BundleError> {
        let write = || {
            let mut file = File::create_new(self.path(name))?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(|e: std::io::Error| BundleError::file(name, e))
    }

    /// Copies a file from elsewhere.
    pub(super) fn copy(&self, from: &Path, name: &str) -> Result<(), BundleError> {
        std::fs::copy(from, self.path(name)).map_err(|e| BundleError::path(from, e))?;
        Ok(())
    }

    /// Name, length and digest of every file written, by name.
    pub(super) fn entries(&self) -> Result<Vec<FileEntry>, BundleError> {
        let list = std::fs::read_dir(&self.partial).map_err(|e| BundleError::directory(&self.partial, e))?;
        let mut names: Vec<_> = list.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        let entry = |name: String| {
            let (bytes, sha256) = digest::of_file(&self.path(&name)).map_err(|e| BundleError::file(&name, e))?;
            Ok(FileEntry { name, bytes, sha256 })
        };
        names.into_iter().map(entry).collect()
    }

    /// Renames the directory to its target.
    pub(super) fn publish(self) -> Result<(), BundleError> {
        let sync = |path: &Path| File::open(path).and_then(|file| file.sync_all());
        let publish = || {
            sync(&self.partial)?;
            std::fs::rename(&self.partial, &self.target)?;
            self.target.parent().map_or(Ok(()), sync)
        };
        publish().map_err(|e| BundleError::directory(&self.target, e))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.partial.exists()
            && let Err(error) = std::fs::remove_dir_all(&self.partial)
        {
            tracing::warn!(path = %self.partial.display(), %error, "could not remove a partial bundle");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("deep").join("bundle");
        let dropped = Staging::new(&target).unwrap();
        dropped.write("a", b"1").unwrap();
        drop(dropped);
        assert_eq!(std::fs::read_dir(folder.path().join("deep")).unwrap().count(), 0);
        let staged = Staging::new(&target).unwrap();
        staged.write("a", b"1").unwrap();
        assert!(staged.write("a", b"2").is_err());
        assert_eq!(staged.entries().unwrap()[0].bytes, 1);
        staged.publish().unwrap();
        assert_eq!(std::fs::read(target.join("a")).unwrap(), b"1");
        assert!(Staging::new(&target).unwrap_err().to_string().contains("never overwritten"));
    }
}
