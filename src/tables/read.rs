//! Reading a table batch by batch.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::{TableError, contained};

/// Rows decoded at once.
const BATCH_ROWS: usize = 8_192;

/// Reads the rows of a table; columns that `T` does not name are passed over.
///
/// # Errors
/// At once when the file is missing or no Parquet; from the iterator when a batch is damaged or a row does not fit `T`.
/// After an error the iterator ends.
pub fn read_rows<T: serde::de::DeserializeOwned>(
    path: &Path,
) -> Result<impl Iterator<Item = Result<T, TableError>> + use<T>, TableError> {
    let path = path.to_owned();
    let reader = contained(&path, || {
        let file = File::open(&path).map_err(|e| TableError::new(&path, e))?;
        ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|b| b.with_batch_size(BATCH_ROWS).build())
            .map_err(|e| TableError::new(&path, e))
    })?;
    Ok(Rows { path, reader: Some(reader), batch: Vec::new().into_iter(), row: 0 })
}

/// The notes in a table's key-value metadata ([`super::RowWriter::note`]). Reads the footer only.
///
/// # Errors
/// When the file is missing or no Parquet.
pub fn read_notes(path: &Path) -> Result<BTreeMap<String, String>, TableError> {
    contained(path, || {
        let file = File::open(path).map_err(|e| TableError::new(path, e))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| TableError::new(path, e))?;
        let notes = reader.metadata().file_metadata().key_value_metadata().into_iter().flatten();
        Ok(notes.filter_map(|note| Some((note.key.clone(), note.value.clone()?))).collect())
    })
}

struct Rows<T> {
    path: PathBuf,
    reader: Option<ParquetRecordBatchReader>,
    batch: std::vec::IntoIter<T>,
    row: usize,
}

impl<T: serde::de::DeserializeOwned> Rows<T> {
    /// Decodes the next batch; `false` at the end.
    fn next_batch(&mut self) -> Result<bool, TableError> {
        let Some(reader) = self.reader.as_mut() else { return Ok(false) };
        let Some(batch) =
            contained(&self.path, || reader.next().transpose().map_err(|e| TableError::new(&self.path, e)))?
        else {
            return Ok(false);
        };
        let rows: Vec<T> = contained(&self.path, || {
            serde_arrow::from_record_batch(&batch)
                .map_err(|e| TableError::new(&self.path, format!("rows from {}: {e}", self.row)))
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
