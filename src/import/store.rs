//! Plays in compact rows: strings are numbered, so that tens of millions of plays fit into memory.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::ImportError;
use super::about::About;
use super::ending::Ending;
use super::play::Hint;
use crate::domain::{Device, StartReason, TrackId, UserId};

/// Stands for "nobody knows" in numbers of a row, and for "none" in numbers of strings.
pub(super) const NONE: u32 = u32::MAX;

/// One play; 56 bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Start, Unix ms.
    pub(super) start_ms: i64,
    /// Row in its file.
    pub(super) at: u64,
    /// File.
    pub(super) file: u32,
    /// Listener.
    pub(super) user: u32,
    /// Track.
    pub(super) track: u32,
    /// The source's session or [`NONE`]; after settling the session written.
    pub(super) session: u32,
    /// Time played, ms, or [`NONE`].
    pub(super) played_ms: u32,
    /// Length of the track that the source gave with the play, ms, or [`NONE`].
    pub(super) duration_ms: u32,
    /// From start to end event, ms; set by settling.
    pub(super) lasted_ms: u32,
    /// Market or `u16::MAX`.
    pub(super) market: u16,
    /// What the source says of the end.
    pub(super) hint: Hint,
    /// How it ended; set by settling.
    pub(super) ending: Ending,
    /// Why it began.
    pub(super) reason_start: Option<StartReason>,
    /// On what.
    pub(super) device: Option<Device>,
    /// The listener's hour, 0..23; 255 where nobody knows.
    pub(super) local_hour: u8,
    /// Whether it was liked.
    pub(super) liked: bool,
}

impl Row {
    /// When its end is told, Unix ms.
    pub(super) fn end_ms(&self) -> i64 {
        self.start_ms + i64::from(self.lasted_ms)
    }
}

/// A number or nothing out of a row.
pub(super) fn known(number: u32) -> Option<u32> {
    (number != NONE).then_some(number)
}

/// Distinct strings, numbered in order of appearance.
#[derive(Debug)]
pub(super) struct Numbered<T> {
    all: Vec<T>,
    rows: HashMap<T, u32>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { all: Vec::new(), rows: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash + Borrow<str>> Numbered<T> {
    /// The number of a string, if it has one.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        self.rows.get(text).copied()
    }

    /// Gives the next number to a new string.
    ///
    /// # Errors
    /// When numbers run out.
    pub(super) fn add(&mut self, new: T, what: &'static str) -> Result<u32, ImportError> {
        let number = self.all.len() as u32;
        if number == NONE {
            return Err(ImportError::TooMany { what, limit: u64::from(NONE) });
        }
        self.all.push(new.clone());
        self.rows.insert(new, number);
        Ok(number)
    }

    /// All strings; position = number.
    pub(super) fn all(&self) -> &[T] {
        &self.all
    }
}

/// All plays of an import and what they name.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// The plays.
    pub(super) rows: Vec<Row>,
    /// Listeners.
    pub(super) users: Numbered<UserId>,
    /// Tracks in order of appearance.
    pub(super) tracks: Numbered<TrackId>,
    /// What is known of each track.
    pub(super) about: Vec<About>,
    /// The source's sessions.
    pub(super) sessions: Numbered<Arc<str>>,
    /// Market codes.
    pub(super) markets: Numbered<Arc<str>>,
}

impl Store {
    /// The number of a track, new or not; what is new about it is kept.
    ///
    /// # Errors
    /// When numbers run out.
    pub(super) fn track(&mut self, known: Option<u32>, id: TrackId, about: About) -> Result<u32, ImportError> {
        match known {
            Some(number) => {
                self.about[number as usize].fill(about);
                Ok(number)
            }
            None => {
                self.about.push(about);
                self.tracks.add(id, "tracks")
            }
        }
    }

    /// Adds a play.
    ///
    /// # Errors
    /// When there are more than row numbers can count.
    pub(super) fn push(&mut self, row: Row) -> Result<(), ImportError> {
        if self.rows.len() as u64 >= u64::from(NONE) {
            return Err(ImportError::TooMany { what: "plays", limit: u64::from(NONE) });
        }
        self.rows.push(row);
        Ok(())
    }

    /// Length of the track of a play, ms.
    pub(super) fn duration_ms(&self, row: &Row) -> Option<u32> {
        let of_track = || self.about[row.track as usize].duration_ms.and_then(|ms| u32::try_from(ms).ok());
        known(row.duration_ms).or_else(of_track)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stays_small() {
        assert!(size_of::<Row>() <= 56, "{}", size_of::<Row>());
    }

    #[test]
    fn strings_are_numbered_as_they_come() {
        let mut names = Numbered::<Arc<str>>::default();
        assert_eq!(names.add("b".into(), "x").unwrap(), 0);
        assert_eq!(names.add("a".into(), "x").unwrap(), 1);
        assert_eq!((names.find("b"), names.find("c")), (Some(0), None));
        assert_eq!(names.all()[1].as_ref(), "a");
    }
}
