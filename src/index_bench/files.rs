//! Files of vectors: `.npy` (float32, two dimensions), `.fvecs`, `.parquet` (a column `vector`, a list of float32).

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::domain::{ItemVectors, UnitVector};
use crate::index::{IndexError, VectorSource, Visit};
use crate::tables;

/// Rows read at a time.
const ROWS_A_CHUNK: usize = 8_192;
/// Longest header of a `.npy` file that is read.
const MAX_HEADER: usize = 1 << 16;

/// A file of vectors, read some rows at a time.
#[derive(Debug)]
pub struct VectorFile {
    path: PathBuf,
    kind: Kind,
    rows: usize,
    dim: usize,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Rows begin here.
    Npy(u64),
    Fvecs,
    Parquet,
}

/// A row of a Parquet file of vectors.
#[derive(serde::Deserialize)]
struct VectorRow {
    vector: Vec<f32>,
}

impl VectorFile {
    /// Opens a file by its extension and finds out how much it holds.
    ///
    /// # Errors
    /// It cannot be read, or is not what its extension says.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        let refuse = |message: String| fault(path, message);
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let mut file = File::open(path).map_err(|e| refuse(e.to_string()))?;
        let length = file.metadata().map_err(|e| refuse(e.to_string()))?.len();
        let (kind, rows, dim) = match extension {
            "npy" => npy_header(&mut file, length).map_err(refuse)?,
            "fvecs" => {
                let mut dim = [0; 4];
                file.read_exact(&mut dim).map_err(|_| refuse("is cut short".into()))?;
                let dim = u32::from_le_bytes(dim) as usize;
                let row = 4 * (dim as u64 + 1);
                if dim == 0 || length % row != 0 {
                    return Err(refuse(format!("{length} bytes are no whole rows of dimension {dim}")));
                }
                (Kind::Fvecs, (length / row) as usize, dim)
            }
            "parquet" => {
                let (mut rows, mut dim) = (0, 0);
                for row in parquet_rows(path)? {
                    dim = row?.vector.len();
                    rows += 1;
                }
                (Kind::Parquet, rows, dim)
            }
            _ => return Err(refuse("is neither .npy, .fvecs nor .parquet".into())),
        };
        Ok(Self { path: path.to_owned(), kind, rows, dim })
    }

    /// All of it; every row must be of length 1 within 0.1 %.
    ///
    /// # Errors
    /// It cannot be read, or a row is not finite or of another length.
    pub fn vectors(&mut self) -> Result<ItemVectors, IndexError> {
        let mut data = Vec::new();
        self.read(&mut |_, rows| {
            data.extend_from_slice(rows);
            Ok(())
        })?;
        ItemVectors::from_raw(data, self.dim.max(1)).map_err(|e| fault(&self.path, e.to_string()))
    }

    /// All of it as queries.
    ///
    /// # Errors
    /// As [`VectorFile::vectors`].
    pub fn queries(&mut self) -> Result<Vec<UnitVector>, IndexError> {
        let (vectors, path) = (self.vectors()?, self.path.clone());
        let query = |row| UnitVector::new(vectors.row(row).to_vec(), vectors.dim());
        (0..vectors.len()).map(query).collect::<Result<_, _>>().map_err(|e| fault(&path, e.to_string()))
    }

    /// Reads rows of `skip` bytes and `dim` numbers.
    fn read_numbers(&self, start: u64, skip: usize, visit: Visit<'_>) -> Result<(), IndexError> {
        let refuse = |e: io::Error| fault(&self.path, e.to_string());
        let mut file = BufReader::with_capacity(1 << 20, File::open(&self.path).map_err(refuse)?);
        file.seek(SeekFrom::Start(start)).map_err(refuse)?;
        let mut bytes = vec![0u8; 4 * self.dim];
        let mut numbers = Vec::with_capacity(ROWS_A_CHUNK * self.dim);
        for row in 0..self.rows {
            let mut dim = [0; 4];
            file.read_exact(&mut dim[..skip]).map_err(refuse)?;
            if skip > 0 && u32::from_le_bytes(dim) as usize != self.dim {
                return Err(fault(&self.path, format!("row {row} has another dimension than the first")));
            }
            file.read_exact(&mut bytes).map_err(refuse)?;
            numbers.extend(bytes.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)));
            self.hand_over(row, &mut numbers, &mut *visit)?;
        }
        Ok(())
    }

    /// Hands a full chunk, or the last one, to `visit`.
    fn hand_over(&self, row: usize, numbers: &mut Vec<f32>, visit: Visit<'_>) -> Result<(), IndexError> {
        let held = numbers.len() / self.dim.max(1);
        if held == ROWS_A_CHUNK || row + 1 == self.rows {
            visit(row + 1 - held, numbers)?;
            numbers.clear();
        }
        Ok(())
    }
}

