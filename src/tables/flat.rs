//! Tables without lists, written and read column by column: for what comes by the million.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, DictionaryArray, Float32Array, Int32Array, RecordBatch, StringArray, cast::AsArray,
};
use arrow::datatypes::{Float32Type, Int32Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::read::batches;
use super::schema::fields;
use super::{Closed, Column, TableError, Type, contained};
use crate::store::{Draft, Stored};

/// Rows decoded at once.
const BATCH_ROWS: usize = 65_536;

/// Values of one column.
#[derive(Debug, Clone, PartialEq)]
pub enum Flat {
    /// `Type::Float32`.
    Float32(Vec<f32>),
    /// `Type::Float32`, may be null.
    OptionalFloat32(Vec<Option<f32>>),
    /// `Type::Int32`.
    Int32(Vec<i32>),
    /// `Type::Int32`, may be null.
    OptionalInt32(Vec<Option<i32>>),
    /// `Type::Words`: row i says `words[keys[i]]`.
    Words {
        /// A place in `words` each row.
        keys: Vec<i32>,
        /// Distinct texts.
        words: Vec<String>,
    },
}

/// How the values of a column are laid out before they are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// By a dictionary: for text that repeats.
    Distinct,
    /// As they are: for numbers that repeat, which compression finds sooner than a dictionary does.
    Plain,
    /// First bytes of all numbers, then second bytes, and so on: for numbers that hardly repeat.
    Split,
}

/// Compression of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Zstandard at a level, 1..=22.
    Zstd(i32),
    /// Snappy.
    Snappy,
    /// None.
    Plain,
}

/// Writes batches of columns to a draft; a writer that is dropped before [`FlatWriter::close`] leaves no table behind.
pub struct FlatWriter {
    name: String,
    schema: Arc<Schema>,
    rows: u64,
    writer: ArrowWriter<Draft>,
}

impl FlatWriter {
    /// Opens the table. `group_rows`: rows of a row group, encoded in memory until it is full.
    ///
    /// # Errors
    /// The level is none of Zstandard's.
    pub fn on(
        draft: Draft,
        columns: &[(Column, Coding)],
        packing: Packing,
        group_rows: usize,
    ) -> Result<Self, TableError> {
        let name = draft.name();
        let names: Vec<Column> = columns.iter().map(|(column, _)| *column).collect();
        let schema = Arc::new(Schema::new(fields(&names)));
        let compression = match packing {
            Packing::Zstd(level) => {
                Compression::ZSTD(ZstdLevel::try_new(level).map_err(|e| TableError::new(&name, e))?)
            }
            Packing::Snappy => Compression::SNAPPY,
            Packing::Plain => Compression::UNCOMPRESSED,
        };
        let mut properties = WriterProperties::builder()
            .set_compression(compression)
            .set_max_row_group_row_count(Some(group_rows))
            .set_statistics_enabled(EnabledStatistics::None)
            .set_created_by("segue".into());
        for (Column(column, kind, _), coding) in columns {
            let column = ColumnPath::from(*column);
            if *kind != Type::Words {
                let encoding = if *coding == Coding::Split { Encoding::BYTE_STREAM_SPLIT } else { Encoding::PLAIN };
                properties = properties.set_column_encoding(column.clone(), encoding);
            }
            properties = properties.set_column_dictionary_enabled(column, *coding == Coding::Distinct);
        }
        let writer = ArrowWriter::try_new(draft, Arc::clone(&schema), Some(properties.build()))
            .map_err(|e| TableError::new(&name, e))?;
        Ok(Self { name, schema, rows: 0, writer })
    }

    /// Adds a batch; all columns of the table, in its order, of one length.
    ///
    /// # Errors
    /// If they are not that, or the disk is full.
    pub fn write(&mut self, columns: Vec<Flat>) -> Result<(), TableError> {
        let fault = |e: &dyn std::fmt::Display| TableError::new(&self.name, e);
        let arrays: Vec<ArrayRef> = columns.into_iter().map(array).collect::<Result<_, _>>().map_err(|e| fault(&e))?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(|e| fault(&e))?;
        self.rows += batch.num_rows() as u64;
        self.writer.write(&batch).map_err(|e| TableError::new(&self.name, e))
    }

