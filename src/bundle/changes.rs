//! What changed in a catalogue after its bundle was built: tracks put, taken down, restored.
//!
//! The file is NDJSON, only ever appended to: first `{"log":"<its id>"}`, then the changes, oldest first:
//! `{"put":{..columns of tracks.parquet..}}`, `{"take_down":"t1"}`, `{"restore":"t1"}`. A change is durable before it
//! counts. The next bundle is built with it (`segue bundle build --changes FILE`), after which the file may go.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::BundleError;
use crate::domain::{Track, TrackId};

/// One change.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The track is as told, whether it was known or not, and is served.
    Put(Box<Track>),
    /// The track is served no more.
    TakeDown(TrackId),
    /// The track is served again.
    Restore(TrackId),
}

/// The first line.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Log(String),
}

/// The file, open for more.
#[derive(Debug)]
pub struct ChangeLog {
    id: String,
    path: PathBuf,
    file: File,
    /// Bytes of whole changes.
    len: u64,
    /// Whole changes.
    count: usize,
    /// Whether something that is no whole change may follow them.
    torn: bool,
}

impl ChangeLog {
    /// Opens the file, made if absent with its directory, and reads what it holds. A last line that was cut short by a
    /// crash was never acknowledged: it is cut off, with a warning.
    ///
    /// # Errors
    /// Another process has it open, it cannot be read or written, or a line before the last is damaged; the message names
    /// the line.
    pub fn open(path: &Path) -> Result<(Self, Vec<Change>), BundleError> {
        let refuse = |fault: String| BundleError::path(path, fault);
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        directory.map_or(Ok(()), std::fs::create_dir_all).map_err(|e| refuse(e.to_string()))?;
        let options = OpenOptions::new().read(true).append(true).create(true).open(path);
        let mut file = options.map_err(|e| refuse(e.to_string()))?;
        file.try_lock().map_err(|e| refuse(format!("another segue writes to it: {e}")))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|e| refuse(e.to_string()))?;
        let (id, changes, len) = parse(&text).map_err(refuse)?;
        if len < text.len() {
            let (file, cut) = (path.display(), text.len() - len);
            tracing::warn!(%file, bytes = cut, "the last change was cut short and is cut off: it was not acknowledged");
        }
        file.set_len(len as u64).map_err(|e| refuse(e.to_string()))?;
        let new = id.is_none();
        let mut log = Self {
            id: id.unwrap_or_else(|| ulid::Ulid::generate().to_string()),
            path: path.to_owned(),
            file,
            len: len as u64,
            count: changes.len(),
            torn: false,
        };
        if new {
            let id = log.id.clone();
            log.write(&Line::Log(id))?;
            // The file's name must survive a power cut as its content does.
            let directory = File::open(directory.unwrap_or(Path::new(".")));
            directory.and_then(|directory| directory.sync_all()).map_err(|e| refuse(e.to_string()))?;
        }
        Ok((log, changes))
    }

    /// Names the file for as long as it lives: the same id, and the same changes come first.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Appends a change; on return it is on the disk.
    ///
    /// # Errors
    /// It could not be written; the file is as before.
    pub fn append(&mut self, change: &Change) -> Result<(), BundleError> {
        self.write(change)?;
        self.count += 1;
        Ok(())
    }

    /// Changes that the file holds.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The changes that came after the first `count`, oldest first. Reads the file.
    ///
    /// # Errors
    /// It cannot be read or was damaged.
    pub fn since(&self, count: usize) -> Result<Vec<Change>, BundleError> {
        if count >= self.count {
            return Ok(Vec::new());
        }
        // A write that failed may have left more than counts.
        Ok(read(&self.path)?.into_iter().take(self.count).skip(count).collect())
    }

    fn write(&mut self, line: &impl serde::Serialize) -> Result<(), BundleError> {
        let refuse = |fault: String| BundleError::path(&self.path, fault);
        let mut line = serde_json::to_vec(line).map_err(|e| refuse(e.to_string()))?;
        line.push(b'\n');
        // What an earlier failure left must not become the beginning of this line.
        if self.torn {
            self.file.set_len(self.len).map_err(|e| refuse(format!("the change was not stored: {e}")))?;
        }
        self.torn = true;
        if let Err(error) = self.file.write_all(&line).and_then(|()| self.file.sync_data()) {
            // If this fails too, the next change or the next opening makes up for it.
            self.torn = self.file.set_len(self.len).is_err();
            return Err(refuse(format!("the change was not stored: {error}")));
        }
        self.torn = false;
        self.len += line.len() as u64;
        Ok(())
    }
}

