//! A text file line by line in bounded memory: one line is one row, so that one bad line costs one row.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::ImportError;

/// Longest line that is read, bytes.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Reads lines.
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
}

/// One line.
pub(super) struct Line<'a> {
    /// Its number, from 1.
    pub(super) number: u64,
    /// Its text with the line break, or nothing where it is too long.
    pub(super) text: Option<&'a [u8]>,
    /// Bytes of the file read so far.
    pub(super) bytes: u64,
}

impl Lines {
    /// Opens a file.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(super) fn open(path: &Path) -> Result<Self, ImportError> {
        let file = File::open(path).map_err(|e| ImportError::file(path, e))?;
        let reader = BufReader::with_capacity(1 << 16, file);
        Ok(Self { path: path.to_owned(), reader, line: Vec::new(), number: 0, bytes: 0 })
    }

    /// The next line; a mark of byte order before the first one is passed over.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, ImportError> {
        self.line.clear();
        let fault = |e| ImportError::file(&self.path, e);
        let read = (&mut self.reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut self.line).map_err(fault)? as u64;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.bytes += read;
        let whole = read < MAX_LINE_BYTES || self.line.ends_with(b"\n");
        if !whole {
            let skipped = self.reader.skip_until(b'\n').map_err(|e| ImportError::file(&self.path, e))?;
            self.bytes += skipped as u64;
        }
        let text =
            if self.number == 1 { self.line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.line) } else { &self.line };
        Ok(Some(Line { number: self.number, text: whole.then_some(text), bytes: self.bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_line_costs_one_row() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let long = "y".repeat(3 << 20);
        std::fs::write(&path, format!("\u{feff}a\n{long}\nb")).unwrap();
        let mut lines = Lines::open(&path).unwrap();
        let mut seen = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            seen.push((line.number, line.text.map(<[u8]>::to_vec), line.bytes));
        }
        let end = (3 << 20) + 7;
        assert_eq!(seen, [(1, Some(b"a\n".to_vec()), 5), (2, None, end - 1), (3, Some(b"b".to_vec()), end)]);
    }
}
