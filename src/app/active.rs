//! Which bundle is served after a restart: a note beside the event log, put in its place whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf, absolute};

use crate::bundle::{Bundle, BundleError};

/// The note's name in the data directory.
const NOTE: &str = "bundle.json";

/// What the note says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    /// The bundle that the configuration named when it was written: once that names another one, it wins.
    configured: PathBuf,
    /// The bundle that is served.
    serves: PathBuf,
    /// The bundle that was served before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<PathBuf>,
}

/// Which bundle is served, and which was before it.
#[derive(Debug)]
pub(super) struct Active {
    /// Nothing where a restart forgets it.
    path: Option<PathBuf>,
    note: Note,
    fell_back: bool,
}

impl Active {
    /// Reads the note of a directory, made if absent. One that cannot be understood, or was written under a configuration that
    /// named another bundle, counts for nothing, and the log says so.
    ///
    /// # Errors
    /// The directory or the file cannot be read.
    pub(super) fn open(dir: Option<&Path>, configured: &Path) -> io::Result<Self> {
        let configured = absolute(configured)?;
        let fresh = Note { configured: configured.clone(), serves: configured, previous: None };
        let Some(dir) = dir else { return Ok(Self { path: None, note: fresh, fell_back: false }) };
        fs::create_dir_all(dir)?;
        let path = dir.join(NOTE);
        let note = match fs::read(&path) {
            Ok(text) => understood(&text, &fresh, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => fresh,
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        };
        Ok(Self { path: Some(path), note, fell_back: false })
    }

    /// Loads the bundle that is to be served; where that fails the one before it, then the configured one.
    ///
    /// # Errors
    /// That of the first, where none loads.
    pub(super) fn load(
        &mut self,
        mut load: impl FnMut(&Path) -> Result<Bundle, BundleError>,
    ) -> Result<Bundle, BundleError> {
        let Note { configured, serves, previous } = self.note.clone();
        let first = match load(&serves) {
            Ok(bundle) => return Ok(bundle),
            Err(error) => error,
        };
        tracing::error!(bundle = %serves.display(), error = %first, "the bundle that was served last does not load");
        let mut others: Vec<PathBuf> =
            previous.into_iter().chain([configured]).filter(|other| *other != serves).collect();
        others.dedup();
        for other in others {
            match load(&other) {
                Ok(bundle) => {
                    tracing::error!(bundle = %other.display(), "it is served instead; activate a sound bundle");
                    self.note = Note { serves: other, previous: None, ..self.note.clone() };
                    self.fell_back = true;
                    return Ok(bundle);
                }
                Err(error) => tracing::error!(bundle = %other.display(), %error, "nor does this one"),
            }
        }
        Err(first)
    }

    /// Whether another bundle is served than should be, because that did not load.
    pub(super) fn fell_back(&self) -> bool {
        self.fell_back
    }

    /// Where the bundle that is served lies.
    pub(super) fn serves(&self) -> &Path {
        &self.note.serves
    }

    /// Where the bundle lies that was served before.
    pub(super) fn previous(&self) -> Option<&Path> {
        self.note.previous.as_deref()
    }

    /// From now on another bundle is served, after a restart too.
    ///
    /// # Errors
    /// The note could not be put in its place: all is as it was.
    pub(super) fn set(&mut self, serves: &Path) -> io::Result<()> {
        let note = Note {
            configured: self.note.configured.clone(),
            previous: Some(self.note.serves.clone()),
            serves: absolute(serves)?,
        };
        if let Some(path) = &self.path {
            put(path, &serde_json::to_vec(&note)?)?;
        }
        self.note = note;
        self.fell_back = false;
        Ok(())
    }
}

/// What a note says, where it counts.
fn understood(text: &[u8], fresh: &Note, path: &Path) -> Note {
    match serde_json::from_slice::<Note>(text) {
        Ok(note) if note.configured == fresh.configured => note,
        Ok(note) => {
            let (was, is) = (note.configured.display(), fresh.configured.display());
            tracing::warn!(%was, %is, served = %note.serves.display(), "the configuration names another bundle now");
            fresh.clone()
        }
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "not understood: the configured bundle is served");
            fresh.clone()
        }
    }
}

/// Puts a file in the place of the one before it, whole and on the disk.
fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    let making = path.with_extension("making");
    let mut file = File::create(&making)?;
    file.write_all(content)?;
    file.sync_data()?;
    fs::rename(&making, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(dir: &Path, configured: &str) -> Active {
        Active::open(Some(dir), Path::new(configured)).unwrap()
    }

    #[test]
    fn what_was_activated_is_served_until_the_configuration_names_another() {
        let dir = tempfile::tempdir().unwrap();
        let mut active = opened(dir.path(), "/b/one");
        assert_eq!((active.serves(), active.previous()), (Path::new("/b/one"), None));
        active.set(Path::new("/b/two")).unwrap();
        active.set(Path::new("/b/three")).unwrap();
        let again = opened(dir.path(), "/b/one");
        assert_eq!((again.serves(), again.previous()), (Path::new("/b/three"), Some(Path::new("/b/two"))));
        assert_eq!(opened(dir.path(), "/b/four").serves(), Path::new("/b/four"));
        fs::write(dir.path().join(NOTE), "{").unwrap();
        assert_eq!(opened(dir.path(), "/b/one").serves(), Path::new("/b/one"));
    }

    #[test]
    fn a_note_that_cannot_be_written_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut active = opened(dir.path(), "/b/one");
        fs::create_dir(dir.path().join("bundle.making")).unwrap();
        assert!(active.set(Path::new("/b/two")).is_err());
        assert_eq!(active.serves(), Path::new("/b/one"));
        assert_eq!(opened(dir.path(), "/b/one").serves(), Path::new("/b/one"));
    }

    #[test]
    fn the_first_that_loads_is_served() {
        let dir = tempfile::tempdir().unwrap();
        let mut active = opened(dir.path(), "/b/one");
        active.set(Path::new("/b/two")).unwrap();
        let mut asked = Vec::new();
        let refused = active.load(|at| {
            asked.push(at.to_owned());
            Err(crate::bundle::Manifest::read(at).unwrap_err())
        });
        assert!(refused.unwrap_err().to_string().contains("/b/two"), "the first error counts");
        assert_eq!(asked, [PathBuf::from("/b/two"), PathBuf::from("/b/one")]);
    }
}
