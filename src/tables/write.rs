//! Writing a table row by row in bounded memory.

use std::fs::File;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::schema::fields;
use super::{Column, TableError, Type, publish};

/// Rows held before they are encoded.
const BATCH_ROWS: usize = 8_192;
/// Rows of one row group.
const GROUP_ROWS: usize = 65_536;

/// Writes rows to `<path>.partial` and renames it on [`RowWriter::finish`]; a writer that is dropped leaves no table behind.
pub struct RowWriter<T> {
    path: PathBuf,
    partial: PathBuf,
    fields: Vec<FieldRef>,
    rows: Vec<T>,
    written: u64,
    writer: Option<ArrowWriter<File>>,
    row: PhantomData<T>,
}

impl<T: serde::Serialize> RowWriter<T> {
    /// Opens the table. `T` serialises to a map whose keys are the columns' names.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn create(path: &Path, columns: &[Column]) -> Result<Self, TableError> {
        Self::open(path, columns, 3, |properties| properties)
    }

    /// As [`RowWriter::create`], for rows that are vectors of numbers that hardly repeat: quick to write, as no dictionary of
    /// them is tried and no statistics are kept.
    ///
    /// # Errors
    /// As [`RowWriter::create`].
    pub fn of_vectors(path: &Path, columns: &[Column]) -> Result<Self, TableError> {
        Self::open(path, columns, 1, |properties| {
            let vectors = columns.iter().filter(|column| column.1 == Type::ListFloat32);
            vectors.fold(properties.set_statistics_enabled(EnabledStatistics::None), |properties, column| {
                let name = ColumnPath::new([column.0, "list", "element"].map(str::to_owned).to_vec());
                let properties = properties.set_column_encoding(name.clone(), Encoding::BYTE_STREAM_SPLIT);
                properties.set_column_dictionary_enabled(name, false)
            })
        })
    }

    fn open(
        path: &Path,
        columns: &[Column],
        level: i32,
        choose: impl FnOnce(WriterPropertiesBuilder) -> WriterPropertiesBuilder,
    ) -> Result<Self, TableError> {
        let partial = path.with_extension("partial");
        let fields = fields(columns);
        let file = File::create(&partial).map_err(|e| TableError::new(path, e))?;
        let level = ZstdLevel::try_new(level).map_err(|e| TableError::new(path, e))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_created_by("segue".into());
        let properties = choose(properties).build();
        let schema = Arc::new(Schema::new(fields.clone()));
        let writer = ArrowWriter::try_new(file, schema, Some(properties)).map_err(|e| TableError::new(path, e))?;
        Ok(Self {
            path: path.to_owned(),
            partial,
            fields,
            rows: Vec::with_capacity(BATCH_ROWS),
            written: 0,
            writer: Some(writer),
            row: PhantomData,
        })
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
        if let Some(writer) = self.writer.as_mut() {
            writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value.to_string()));
        }
    }

    /// Rows added so far.
    pub fn len(&self) -> u64 {
        self.written
    }

    /// Whether no row was added yet.
    pub fn is_empty(&self) -> bool {
        self.written == 0
    }

    /// Completes the file and gives it its name; returns the number of rows.
    ///
    /// # Errors
    /// As [`RowWriter::write`].
    pub fn finish(mut self) -> Result<u64, TableError> {
        self.flush()?;
        if let Some(writer) = self.writer.take() {
            let done = writer.into_inner().map_err(|e| TableError::new(&self.path, e));
            if let Err(error) = done.and_then(|file| publish(&file, &self.partial, &self.path)) {
                // Nothing was promised for a table that was not finished.
                let _ = std::fs::remove_file(&self.partial);
                return Err(error);
            }
        }
        Ok(self.written)
    }

    fn flush(&mut self) -> Result<(), TableError> {
        let Some(writer) = self.writer.as_mut().filter(|_| !self.rows.is_empty()) else { return Ok(()) };
        let batch =
            serde_arrow::to_record_batch(&self.fields, &self.rows).map_err(|e| TableError::new(&self.path, e))?;
        self.rows.clear();
        writer.write(&batch).map_err(|e| TableError::new(&self.path, e))
    }
}

impl<T> Drop for RowWriter<T> {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            // Nothing was promised for a table that was not finished.
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}
