//! Parquet of any columns.

use std::collections::BTreeMap;
use std::path::Path;

use super::ImportError;
use super::cell::Cell;
use super::delimited::missing;
use super::fields::{Cells, EachRow};
use super::mapping::Columns;
use crate::tables::read_rows;

/// Reads the mapped columns of every row; integers, floats, booleans, text, dates and times of any width will do.
///
/// Bytes read are not known, so progress stands still within a file.
///
/// # Errors
/// A file that is no Parquet, is damaged, or lacks a mapped column.
pub(super) fn read(path: &Path, columns: &Columns, each: &mut EachRow<'_>) -> Result<(), ImportError> {
    let mut cells = Cells::new();
    for (at, row) in read_rows::<BTreeMap<String, Cell>>(path)?.enumerate() {
        let mut row = row?;
        if at == 0 {
            let there: Vec<String> = row.keys().cloned().collect();
            if let Some((field, name)) = columns.iter().find(|(_, name)| !row.contains_key(*name)) {
                return Err(missing(path, *field, name, &there));
            }
        }
        for (field, name) in columns {
            cells.set(*field, row.remove(name).unwrap_or_default());
        }
        each(at as u64 + 1, Ok(&cells), 0)?;
    }
    Ok(())
}
