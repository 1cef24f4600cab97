//! Where ONNX Runtime's shared library is.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

use super::InferenceError;

/// What the search depends on, read once from the process.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// `inference.library`.
    pub configured: Option<PathBuf>,
    /// `ORT_DYLIB_PATH`.
    pub variable: Option<PathBuf>,
    /// The running binary.
    pub binary: Option<PathBuf>,
    /// The current directory.
    pub current: Option<PathBuf>,
}

impl Places {
    /// The places of this process.
    pub(super) fn of_process(configured: Option<&Path>) -> Self {
        Self {
            configured: configured.map(Path::to_owned),
            variable: std::env::var_os("ORT_DYLIB_PATH").filter(|v| !v.is_empty()).map(PathBuf::from),
            binary: std::env::current_exe().ok(),
            current: std::env::current_dir().ok(),
        }
    }

    /// The library's absolute path. A path that was given (configuration, then variable) is the only one tried;
    /// otherwise: the binary's folder, then `.cache/onnxruntime` under the current directory and under every folder
    /// above the binary.
    ///
    /// # Errors
    /// No library there; the message lists where it was looked for and what to run.
    pub(super) fn find(&self) -> Result<PathBuf, InferenceError> {
        let given = [("inference.library", &self.configured), ("ORT_DYLIB_PATH", &self.variable)];
        if let Some((name, path)) = given.iter().find_map(|(name, path)| path.as_ref().map(|p| (name, p))) {
            return std::path::absolute(path).ok().filter(|p| p.is_file()).ok_or_else(|| {
                InferenceError::Runtime(format!(
                    "{name} names {}, which is not a file; correct it, or drop it and run scripts/setup",
                    path.display()
                ))
            });
        }
        let folders = self.folders();
        folders.iter().find_map(|folder| library_in(folder)).ok_or_else(|| {
            let looked: Vec<_> = folders.iter().map(|f| f.display().to_string()).collect();
            InferenceError::Runtime(format!(
                "ONNX Runtime's library is missing: run scripts/setup, or set inference.library or ORT_DYLIB_PATH; \
                 looked in {}",
                looked.join(", ")
            ))
        })
    }

    fn folders(&self) -> Vec<PathBuf> {
        let above_binary = self.binary.iter().flat_map(|binary| binary.ancestors().skip(1)).map(Path::to_owned);
        let mut folders: Vec<PathBuf> = above_binary.clone().take(1).collect();
        let roots = self.current.iter().cloned().chain(above_binary);
        for folder in roots.map(|root| root.join(".cache").join("onnxruntime")) {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders
    }
}

/// `libonnxruntime.so`, else the highest `libonnxruntime.so.<version>`, as an absolute path.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let stem = format!("{DLL_PREFIX}onnxruntime.");
    let plain = format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}");
    let names = std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let fits = |name: &String| name.starts_with(&stem) && name.contains(DLL_SUFFIX);
    let best = names.filter(fits).max_by(|a, b| (*a == plain).cmp(&(*b == plain)).then(a.cmp(b)))?;
    std::path::absolute(folder.join(best)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn looks_beside_the_binary_then_in_caches() {
        let root = tempfile::tempdir().unwrap();
        let name = format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}");
        let binary = root.path().join("target").join("release").join("segue");
        let places = Places { binary: Some(binary.clone()), ..Places::default() };
        let message = places.find().unwrap_err().to_string();
        assert!(message.contains("scripts/setup") && message.contains("release"), "{message}");
        let cached = root.path().join(".cache").join("onnxruntime").join(&name);
        touch(&cached);
        touch(&cached.with_file_name(format!("{DLL_PREFIX}onnxruntime_providers_shared{DLL_SUFFIX}")));
        touch(&cached.with_file_name(format!("{name}.1.9.0")));
        assert_eq!(places.find().unwrap(), cached);
        let beside = binary.with_file_name(format!("{name}.1.32.0"));
        touch(&beside);
        assert_eq!(places.find().unwrap(), beside);
    }

    #[test]
    fn a_given_path_is_the_only_one_tried() {
        let root = tempfile::tempdir().unwrap();
        touch(&root.path().join(format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}")));
        let missing = root.path().join("nowhere.so");
        let places = Places { variable: Some(missing), binary: Some(root.path().join("segue")), ..Places::default() };
        assert!(places.find().unwrap_err().to_string().contains("ORT_DYLIB_PATH"));
    }
}
