//! `item_vectors.bin`: the header `SEGUEVEC`, u32 version, u32 dim, u64 rows, then rows x dim float32, all little-endian.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use memmap2::Mmap;

use crate::domain::ItemVectors;

const MAGIC: &[u8; 8] = b"SEGUEVEC";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 24;

/// Writes the file and makes it durable.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, vectors: &ItemVectors) -> io::Result<()> {
    let mut out = BufWriter::new(File::create_new(path)?);
    out.write_all(MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    out.write_all(&(vectors.dim() as u32).to_le_bytes())?;
    out.write_all(&(vectors.len() as u64).to_le_bytes())?;
    for value in vectors.as_slice() {
        out.write_all(&value.to_le_bytes())?;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// Maps the file, which must hold exactly `rows` unit vectors of `dim`, and reads all of it once. Nothing is allocated.
///
/// # Errors
/// What is wrong with the file.
pub fn read(path: &Path, rows: usize, dim: usize) -> Result<ItemVectors, String> {
    let mut file = File::open(path).map_err(|e| e.to_string())?;
    let mut header = [0u8; HEADER_BYTES];
    file.read_exact(&mut header).map_err(|_| "cut short: no header".to_owned())?;
    check_header(&header, rows, dim)?;
    let numbers = rows.checked_mul(dim).ok_or("too large")?;
    // SAFETY: the file is part of a bundle, which is never changed once written: new versions are written beside it.
    let map = unsafe { Mmap::map(&file) }.map_err(|e| format!("cannot be mapped: {e}"))?;
    let (length, expected) = (map.len() as u64, HEADER_BYTES as u64 + numbers as u64 * 4);
    if length != expected {
        return Err(format!("{length} bytes, expected {expected} for {rows} rows of {dim}"));
    }
    ItemVectors::from_map(map, HEADER_BYTES, dim).map_err(|e| e.to_string())
}

fn check_header(header: &[u8; HEADER_BYTES], rows: usize, dim: usize) -> Result<(), String> {
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if !header.starts_with(MAGIC) {
        return Err("not a vectors file: it does not begin with SEGUEVEC".into());
    }
    if word(8) != VERSION {
        return Err(format!("vectors file of version {}, this build reads {VERSION}", word(8)));
    }
    if word(12) as usize != dim {
        return Err(format!("dimension {}, the manifest says {dim}", word(12)));
    }
    let found = u64::from(word(16)) | u64::from(word(20)) << 32;
    if found != rows as u64 {
        return Err(format!("{found} rows, the manifest says {rows}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> ItemVectors {
        ItemVectors::from_raw(vec![0.6, 0.8, 1.0, 0.0, 0.0, -1.0], 2).unwrap()
    }

    fn error(change: impl FnOnce(&mut Vec<u8>)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v");
        write(&path, &vectors()).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        read(&path, 3, 2).map(|_| ()).unwrap_err()
    }

    #[test]
    fn reads_what_it_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v");
        write(&path, &vectors()).unwrap();
        assert_eq!(read(&path, 3, 2).unwrap().as_slice(), vectors().as_slice());
        assert!(read(&path, 2, 3).unwrap_err().contains("dimension 2"));
        assert!(read(&path, 4, 2).unwrap_err().contains("3 rows"));
        assert!(write(&path, &vectors()).is_err(), "an existing file is not overwritten");
    }

    #[test]
    fn refuses_faults_with_the_row_or_field() {
        assert!(error(|b| b.truncate(10)).contains("cut short"));
        assert!(error(|b| b.truncate(44)).contains("44 bytes, expected 48"));
        assert!(error(|b| b.push(0)).contains("49 bytes"));
        assert!(error(|b| b[0] = b'X').contains("SEGUEVEC"));
        assert!(error(|b| b[8] = 2).contains("version 2"));
        assert!(error(|b| b[24..28].copy_from_slice(&f32::NAN.to_le_bytes())).contains("not finite"));
        assert!(error(|b| b[32..36].copy_from_slice(&2f32.to_le_bytes())).contains("row 1"));
    }
}
