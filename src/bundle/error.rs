//! Why a bundle is refused.

use std::path::{Path, PathBuf};

use crate::inference::InferenceError;

/// A fault of a bundle, or of what it should be built from. The message names the file and what is wrong with it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BundleError {
    /// One file is missing, cut, altered, or does not fit the rest.
    #[error("{file}: {fault}")]
    File {
        /// Its name in the bundle, or its path outside one.
        file: String,
        /// What is wrong.
        fault: String,
    },
    /// The directory itself.
    #[error("{}: {fault}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// A model is refused or does not run.
    #[error(transparent)]
    Model(#[from] InferenceError),
}

impl BundleError {
    pub(super) fn file(file: impl Into<String>, fault: impl ToString) -> Self {
        Self::File { file: file.into(), fault: fault.to_string() }
    }

    pub(super) fn path(path: &Path, fault: impl ToString) -> Self {
        Self::File { file: path.display().to_string(), fault: fault.to_string() }
    }

    pub(super) fn directory(path: &Path, fault: impl ToString) -> Self {
        Self::Directory { path: path.to_owned(), fault: fault.to_string() }
    }
}
