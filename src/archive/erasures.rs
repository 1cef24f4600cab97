//! Who asked to be forgotten, and from which offset on.

use std::collections::HashMap;
use std::sync::Arc;

use super::ArchiveError;
use super::files;
use crate::domain::UserId;
use crate::store::{Store, Stored};
use crate::tables::{Column, TableError, Type, stored_rows};

/// A row of `erasures`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct ErasureRow {
    pub(super) offset: i64,
    pub(super) user_id: String,
    pub(super) seen_ms: i64,
}

pub(super) const COLUMNS: &[Column] = &[
    Column::required("offset", Type::Int64),
    Column::required("user_id", Type::Utf8),
    Column::required("seen_ms", Type::Int64),
];

/// The last erasure of each listener who asked for one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Erasures {
    last: HashMap<String, (u64, i64)>,
    through: u64,
}

impl Erasures {
    fn add(&mut self, row: ErasureRow) {
        let (offset, seen_ms) = (row.offset.max(0) as u64, row.seen_ms);
        self.through = self.through.max(offset);
        let last = self.last.entry(row.user_id).or_insert((offset, seen_ms));
        *last = (last.0.max(offset), last.1.max(seen_ms));
    }

    /// Whether what this listener did at an offset of the log is to go.
    pub fn covers_offset(&self, user: &UserId, offset: u64) -> bool {
        self.last.get(user.as_str()).is_some_and(|(erased, _)| offset < *erased)
    }

    /// Whether what was logged of a listener at a moment, Unix ms, is to go. The log does not say when an erasure came, so
    /// the moment counts at which it was exported: a listener who came back before that loses those rows too.
    pub fn covers_moment(&self, user: &str, ts_ms: i64) -> bool {
        self.last.get(user).is_some_and(|(_, seen_ms)| ts_ms < *seen_ms)
    }

    /// The offset of the newest one; 0 without any.
    pub fn through(&self) -> u64 {
        self.through
    }

    /// Listeners.
    pub fn len(&self) -> usize {
        self.last.len()
    }

    /// Whether nobody asked.
    pub fn is_empty(&self) -> bool {
        self.last.is_empty()
    }
}

/// Reads the erasures of an archive; none where there is no archive.
///
/// # Errors
/// A file that cannot be read.
pub fn read_erasures(archive: &Arc<dyn Store>) -> Result<Erasures, ArchiveError> {
    let mut erasures = Erasures::default();
    for file in files::erasures(archive)?.0 {
        rows(&file.object)?.into_iter().for_each(|row| erasures.add(row));
    }
    Ok(erasures)
}

pub(super) fn rows(object: &Stored) -> Result<Vec<ErasureRow>, TableError> {
    stored_rows(object)?.collect()
}