    /// Rows added so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Completes the table without a name.
    ///
    /// # Errors
    /// As [`FlatWriter::write`].
    pub fn close(self) -> Result<Closed, TableError> {
        let draft = self.writer.into_inner().map_err(|e| TableError::new(&self.name, e))?;
        Ok(Closed::new(draft, self.rows))
    }
}

fn array(values: Flat) -> Result<ArrayRef, arrow::error::ArrowError> {
    Ok(match values {
        Flat::Float32(values) => Arc::new(Float32Array::from(values)),
        Flat::OptionalFloat32(values) => Arc::new(Float32Array::from(values)),
        Flat::Int32(values) => Arc::new(Int32Array::from(values)),
        Flat::OptionalInt32(values) => Arc::new(Int32Array::from(values)),
        Flat::Words { keys, words } => {
            Arc::new(DictionaryArray::try_new(Int32Array::from(keys), Arc::new(StringArray::from(words)))?)
        }
    })
}

/// Reads a table of these columns batch by batch, each batch one [`Flat`] a column in the given order. A column that may be null
/// and that the table lacks, as one of an earlier version does, is null everywhere.
///
/// # Errors
/// At once when the file is missing, no Parquet, or lacks a column; from the iterator when a batch is damaged.
pub fn read_flat(
    object: &Stored,
    columns: Vec<Column>,
) -> Result<impl Iterator<Item = Result<Vec<Flat>, TableError>> + use<>, TableError> {
    let name = object.name();
    let mut reader = Some(batches(&name, object.open()?, BATCH_ROWS)?);
    Ok(std::iter::from_fn(move || match next_batch(&name, reader.as_mut()?, &columns) {
        Ok(batch) => batch.map(Ok),
        Err(error) => {
            reader = None;
            Some(Err(error))
        }
    }))
}

fn next_batch(
    name: &str,
    reader: &mut ParquetRecordBatchReader,
    columns: &[Column],
) -> Result<Option<Vec<Flat>>, TableError> {
    contained(name, || {
        let Some(batch) = reader.next().transpose().map_err(|e| TableError::new(name, e))? else { return Ok(None) };
        let values = columns.iter().map(|column| {
            let fault = || TableError::new(name, format!("no column {} of type {:?}", column.0, column.1));
            let given = batch.column_by_name(column.0);
            let found = given.map_or_else(|| absent(*column, batch.num_rows()), |array| values(array, *column));
            found.ok_or_else(fault)
        });
        values.collect::<Result<Vec<_>, _>>().map(Some)
    })
}

/// The values of a column that is not there; `None` where it must be.
fn absent(Column(_, kind, optional): Column, rows: usize) -> Option<Flat> {
    match (kind, optional) {
        (Type::Int32, true) => Some(Flat::OptionalInt32(vec![None; rows])),
        (Type::Float32, true) => Some(Flat::OptionalFloat32(vec![None; rows])),
        _ => None,
    }
}

