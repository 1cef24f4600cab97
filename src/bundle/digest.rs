//! SHA-256 of files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// Length and lower-case hexadecimal SHA-256 of a file, read once in pieces of 1 MiB.
///
/// # Errors
/// The file cannot be read.
pub fn of_file(path: &Path) -> io::Result<(u64, String)> {
    let (mut file, mut hasher, mut total) = (File::open(path)?, Sha256::new(), 0u64);
    let mut chunk = vec![0u8; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok((total, hex::encode(hasher.finalize()))),
            read => {
                hasher.update(&chunk[..read]);
                total += read as u64;
            }
        }
    }
}

/// Lower-case hexadecimal SHA-256 of bytes in memory.
pub fn of_bytes(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_published_vector_and_with_itself() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_bytes(b"abc"), abc);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        let bytes = vec![7u8; 2 * CHUNK + 3];
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(of_file(&path).unwrap(), (bytes.len() as u64, of_bytes(&bytes)));
    }
}
