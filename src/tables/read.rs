//! Reading a table batch by batch.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{FooterTail, ParquetMetaDataReader};

use super::{TableError, contained};
use crate::store::Stored;

/// Rows decoded at once.
const BATCH_ROWS: usize = 8_192;
/// Bytes at the end of a file in which its notes mostly are.
const FOOTER_BYTES: usize = 64 << 10;
/// Bytes behind the metadata of a file: their length and a word.
const TAIL_BYTES: usize = 8;

/// Reads the rows of a table; columns that `T` does not name are passed over.
///
/// # Errors
/// At once when the file is missing or no Parquet; from the iterator when a batch is damaged or a row does not fit `T`.
/// After an error the iterator ends.
pub fn read_rows<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Rows<T>, TableError> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| TableError::new(&name, error))?;
    Rows::new(name, file)
}

/// The same of an object.
///
/// # Errors
/// As [`read_rows`].
pub fn stored_rows<T: serde::de::DeserializeOwned>(object: &Stored) -> Result<Rows<T>, TableError> {
    Rows::new(object.name(), object.open()?)
}

/// Opens a file for its batches.
pub(super) fn batches(name: &str, file: File, rows: usize) -> Result<ParquetRecordBatchReader, TableError> {
    contained(name, || {
        ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|builder| builder.with_batch_size(rows).build())
            .map_err(|error| TableError::new(name, error))
    })
}

/// The notes in a table's key-value metadata ([`super::RowWriter::note`]). Reads the end of the object only.
///
/// # Errors
/// When the object is missing or no Parquet.
pub fn read_notes(object: &Stored) -> Result<BTreeMap<String, String>, TableError> {
    let name = object.name();
    let mut tail = object.tail(FOOTER_BYTES as u64)?;
    contained(&name, || {
        let fault = |error: parquet::errors::ParquetError| TableError::new(&name, error);
        let ends = |tail: &[u8]| tail.last_chunk().map(FooterTail::try_new);
        let footer = ends(&tail).ok_or_else(|| TableError::new(&name, "is no Parquet"))?.map_err(fault)?;
        let bytes = footer.metadata_length().saturating_add(TAIL_BYTES);
        if bytes > tail.len() {
            tail = object.tail(bytes as u64)?;
        }
        let from = tail.len().checked_sub(bytes).ok_or_else(|| TableError::new(&name, "is cut off"))?;
        let meta = ParquetMetaDataReader::decode_metadata(&tail[from..tail.len() - TAIL_BYTES]).map_err(fault)?;
        let notes = meta.file_metadata().key_value_metadata().into_iter().flatten();
        Ok(notes.filter_map(|note| Some((note.key.clone(), note.value.clone()?))).collect())
    })
}

/// The rows of a table, one after the other.
pub struct Rows<T> {
    name: String,
    reader: Option<ParquetRecordBatchReader>,
    batch: std::vec::IntoIter<T>,
    row: usize,
}

impl<T: serde::de::DeserializeOwned> Rows<T> {
    fn new(name: String, file: File) -> Result<Self, TableError> {
        let reader = batches(&name, file, BATCH_ROWS)?;
        Ok(Self { name, reader: Some(reader), batch: Vec::new().into_iter(), row: 0 })
    }

    /// As the table was named.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Decodes the next batch; `false` at the end.
    fn next_batch(&mut self) -> Result<bool, TableError> {
        let Some(reader) = self.reader.as_mut() else { return Ok(false) };
        let Some(batch) =
            contained(&self.name, || reader.next().transpose().map_err(|e| TableError::new(&self.name, e)))?
        else {
            return Ok(false);
        };
        let rows: Vec<T> = contained(&self.name, || {
            serde_arrow::from_record_batch(&batch)
                .map_err(|e| TableError::new(&self.name, format!("rows from {}: {e}", self.row)))
        })?;
        self.row += rows.len();
        self.batch = rows.into_iter();
        Ok(true)
    }
}

impl<T: serde::de::DeserializeOwned> Iterator for Rows<T> {
    type Item = Result<T, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.batch.next() {
                return Some(Ok(row));
            }
            match self.next_batch() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.reader = None;
                    return Some(Err(error));
                }
            }
        }
    }
}