/// Reads the whole changes of a file.
///
/// # Errors
/// As [`ChangeLog::open`].
pub(super) fn read(path: &Path) -> Result<Vec<Change>, BundleError> {
    let text = std::fs::read(path).map_err(|e| BundleError::path(path, e))?;
    parse(&text).map(|(_, changes, _)| changes).map_err(|fault| BundleError::path(path, fault))
}

/// The file's id (absent in an empty file), the changes of whole lines, and how many bytes these are.
fn parse(text: &[u8]) -> Result<(Option<String>, Vec<Change>, usize), String> {
    let len = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut lines = text[..len].split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    let damaged = |at: usize| move |e: serde_json::Error| format!("line {} is damaged: {e}", at + 1);
    let first = lines.next().map(|(at, line)| serde_json::from_slice(line).map_err(damaged(at))).transpose()?;
    let id = first.map(|Line::Log(id)| id);
    let changes = lines.map(|(at, line)| serde_json::from_slice(line).map_err(damaged(at)));
    Ok((id, changes.collect::<Result<_, _>>()?, len))
}

/// What became of a track by all changes together.
#[derive(Debug, Clone, PartialEq, Default)]
struct Outcome {
    /// Its columns, if they were put.
    track: Option<Track>,
    /// Whether it is taken down.
    down: bool,
}

/// What is left of changes once the later ones have replaced the earlier ones, in the order of first appearance.
fn outcomes(changes: Vec<Change>) -> Vec<(TrackId, Outcome)> {
    let mut all: Vec<(TrackId, Outcome)> = Vec::new();
    let mut places = HashMap::new();
    for change in changes {
        let id = match &change {
            Change::Put(track) => &track.track_id,
            Change::TakeDown(id) | Change::Restore(id) => id,
        };
        let at = *places.entry(id.clone()).or_insert(all.len());
        if at == all.len() {
            all.push((id.clone(), Outcome::default()));
        }
        let outcome = &mut all[at].1;
        match change {
            Change::Put(track) => *outcome = Outcome { track: Some(*track), down: false },
            Change::TakeDown(_) => outcome.down = true,
            Change::Restore(_) => outcome.down = false,
        }
    }
    all
}

/// Tells how tables were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Folded {
    /// Tracks that came behind the others.
    pub added: usize,
    /// Tracks whose columns changed.
    pub replaced: usize,
    /// Of these, tracks that keep the artist and genre that the models know them by.
    pub kept_artist: usize,
    /// Tracks whose licence was closed because they are taken down.
    pub closed: usize,
    /// Changes of tracks that are not in the table.
    pub unknown: usize,
}

