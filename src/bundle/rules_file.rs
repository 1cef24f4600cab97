//! `sequential_rules.bin`: the header `SEGUESEQ`, u32 version, u32 zero, u64 tracks, u64 rules, then `tracks + 1` u64
//! positions of the lists, then 16 bytes a rule (u32 successor, float32 next, after, near), all little-endian.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use memmap2::Mmap;

use crate::domain::{RawRule, SequentialRules};

const MAGIC: &[u8; 8] = b"SEGUESEQ";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 32;

/// Writes the file and makes it durable.
///
/// # Errors
/// It cannot be written.
pub(super) fn write(path: &Path, rules: &SequentialRules) -> io::Result<()> {
    let mut out = BufWriter::new(File::create_new(path)?);
    out.write_all(MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    out.write_all(&0u32.to_le_bytes())?;
    out.write_all(&(rules.tracks() as u64).to_le_bytes())?;
    out.write_all(&(rules.rules().len() as u64).to_le_bytes())?;
    for start in rules.starts() {
        out.write_all(&start.to_le_bytes())?;
    }
    for word in rules.rules().iter().flatten() {
        out.write_all(&word.to_le_bytes())?;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// Maps the file, which must hold the lists of exactly `tracks` tracks, and reads all of it once. Nothing is allocated.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn read(path: &Path, tracks: usize) -> Result<SequentialRules, String> {
    let mut file = File::open(path).map_err(|e| e.to_string())?;
    let mut header = [0u8; HEADER_BYTES];
    file.read_exact(&mut header).map_err(|_| "cut short: no header".to_owned())?;
    let rules = check_header(&header, tracks)?;
    // SAFETY: the file is part of a bundle, which is never changed once written: new versions are written beside it.
    let map = unsafe { Mmap::map(&file) }.map_err(|e| format!("cannot be mapped: {e}"))?;
    let expected = (HEADER_BYTES as u128) + (tracks as u128 + 1) * 8 + u128::from(rules) * size_of::<RawRule>() as u128;
    if map.len() as u128 != expected {
        return Err(format!("{} bytes, expected {expected} for {rules} rules of {tracks} tracks", map.len()));
    }
    SequentialRules::from_map(map, HEADER_BYTES, tracks)
}

/// The number of rules.
fn check_header(header: &[u8; HEADER_BYTES], tracks: usize) -> Result<u64, String> {
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    if !header.starts_with(MAGIC) {
        return Err("not a file of rules: it does not begin with SEGUESEQ".into());
    }
    if word(8) != VERSION {
        return Err(format!("rules file of version {}, this build reads {VERSION}", word(8)));
    }
    if long(16) != tracks as u64 {
        return Err(format!("lists of {} tracks, the manifest says {tracks}", long(16)));
    }
    Ok(long(24))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Rule, TrackIx};

    fn rules() -> SequentialRules {
        let rule = |successor| Rule { successor: TrackIx(successor), next: 0.5, after: 0.25, near: 0.125 };
        SequentialRules::new(&[vec![rule(1), rule(2)], Vec::new(), vec![rule(0)]]).unwrap()
    }

    fn error(change: impl FnOnce(&mut Vec<u8>)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r");
        write(&path, &rules()).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        read(&path, 3).map(|_| ()).unwrap_err()
    }

    #[test]
    fn reads_what_it_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r");
        write(&path, &rules()).unwrap();
        let read_back = read(&path, 3).unwrap();
        assert_eq!((read_back.starts(), read_back.rules()), (rules().starts(), rules().rules()));
        assert!(read(&path, 4).map(|_| ()).unwrap_err().contains("lists of 3 tracks"));
        assert!(write(&path, &rules()).is_err(), "an existing file is not overwritten");
    }

    #[test]
    fn refuses_faults_and_says_which() {
        assert!(error(|b| b.truncate(10)).contains("cut short"));
        assert!(error(|b| b.truncate(80)).contains("80 bytes, expected 112"));
        assert!(error(|b| b.push(0)).contains("113 bytes"));
        assert!(error(|b| b[0] = b'X').contains("SEGUESEQ"));
        assert!(error(|b| b[8] = 2).contains("version 2"));
        assert!(error(|b| b[24..32].fill(0xff)).contains("112 bytes, expected"));
        assert!(error(|b| b[40] = 9).contains("do not rise"));
        assert!(error(|b| b[64] = 9).contains("track 0"));
        assert!(error(|b| b[68..72].copy_from_slice(&f32::NAN.to_le_bytes())).contains("track 0"));
    }
}
