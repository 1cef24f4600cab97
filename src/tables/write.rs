//! Writing a table row by row in bounded memory.

use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::schema::fields;
use super::{Column, TableError, Type};
use crate::store::Draft;

/// Rows held before they are encoded.
const BATCH_ROWS: usize = 8_192;
/// Rows of one row group.
const GROUP_ROWS: usize = 65_536;

/// A table with all its rows, which nobody else can see yet.
pub struct Closed {
    draft: Draft,
    rows: u64,
}

/// What was published of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Closed {
    pub(super) fn new(draft: Draft, rows: u64) -> Self {
        Self { draft, rows }
    }

    /// Gives the table its name, durably.
    ///
    /// # Errors
    /// As [`Draft::publish`].
    pub fn publish(self) -> Result<Published, TableError> {
        Ok(Published { rows: self.rows, bytes: self.draft.publish()? })
    }
}

/// Writes rows to a draft and publishes it on [`RowWriter::finish`]; a writer that is dropped leaves no table behind.
pub struct RowWriter<T> {
    name: String,
    fields: Vec<FieldRef>,
    rows: Vec<T>,
    written: u64,
    writer: ArrowWriter<Draft>,
    row: PhantomData<T>,
}

impl<T: serde::Serialize> RowWriter<T> {
    /// Opens the table of a file. `T` serialises to a map whose keys are the columns' names.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn create(path: &Path, columns: &[Column]) -> Result<Self, TableError> {
        Self::on(Draft::file(path)?, columns)
    }

    /// Opens the table of any object.
    ///
    /// # Errors
    /// The disk's.
    pub fn on(draft: Draft, columns: &[Column]) -> Result<Self, TableError> {
        Self::open(draft, columns, 3, |properties| properties)
    }

    /// As [`RowWriter::on`], for rows that are vectors of numbers that hardly repeat: quick to write, as no dictionary of
    /// them is tried and no statistics are kept.
    ///
    /// # Errors
    /// As [`RowWriter::on`].
    pub fn of_vectors(draft: Draft, columns: &[Column]) -> Result<Self, TableError> {
        Self::open(draft, columns, 1, |properties| {
            let vectors = columns.iter().filter(|column| column.1 == Type::ListFloat32);
            vectors.fold(properties.set_statistics_enabled(EnabledStatistics::None), |properties, column| {
                let name = ColumnPath::new([column.0, "list", "element"].map(str::to_owned).to_vec());
                let properties = properties.set_column_encoding(name.clone(), Encoding::BYTE_STREAM_SPLIT);
                properties.set_column_dictionary_enabled(name, false)
            })
        })
    }

    fn open(
        draft: Draft,
        columns: &[Column],
        level: i32,
        choose: impl FnOnce(WriterPropertiesBuilder) -> WriterPropertiesBuilder,
    ) -> Result<Self, TableError> {
        let (name, fields) = (draft.name(), fields(columns));
        let level = ZstdLevel::try_new(level).map_err(|e| TableError::new(&name, e))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_created_by("segue".into());
        let properties = choose(properties).build();
        let schema = Arc::new(Schema::new(fields.clone()));
        let writer = ArrowWriter::try_new(draft, schema, Some(properties)).map_err(|e| TableError::new(&name, e))?;
        Ok(Self { name, fields, rows: Vec::with_capacity(BATCH_ROWS), written: 0, writer, row: PhantomData })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// If the row does not fit the columns or the disk is full.
    pub fn write(&mut self, row: T) -> Result<(), TableError> {
        self.rows.push(row);
        self.written += 1;
        if self.rows.len() >= BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    /// Adds a note to the file's key-value metadata, which [`super::read_notes`] gives.
    pub fn note(&mut self, key: &str, value: impl ToString) {
        self.writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value.to_string()));
    }

    /// Rows added so far.
    pub fn len(&self) -> u64 {
        self.written
    }

    /// Whether no row was added yet.
    pub fn is_empty(&self) -> bool {
        self.written == 0
    }

    /// Completes the table and gives it its name; returns the number of rows.
    ///
    /// # Errors
    /// As [`RowWriter::write`].
    pub fn finish(self) -> Result<u64, TableError> {
        Ok(self.close()?.publish()?.rows)
    }

    /// Completes the table without a name.
    ///
    /// # Errors
    /// As [`RowWriter::write`].
    pub fn close(mut self) -> Result<Closed, TableError> {
        self.flush()?;
        let draft = self.writer.into_inner().map_err(|e| TableError::new(&self.name, e))?;
        Ok(Closed::new(draft, self.written))
    }

    fn flush(&mut self) -> Result<(), TableError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let batch =
            serde_arrow::to_record_batch(&self.fields, &self.rows).map_err(|e| TableError::new(&self.name, e))?;
        self.rows.clear();
        self.writer.write(&batch).map_err(|e| TableError::new(&self.name, e))
    }
}