impl VectorSource for VectorFile {
    fn rows(&self) -> usize {
        self.rows
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn read(&mut self, visit: Visit<'_>) -> Result<(), IndexError> {
        match self.kind {
            Kind::Npy(start) => self.read_numbers(start, 0, visit),
            Kind::Fvecs => self.read_numbers(0, 4, visit),
            Kind::Parquet => {
                let mut numbers = Vec::with_capacity(ROWS_A_CHUNK * self.dim);
                for (row, vector) in parquet_rows(&self.path)?.enumerate() {
                    let vector = vector?.vector;
                    if vector.len() != self.dim || row >= self.rows {
                        return Err(fault(&self.path, format!("row {row} has another dimension than the last")));
                    }
                    numbers.extend(vector);
                    self.hand_over(row, &mut numbers, &mut *visit)?;
                }
                Ok(())
            }
        }
    }
}

fn parquet_rows(path: &Path) -> Result<impl Iterator<Item = Result<VectorRow, IndexError>>, IndexError> {
    let path = path.to_owned();
    let rows = tables::read_rows::<VectorRow>(&path).map_err(|e| fault(&path, e.fault.to_string()))?;
    Ok(rows.map(move |row| row.map_err(|e| fault(&path, e.fault.to_string()))))
}

fn npy_header(file: &mut File, length: u64) -> Result<(Kind, usize, usize), String> {
    let mut start = [0u8; 10];
    file.read_exact(&mut start).map_err(|_| "is cut short".to_owned())?;
    if !start.starts_with(b"\x93NUMPY\x01") {
        return Err("is no .npy file of version 1".into());
    }
    let bytes = usize::from(u16::from_le_bytes([start[8], start[9]])).min(MAX_HEADER);
    let mut header = vec![0u8; bytes];
    file.read_exact(&mut header).map_err(|_| "is cut short".to_owned())?;
    let header = String::from_utf8_lossy(&header);
    if !header.contains("'<f4'") || !header.contains("'fortran_order': False") {
        return Err("must hold float32 in C order".into());
    }
    let shape = header.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')')).map(|(shape, _)| shape);
    let numbers: Vec<usize> =
        shape.unwrap_or_default().split(',').filter_map(|number| number.trim().parse().ok()).collect();
    let [rows, dim] = numbers[..] else { return Err("must have two dimensions".into()) };
    let start = 10 + bytes as u64;
    let expected =
        (rows as u64).checked_mul(dim as u64).and_then(|n| n.checked_mul(4)).and_then(|n| n.checked_add(start));
    if expected != Some(length) || dim == 0 {
        return Err(format!("{length} bytes do not fit {rows} rows of dimension {dim}"));
    }
    Ok((Kind::Npy(start), rows, dim))
}

/// Writes rows as `.npy`.
///
/// # Errors
/// The file cannot be written.
pub fn write_npy<'a>(path: &Path, rows: usize, dim: usize, vectors: impl Iterator<Item = &'a [f32]>) -> io::Result<()> {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    header.push_str(&" ".repeat(63 - (10 + header.len()) % 64));
    header.push('\n');
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(b"\x93NUMPY\x01\x00")?;
    file.write_all(&(header.len() as u16).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    for vector in vectors {
        vector.iter().try_for_each(|v| file.write_all(&v.to_le_bytes()))?;
    }
    file.into_inner()?.sync_all()
}

fn fault(path: &Path, message: String) -> IndexError {
    IndexError::File { file: path.display().to_string(), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::testing::random;
    use crate::tables::{Column, RowWriter, Type};

    #[derive(serde::Serialize, Clone)]
    struct Out {
        vector: Vec<f32>,
    }

    #[test]
    fn every_format_gives_the_same_rows() {
        let dir = tempfile::tempdir().unwrap();
        let vectors = random(9_000, 6, 5, 0.5, 1);
        let rows = || vectors.as_slice().chunks_exact(6);
        write_npy(&dir.path().join("v.npy"), 9_000, 6, rows()).unwrap();
        let mut fvecs = Vec::new();
        for row in rows() {
            fvecs.extend(6u32.to_le_bytes());
            row.iter().for_each(|v| fvecs.extend(v.to_le_bytes()));
        }
        std::fs::write(dir.path().join("v.fvecs"), fvecs).unwrap();
        let mut parquet =
            RowWriter::create(&dir.path().join("v.parquet"), &[Column::required("vector", Type::ListFloat32)]).unwrap();
        rows().for_each(|row| parquet.write(Out { vector: row.to_vec() }).unwrap());
        parquet.finish().unwrap();
        for name in ["v.npy", "v.fvecs", "v.parquet"] {
            let mut file = VectorFile::open(&dir.path().join(name)).unwrap();
            assert_eq!((file.rows(), file.dim()), (9_000, 6), "{name}");
            assert_eq!(file.vectors().unwrap().as_slice(), vectors.as_slice(), "{name}");
        }
    }

    #[test]
    fn what_is_no_file_of_vectors_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            VectorFile::open(&path).unwrap_err().to_string()
        };
        assert!(refused("v.txt", b"").contains("neither"));
        assert!(refused("v.npy", b"\x93NUMPY").contains("cut short"));
        assert!(refused("v.npy", b"\x93NUMPY\x02\x00\x00\x00").contains("version 1"));
        assert!(refused("v.fvecs", &[2, 0, 0, 0, 1]).contains("whole rows"));
        assert!(refused("v.parquet", b"PAR1").contains("v.parquet"));
        write_npy(&dir.path().join("v.npy"), 2, 2, [[0.6, 0.8], [0.0, 0.5]].iter().map(|row| &row[..])).unwrap();
        let fault = VectorFile::open(&dir.path().join("v.npy")).unwrap().vectors().unwrap_err().to_string();
        assert!(fault.contains("row 1"), "{fault}");
    }
}