fn values(array: &ArrayRef, Column(_, kind, optional): Column) -> Option<Flat> {
    if !optional && array.null_count() > 0 {
        return None;
    }
    Some(match (kind, optional) {
        (Type::Float32, false) => Flat::Float32(array.as_primitive_opt::<Float32Type>()?.values().to_vec()),
        (Type::Float32, true) => Flat::OptionalFloat32(array.as_primitive_opt::<Float32Type>()?.iter().collect()),
        (Type::Int32, false) => Flat::Int32(array.as_primitive_opt::<Int32Type>()?.values().to_vec()),
        (Type::Int32, true) => Flat::OptionalInt32(array.as_primitive_opt::<Int32Type>()?.iter().collect()),
        (Type::Words, false) => {
            let array = array.as_dictionary_opt::<Int32Type>()?;
            let words = array.values().as_string_opt::<i32>()?;
            Flat::Words {
                keys: array.keys().values().to_vec(),
                words: words.iter().map(|word| word.unwrap_or_default().to_owned()).collect(),
            }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [(Column, Coding); 5] = [
        (Column::required("who", Type::Words), Coding::Distinct),
        (Column::required("f", Type::Float32), Coding::Split),
        (Column::optional("g", Type::Float32), Coding::Distinct),
        (Column::required("i", Type::Int32), Coding::Plain),
        (Column::optional("j", Type::Int32), Coding::Split),
    ];

    fn batch(rows: i32) -> Vec<Flat> {
        vec![
            Flat::Words { keys: (0..rows).map(|row| row % 2).collect(), words: vec!["a".into(), "b".into()] },
            Flat::Float32((0..rows).map(|row| row as f32 / 7.0).collect()),
            Flat::OptionalFloat32((0..rows).map(|row| (row % 3 == 0).then_some(row as f32)).collect()),
            Flat::Int32((0..rows).collect()),
            Flat::OptionalInt32((0..rows).map(|row| (row % 5 != 0).then_some(-row)).collect()),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = crate::store::open(dir.path()).unwrap();
        for (at, packing) in [Packing::Zstd(1), Packing::Snappy, Packing::Plain].into_iter().enumerate() {
            let draft = Draft::begin(&store, &format!("{at}/t.parquet")).unwrap();
            let mut writer = FlatWriter::on(draft, &COLUMNS, packing, 400).unwrap();
            writer.write(batch(300)).unwrap();
            writer.write(batch(300)).unwrap();
            assert_eq!(writer.close().unwrap().publish().unwrap().rows, 600);
            let object = Stored::list(&store, &at.to_string()).unwrap().remove(0);
            let names: Vec<Column> = COLUMNS.iter().map(|(column, _)| *column).collect();
            let read: Vec<_> = read_flat(&object, names).unwrap().collect::<Result<_, _>>().unwrap();
            assert_eq!(read.len(), 1);
            let text = |flat: &Flat| match flat {
                Flat::Words { keys, words } => keys.iter().map(|key| words[*key as usize].clone()).collect::<Vec<_>>(),
                other @ (Flat::Float32(_) | Flat::OptionalFloat32(_) | Flat::Int32(_) | Flat::OptionalInt32(_)) => {
                    panic!("no words: {other:?}")
                }
            };
            assert_eq!(text(&read[0][0]), [text(&batch(300)[0]), text(&batch(300)[0])].concat());
            let twice = |at: usize| match batch(300).swap_remove(at) {
                Flat::Float32(v) => Flat::Float32([v.clone(), v].concat()),
                Flat::OptionalFloat32(v) => Flat::OptionalFloat32([v.clone(), v].concat()),
                Flat::Int32(v) => Flat::Int32([v.clone(), v].concat()),
                Flat::OptionalInt32(v) => Flat::OptionalInt32([v.clone(), v].concat()),
                words @ Flat::Words { .. } => words,
            };
            (1..5).for_each(|at| assert_eq!(read[0][at], twice(at)));
            let missing = read_flat(&object, vec![Column::required("g", Type::Float32)]).unwrap().next().unwrap();
            assert!(missing.unwrap_err().fault.contains("no column g"), "a null where none may be");
            let lacks = |column| read_flat(&object, vec![column]).unwrap().next().unwrap();
            assert_eq!(lacks(Column::optional("new", Type::Int32)), Ok(vec![Flat::OptionalInt32(vec![None; 600])]));
            assert!(lacks(Column::required("new", Type::Int32)).is_err());
        }
    }

    #[test]
    fn columns_that_do_not_fit_and_unfinished_tables_leave_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let draft = Draft::file(&dir.path().join("t.parquet")).unwrap();
        let mut writer = FlatWriter::on(draft, &COLUMNS, Packing::Plain, 9).unwrap();
        let mut short = batch(4);
        short[1] = Flat::Float32(vec![1.0]);
        assert!(writer.write(short).is_err() && writer.write(batch(4).split_off(1)).is_err());
        drop(writer);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