/// Applies changes to the rows of `tracks.parquet`. Rows keep their places, for models know tracks, artists and genres by
/// the order of their first appearance: a known track keeps its artist and genre until the tables are trained on again.
/// A track that is taken down stays, with a licence that has ended.
pub(super) fn fold(tracks: &mut Vec<Track>, changes: Vec<Change>) -> Folded {
    let mut rows: HashMap<TrackId, usize> =
        tracks.iter().enumerate().map(|(row, track)| (track.track_id.clone(), row)).collect();
    let mut folded = Folded::default();
    for (id, outcome) in outcomes(changes) {
        match (rows.get(&id), outcome.track) {
            (Some(row), Some(track)) if tracks[*row] != track => {
                let known = std::mem::replace(&mut tracks[*row], track);
                let track = &mut tracks[*row];
                folded.replaced += 1;
                if (&track.artist_id, &track.genre) != (&known.artist_id, &known.genre) {
                    folded.kept_artist += 1;
                    (track.artist_id, track.artist_name, track.genre) =
                        (known.artist_id, known.artist_name, known.genre);
                }
            }
            (None, Some(track)) => {
                rows.insert(id.clone(), tracks.len());
                tracks.push(track);
                folded.added += 1;
            }
            (None, None) => folded.unknown += 1,
            (Some(_), _) => {}
        }
        if let (Some(row), true) = (rows.get(&id), outcome.down) {
            tracks[*row].available_until_ms = Some(0);
            folded.closed += 1;
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::bare_track;
    use proptest::prelude::*;

    fn id(text: &str) -> TrackId {
        TrackId::new(text).unwrap()
    }

    fn put(name: &str, title: &str) -> Change {
        Change::Put(Box::new(Track { title: title.into(), energy: Some(0.1), ..bare_track(name, "a") }))
    }

    #[test]
    fn what_is_appended_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/changes.ndjson");
        let (mut log, none) = ChangeLog::open(&path).unwrap();
        assert!(none.is_empty());
        let all = [put("t1", "One"), Change::TakeDown(id("t0")), Change::Restore(id("t0"))];
        all[..2].iter().for_each(|change| log.append(change).unwrap());
        drop(log);
        let (mut log, read) = ChangeLog::open(&path).unwrap();
        assert_eq!(read, all[..2]);
        assert_eq!((log.count(), log.since(1).unwrap(), log.since(2).unwrap()), (2, all[1..2].to_vec(), vec![]));
        assert!(ChangeLog::open(&path).unwrap_err().to_string().contains("another segue"));
        let id = log.id().to_owned();
        log.append(&all[2]).unwrap();
        assert_eq!(super::read(&path).unwrap(), all);
        drop(log);
        assert_eq!(ChangeLog::open(&path).unwrap().0.id(), id);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("{\"log\":\"") && text.ends_with("{\"take_down\":\"t0\"}\n{\"restore\":\"t0\"}\n"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_crash_costs_the_change_that_was_being_written(at in 0usize..1_000) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("c");
            let (mut log, _) = ChangeLog::open(&path).unwrap();
            let all = [put("t1", "One"), Change::TakeDown(id("t0")), put("t2", "Two")];
            let ends: Vec<u64> = all.iter().map(|change| { log.append(change).unwrap(); log.len }).collect();
            let cut = at as u64 * ends[2] / 999;
            log.file.set_len(cut).unwrap();
            drop(log);
            let (mut log, read) = ChangeLog::open(&path).unwrap();
            let whole = ends.iter().filter(|end| **end <= cut).count();
            prop_assert_eq!(&read, &all[..whole]);
            log.append(&all[2]).unwrap();
            prop_assert_eq!(super::read(&path).unwrap().len(), whole + 1);
        }
    }

    #[test]
    fn what_a_failed_write_left_is_no_part_of_the_next_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        let (mut log, _) = ChangeLog::open(&path).unwrap();
        log.file.write_all(b"{\"put").unwrap();
        log.torn = true;
        log.append(&Change::TakeDown(id("t0"))).unwrap();
        assert_eq!(super::read(&path).unwrap(), [Change::TakeDown(id("t0"))]);
    }

    #[test]
    fn damage_within_is_an_error_with_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        std::fs::write(&path, "{\"log\":\"x\"}\n{\"take_up\":1}\n{\"restore\":\"t0\"}\n").unwrap();
        assert!(ChangeLog::open(&path).unwrap_err().to_string().contains("line 2 is damaged"));
        assert!(read(&folder.path().join("none")).is_err());
    }

    #[test]
    fn later_changes_replace_earlier_ones() {
        let all = outcomes(vec![
            put("t9", "First"),
            Change::TakeDown(id("t0")),
            Change::TakeDown(id("t9")),
            put("t9", "Second"),
            Change::TakeDown(id("t1")),
            Change::Restore(id("t1")),
        ]);
        let told: Vec<_> =
            all.iter().map(|(id, o)| (id.as_str(), o.track.as_ref().map(|t| &*t.title), o.down)).collect();
        assert_eq!(told, [("t9", Some("Second"), false), ("t0", None, true), ("t1", None, false)]);
    }

    #[test]
    fn folding_keeps_the_rows_that_models_know() {
        let mut tracks = vec![bare_track("t0", "a"), bare_track("t1", "b"), bare_track("t2", "c")];
        let moved = Track { title: "New".into(), ..bare_track("t1", "z") };
        let changes = vec![
            put("t9", "Nine"),
            Change::Put(Box::new(moved)),
            Change::TakeDown(id("t2")),
            Change::TakeDown(id("t8")),
            put("t7", "Seven"),
            Change::TakeDown(id("t7")),
        ];
        let folded = fold(&mut tracks, changes);
        assert_eq!(folded, Folded { added: 2, replaced: 1, kept_artist: 1, closed: 2, unknown: 1 });
        let ids: Vec<_> = tracks.iter().map(|track| track.track_id.as_str()).collect();
        assert_eq!(ids, ["t0", "t1", "t2", "t9", "t7"]);
        assert_eq!((&*tracks[1].title, tracks[1].artist_id.as_str()), ("New", "b"));
        let closed: Vec<_> = tracks.iter().map(|track| track.available_until_ms).collect();
        assert_eq!(closed, [None, None, Some(0), None, Some(0)]);
    }
}
