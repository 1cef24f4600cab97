//! Which files an import reads, and whose they are where the rows do not say.

use std::path::{Path, PathBuf};

use super::{Format, ImportError};

/// Folders below an input that are looked into.
const MAX_DEPTH: usize = 6;

/// One file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Input {
    /// The file.
    pub(super) path: PathBuf,
    /// The listener of rows that name none: `--user`, else the name of the directory or file given.
    pub(super) listener: String,
    /// Size, for progress.
    pub(super) bytes: u64,
}

/// Turns what was given into files: a file stands for itself, a directory for every matching file in it, by name.
///
/// # Errors
/// Nothing given, a path that is not there, a directory without a matching file, or one file given twice.
pub(super) fn expand(format: Format, given: &[PathBuf], user: Option<&str>) -> Result<Vec<Input>, ImportError> {
    let mut inputs: Vec<Input> = Vec::new();
    for path in given {
        let kind = std::fs::metadata(path).map_err(|e| ImportError::file(path, format!("{e}; check --input")))?;
        let listener = user.map_or_else(|| name_of(path, kind.is_dir()), str::to_owned);
        let mut files = Vec::new();
        if kind.is_dir() {
            collect(format, path, 0, &mut files)?;
            files.sort();
            if files.is_empty() {
                return Err(ImportError::file(
                    path,
                    format!("no file for --format {} in it; they are called {}", format.as_str(), format.files()),
                ));
            }
        } else {
            files.push(path.clone());
        }
        for path in files {
            let bytes = std::fs::metadata(&path).map_err(|e| ImportError::file(&path, e))?.len();
            if inputs.iter().any(|input| input.path == path) {
                return Err(ImportError::file(&path, "given twice; every file is read once"));
            }
            inputs.push(Input { path, listener: listener.clone(), bytes });
        }
    }
    if inputs.is_empty() {
        return Err(ImportError::Input("nothing to import: give --input FILE or --input DIR".into()));
    }
    Ok(inputs)
}

fn collect(format: Format, dir: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), ImportError> {
    for entry in std::fs::read_dir(dir).map_err(|e| ImportError::file(dir, e))? {
        let entry = entry.map_err(|e| ImportError::file(dir, e))?;
        let path = entry.path();
        if path.is_dir() {
            if depth < MAX_DEPTH {
                collect(format, &path, depth + 1, files)?;
            }
        } else if entry.file_name().to_str().is_some_and(|name| format.takes(name)) {
            files.push(path);
        }
    }
    Ok(())
}

/// The listener's name that a path suggests: a directory's name, a file's name up to its first dot.
fn name_of(path: &Path, is_dir: bool) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = whole.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = if is_dir { name } else { name.split('.').next().unwrap_or_default().to_owned() };
    if name.is_empty() { "listener".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_stands_for_its_files_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("anna");
        std::fs::create_dir_all(home.join("more")).unwrap();
        for name in ["endsong_1.json", "endsong_0.json", "ReadMe.pdf", "more/endsong_2.json"] {
            std::fs::write(home.join(name), "[]").unwrap();
        }
        let inputs = expand(Format::Spotify, std::slice::from_ref(&home), None).unwrap();
        let names: Vec<_> = inputs.iter().map(|i| i.path.strip_prefix(&home).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["endsong_0.json", "endsong_1.json", "more/endsong_2.json"]);
        assert!(inputs.iter().all(|i| i.listener == "anna" && i.bytes == 2));
        assert_eq!(expand(Format::Spotify, &[home], Some("me")).unwrap()[0].listener, "me");
    }

    #[test]
    fn what_cannot_be_read_is_said_plainly() {
        let dir = tempfile::tempdir().unwrap();
        let fault = |given: &[PathBuf]| expand(Format::LastFm, given, None).unwrap_err().to_string();
        assert!(fault(&[]).contains("give --input"));
        assert!(fault(&[dir.path().join("gone.csv")]).contains("gone.csv"));
        assert!(fault(&[dir.path().to_owned()]).contains("*.csv, *.tsv or *.txt"));
        let file = dir.path().join("bob.x.csv");
        std::fs::write(&file, "").unwrap();
        assert!(fault(&[file.clone(), file.clone()]).contains("given twice"));
        assert_eq!(expand(Format::LastFm, &[file], None).unwrap()[0].listener, "bob");
    }
}
