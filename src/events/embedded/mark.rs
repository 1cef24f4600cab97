//! How far the log had come, written beside it at each commit: without it, entries that a damaged file no longer shows
//! would be missed by nobody.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::files::fault;
use crate::events::EventLogError;

const NAME: &str = "mark";
/// An offset and the CRC-32 of its bytes.
const BYTES: usize = 12;

/// The mark of one log. It is handed to the system at each commit and to the disk when the system likes, so it survives
/// the process; after a power cut it may lag behind the log, or show what `durability = "os"` lost.
pub(super) struct Mark(File);

impl Mark {
    /// Opens the mark of a directory and reads it; 0 where there is none or it is torn.
    pub(super) fn open(dir: &Path) -> Result<(Self, u64), EventLogError> {
        let path = dir.join(NAME);
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = file.map_err(|error| fault(&path, &error))?;
        let mut bytes = [0; BYTES];
        let read = file.read_exact(&mut bytes);
        let next = if read.is_ok() { parse(bytes) } else { None };
        if next.is_none() && file.metadata().is_ok_and(|meta| meta.len() > 0) {
            tracing::warn!(path = %path.display(), "unreadable: whether the newest events are all there cannot be told");
        }
        Ok((Self(file), next.unwrap_or(0)))
    }

    /// Notes that every entry below `next` is in the log.
    pub(super) fn set(&mut self, next: u64) -> std::io::Result<()> {
        let offset = next.to_le_bytes();
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&offset);
        bytes[8..].copy_from_slice(&crc32fast::hash(&offset).to_le_bytes());
        self.0.rewind()?;
        self.0.write_all(&bytes)
    }
}

fn parse(bytes: [u8; BYTES]) -> Option<u64> {
    let (offset, sum) = bytes.split_at(8);
    let offset: [u8; 8] = offset.try_into().ok()?;
    (crc32fast::hash(&offset).to_le_bytes() == sum).then(|| u64::from_le_bytes(offset))
}
