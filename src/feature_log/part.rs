//! One part: a file of each table under one name.

use std::sync::Arc;

use super::tables::{
    ANSWER_COLUMNS, ANSWERS, AnswerRow, CANDIDATES, CandidateBatch, ITEM_COLUMNS, ITEMS, ItemRow, candidate_columns,
};
use crate::store::{Draft, Store};
use crate::tables::{Closed, FlatWriter, Hour, Packing, RowWriter, TableError};

/// Candidates held before they are encoded.
const BATCH_ROWS: usize = 32_768;
/// Candidates of a row group (`docs/performance.md`).
pub(super) const GROUP_ROWS: usize = 1 << 18;
/// Compression of the candidates (`docs/performance.md`).
pub(super) const PACKING: Packing = Packing::Zstd(1);

/// What a finished part holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartSummary {
    /// Answers.
    pub answers: u64,
    /// Candidates.
    pub candidates: u64,
    /// Distinct items.
    pub items: u64,
    /// Bytes of the three files.
    pub bytes: u64,
}

/// A part that is being written. Dropped before [`Part::finish`] it leaves nothing behind.
pub struct Part {
    answers: RowWriter<AnswerRow>,
    candidates: FlatWriter,
    items: RowWriter<ItemRow>,
    held: CandidateBatch,
    /// Which tracks its items have, bit by bit.
    pub(super) known: Vec<u64>,
}

impl Part {
    /// Begins a part of one hour; `name` is new in that hour.
    ///
    /// # Errors
    /// If a draft cannot be begun.
    pub fn create(store: &Arc<dyn Store>, hour: Hour, name: &str) -> Result<Self, TableError> {
        Self::packed(store, hour, name, PACKING, GROUP_ROWS)
    }

    /// The same with other choices than those that were measured to be best.
    ///
    /// # Errors
    /// As [`Part::create`].
    pub fn packed(
        store: &Arc<dyn Store>,
        hour: Hour,
        name: &str,
        packing: Packing,
        group_rows: usize,
    ) -> Result<Self, TableError> {
        let draft = |table| Draft::begin(store, &hour.key(table, &file(name)));
        Ok(Self {
            answers: RowWriter::of_vectors(draft(ANSWERS)?, ANSWER_COLUMNS)?,
            candidates: FlatWriter::on(draft(CANDIDATES)?, &candidate_columns(), packing, group_rows)?,
            items: RowWriter::of_vectors(draft(ITEMS)?, ITEM_COLUMNS)?,
            held: CandidateBatch::new(),
            known: Vec::new(),
        })
    }

    /// Candidates so far.
    pub fn candidates(&self) -> u64 {
        self.candidates.rows() + self.held.len() as u64
    }

    /// Answers so far.
    pub fn answers(&self) -> u64 {
        self.answers.len()
    }

    /// Adds an answer; `fill` appends its candidates.
    ///
    /// # Errors
    /// A full disk.
    pub(super) fn answer(
        &mut self,
        row: AnswerRow,
        fill: impl FnOnce(&mut CandidateBatch, i32),
    ) -> Result<(), TableError> {
        let number = self.held.answers.len() as i32;
        self.held.answers.push(row.recommendation_id.clone());
        fill(&mut self.held, number);
        self.answers.write(row)?;
        if self.held.len() >= BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    /// Adds what is known of a track.
    ///
    /// # Errors
    /// A full disk.
    pub(super) fn item(&mut self, row: ItemRow) -> Result<(), TableError> {
        self.items.write(row)
    }

    /// Adds an answer whose candidates come by themselves.
    ///
    /// # Errors
    /// A full disk.
    pub(super) fn answer_only(&mut self, row: AnswerRow) -> Result<(), TableError> {
        self.answers.write(row)
    }

    /// Adds candidates of answers that come by themselves.
    ///
    /// # Errors
    /// A full disk.
    pub(super) fn candidates_only(&mut self, batch: CandidateBatch) -> Result<(), TableError> {
        if batch.is_empty() { Ok(()) } else { self.candidates.write(batch.into_columns()) }
    }

    /// Adds a note to the answers' file.
    pub(super) fn note(&mut self, key: &str, value: impl ToString) {
        self.answers.note(key, value);
    }

    /// Completes the three files and publishes them.
    ///
    /// # Errors
    /// As [`ClosedPart::publish`].
    pub fn finish(self) -> Result<PartSummary, TableError> {
        self.close()?.publish()
    }

    /// Completes the three files without names.
    ///
    /// # Errors
    /// A full disk.
    pub fn close(mut self) -> Result<ClosedPart, TableError> {
        self.flush()?;
        let answers = self.answers.len();
        Ok(ClosedPart { tables: [self.items.close()?, self.candidates.close()?, self.answers.close()?], answers })
    }

    fn flush(&mut self) -> Result<(), TableError> {
        let held = std::mem::replace(&mut self.held, CandidateBatch::new());
        if held.is_empty() { Ok(()) } else { self.candidates.write(held.into_columns()) }
    }
}

/// A part that takes no more, and that nobody can see yet.
pub struct ClosedPart {
    /// Items, candidates, answers.
    tables: [Closed; 3],
    answers: u64,
}

impl ClosedPart {
    /// Answers in it.
    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// Publishes the three files, the answers' last.
    ///
    /// # Errors
    /// The store's: the answers are not there then.
    pub fn publish(self) -> Result<PartSummary, TableError> {
        let [items, candidates, answers] = self.tables;
        let (items, candidates) = (items.publish()?, candidates.publish()?);
        let answers = answers.publish()?;
        let bytes = items.bytes + candidates.bytes + answers.bytes;
        Ok(PartSummary { answers: answers.rows, candidates: candidates.rows, items: items.rows, bytes })
    }
}

/// The name of each file of a part.
pub(super) fn file(name: &str) -> String {
    format!("{name}.parquet")
}
