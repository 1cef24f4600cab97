//! Text with delimiters. A row is a line: one broken quote costs one row, not the rest of the file.

use std::io::{Cursor, SeekFrom};
use std::path::Path;

use csv::{Position, Reader, ReaderBuilder, StringRecord};

use super::ImportError;
use super::cell::Cell;
use super::fields::{Cells, EachRow, Field};
use super::lines::{Line, Lines};
use super::mapping::{Columns, Dialect};
use super::play::Fault;
use super::report::Reason;

/// Reads the mapped columns of every line; blank lines are none.
///
/// # Errors
/// A file that cannot be read, or whose header lacks a mapped column.
pub(super) fn read(
    path: &Path,
    columns: &Columns,
    dialect: &Dialect,
    each: &mut EachRow<'_>,
) -> Result<(), ImportError> {
    let mut lines = Lines::open(path)?;
    let mut splitter = Splitter::new(dialect);
    let header = match &dialect.header {
        Some(names) => names.clone(),
        None => match lines.next()? {
            Some(line) => splitter.header(&line, path)?,
            None => return Ok(()),
        },
    };
    let wanted = places(&header, columns, path)?;
    let mut cells = Cells::new();
    while let Some(line) = lines.next()? {
        if line.text.is_some_and(|text| text.trim_ascii().is_empty()) {
            continue;
        }
        let row = match splitter.split(&line) {
            Ok(record) if record.len() == header.len() => {
                for (field, place) in &wanted {
                    cells.set(*field, Cell::Text(record.get(*place).unwrap_or_default().to_owned()));
                }
                Ok(&cells)
            }
            Ok(record) => Err(format!("{} values, the header has {}", record.len(), header.len())),
            Err(detail) => Err(detail),
        };
        each(line.number, row.map_err(|detail| Fault::new(Reason::Malformed, detail)), line.bytes)?;
    }
    Ok(())
}

/// The header of a file, for formats that tell their variants apart by it.
///
/// # Errors
/// A file that cannot be read or has no text in it.
pub(super) fn header(path: &Path, dialect: &Dialect) -> Result<Vec<String>, ImportError> {
    match Lines::open(path)?.next()? {
        Some(line) => Splitter::new(dialect).header(&line, path),
        None => Err(ImportError::file(path, "is empty")),
    }
}

fn places(header: &[String], columns: &Columns, path: &Path) -> Result<Vec<(Field, usize)>, ImportError> {
    let place = |(field, name): (&Field, &String)| match header.iter().position(|column| column == name) {
        Some(place) => Ok((*field, place)),
        None => Err(missing(path, *field, name, header)),
    };
    columns.iter().map(place).collect()
}

/// The error for a column that a file lacks.
pub(super) fn missing(path: &Path, field: Field, column: &str, there: &[String]) -> ImportError {
    let there = there.join(", ").chars().take(400).collect::<String>();
    ImportError::file(path, format!("no column {column:?} for `{}`; there are: {there}", field.as_str()))
}

/// Splits lines into values, each on its own, whatever an earlier one left open.
struct Splitter {
    reader: Reader<Cursor<Vec<u8>>>,
    record: StringRecord,
}

impl Splitter {
    fn new(dialect: &Dialect) -> Self {
        let delimiter = u8::try_from(dialect.delimiter).unwrap_or(b',');
        let reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .quoting(dialect.quotes)
            .has_headers(false)
            .flexible(true)
            .from_reader(Cursor::new(Vec::new()));
        Self { reader, record: StringRecord::new() }
    }

    fn header(&mut self, line: &Line<'_>, path: &Path) -> Result<Vec<String>, ImportError> {
        let record = self.split(line).map_err(|detail| ImportError::file(path, format!("header: {detail}")))?;
        Ok(record.iter().map(|name| name.trim().to_owned()).collect())
    }

    fn split(&mut self, line: &Line<'_>) -> Result<&StringRecord, String> {
        let text = line.text.ok_or("a line of more than a mebibyte")?;
        let buffer = self.reader.get_mut().get_mut();
        buffer.clear();
        buffer.extend_from_slice(text);
        self.reader.seek_raw(SeekFrom::Start(0), Position::new()).map_err(|e| e.to_string())?;
        match self.reader.read_record(&mut self.record) {
            Ok(true) => Ok(&self.record),
            Ok(false) => Err("no values".into()),
            Err(_) => Err("not UTF-8 text".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8], dialect: &Dialect) -> Vec<(u64, Result<String, String>)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.csv");
        std::fs::write(&path, text).unwrap();
        let columns = Columns::from([(Field::Title, "b".into())]);
        let mut rows = Vec::new();
        read(&path, &columns, dialect, &mut |at, cells, _| {
            let value = cells.map(|cells| format!("{cells:?}")).map_err(|fault| fault.detail);
            rows.push((at, value.map(|all| all.split("Text(").nth(1).unwrap().split(')').next().unwrap().to_owned())));
            Ok(())
        })
        .unwrap();
        rows
    }

    #[test]
    fn a_broken_line_costs_itself_alone() {
        let text = b"\xef\xbb\xbfa,b,c\n1,\"x, \"\"y\"\"\",3\n\n1,\"open,3\n1,z,3\n1,\xff,3\n1,2\n1,12\" mix,3\r\n";
        let rows = rows(text, &Dialect::default());
        let good = |text: &str| Ok(format!("{text:?}"));
        assert_eq!(rows[0], (2, good("x, \"y\"")));
        assert_eq!(rows[1], (4, Err("2 values, the header has 3".into())));
        assert_eq!(rows[2], (5, good("z")));
        assert_eq!(rows[3], (6, Err("not UTF-8 text".into())));
        assert_eq!(rows[4], (7, Err("2 values, the header has 3".into())));
        assert_eq!(rows[5], (8, good("12\" mix")));
        assert_eq!(rows.len(), 6);
    }

    #[test]
    fn a_file_without_a_header_is_given_one() {
        let header = Some(vec!["a".into(), "b".into()]);
        let rows = rows(b"1\t\"x\n", &Dialect { delimiter: '\t', quotes: false, header });
        assert_eq!(rows, [(1, Ok("\"\\\"x\"".into()))]);
    }

    #[test]
    fn a_missing_column_is_named_with_those_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.csv");
        std::fs::write(&path, "a,c\n").unwrap();
        let columns = Columns::from([(Field::Title, "b".into())]);
        let fault = read(&path, &columns, &Dialect::default(), &mut |_, _, _| Ok(())).unwrap_err().to_string();
        assert!(fault.contains("no column \"b\" for `title`; there are: a, c"), "{fault}");
    }
}
