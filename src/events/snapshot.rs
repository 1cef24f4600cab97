//! The live state in a file, with the offset up to which the log is in it. A start reads it and replays the rest.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use serde::{Deserialize, Serialize};

use super::EventLogError;
use crate::domain::{SessionId, SessionState, UserId, UserProfile};
use crate::features::{Dump, StateStore};

/// Name of the file in the log's directory, and of the next one while it is written.
const NAME: &str = "state.snapshot";
const MAKING: &str = "state.snapshot.making";
/// The first bytes; the last one is the version.
const MAGIC: [u8; 8] = *b"SEGUSNP\x01";
/// What the last block begins with, before the number of the blocks between header and it; no entry begins so.
const END: &[u8] = b"end";
/// Bytes after which a block ends. A block is written with its length and CRC-32.
const BLOCK: usize = 256 << 10;
/// Longest block that is believed: one entry more than a full one.
const MAX_BLOCK: usize = 16 << 20;

/// What a snapshot says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The state holds every entry of the log below this offset and none from it on.
    pub(super) offset: u64,
    /// The catalogue whose rows and the vectors whose sums the state holds.
    pub(super) bundle: String,
}

/// One entry of a block, as it is written.
#[derive(Serialize)]
enum Written<'a> {
    Session(&'a SessionId, &'a UserId, &'a SessionState),
    Profile(&'a UserId, &'a UserProfile),
}

/// The same as it is read.
#[derive(Deserialize)]
enum Entry {
    Session(SessionId, UserId, SessionState),
    Profile(UserId, UserProfile),
}

/// Writes a state beside its log. The old snapshot stands until the new one is whole and on disk.
///
/// # Errors
/// The disk's.
pub(super) fn write(dir: &Path, offset: u64, bundle: &str, state: &Dump) -> Result<(), EventLogError> {
    let making = dir.join(MAKING);
    let header = Header { offset, bundle: bundle.to_owned() };
    let written = put_all(&making, &header, state).and_then(|()| {
        fs::rename(&making, dir.join(NAME))?;
        File::open(dir)?.sync_all()
    });
    written.map_err(|error| EventLogError(format!("{}: {error}", making.display())))
}

fn put_all(path: &Path, header: &Header, state: &Dump) -> io::Result<()> {
    let mut blocks = Blocks { out: BufWriter::new(File::create(path)?), block: Vec::new(), ended: 0 };
    blocks.out.write_all(&MAGIC)?;
    blocks.put(header)?;
    blocks.end()?;
    blocks.ended = 0;
    for (id, owner, session) in &state.sessions {
        blocks.put(&Written::Session(id, owner, session))?;
    }
    for (id, profile) in &state.profiles {
        blocks.put(&Written::Profile(id, profile))?;
    }
    blocks.end()?;
    let count = blocks.ended.to_le_bytes();
    blocks.block.extend(END.iter().chain(&count));
    blocks.end()?;
    blocks.out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

struct Blocks {
    out: BufWriter<File>,
    block: Vec<u8>,
    ended: u64,
}

impl Blocks {
    fn put(&mut self, entry: &impl Serialize) -> io::Result<()> {
        self.block = postcard::to_extend(entry, std::mem::take(&mut self.block)).map_err(io::Error::other)?;
        if self.block.len() >= BLOCK { self.end() } else { Ok(()) }
    }

    fn end(&mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.out.write_all(&(self.block.len() as u32).to_le_bytes())?;
            self.out.write_all(&crc32fast::hash(&self.block).to_le_bytes())?;
            self.out.write_all(&self.block)?;
            self.block.clear();
            self.ended += 1;
        }
        Ok(())
    }
}

/// Reads the snapshot of a directory into an empty state and returns the offset to replay from; `None` where there is
/// none for this bundle, or it is not as it was written, which is logged. Nothing of a snapshot that is not whole is taken.
///
/// # Errors
/// The disk's.
pub(super) fn read(dir: &Path, bundle: &str, state: &StateStore) -> Result<Option<u64>, EventLogError> {
    let path = dir.join(NAME);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(EventLogError(format!("{}: {error}", path.display()))),
    };
    // Once to see that it is whole, once to take it.
    let header = match walk(&file, None) {
        Ok(header) => header,
        Err(why) => {
            tracing::error!(path = %path.display(), why, "the snapshot is not used; the whole log is read instead");
            return Ok(None);
        }
    };
    if header.bundle != bundle {
        tracing::warn!(path = %path.display(), "the snapshot is of other tracks or vectors; the whole log is read instead");
        return Ok(None);
    }
    // It was whole a moment ago.
    let changed = |why| EventLogError(format!("{}: changed while it was read: {why}", path.display()));
    load(&file, state).map(|()| Some(header.offset)).map_err(changed)
}

/// Puts all entries into a state, on every core.
fn load(file: &File, state: &StateStore) -> Result<(), String> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let (blocks, waiting) = bounded::<Vec<u8>>(2 * threads);
        let restore = |waiting: Receiver<Vec<u8>>| waiting.iter().try_for_each(|block| restore(&block, state));
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let waiting = waiting.clone();
                scope.spawn(move || restore(waiting))
            })
            .collect();
        drop(waiting);
        // Nobody takes a block only when every worker has met a fault, which they return.
        let read = walk(file, Some(&mut |block| _ = blocks.send(block)));
        drop(blocks);
        for worker in workers {
            worker.join().map_err(|_| "a thread panicked")??;
        }
        read.map(|_| ())
    })
}

fn restore(mut block: &[u8], state: &StateStore) -> Result<(), String> {
    while !block.is_empty() {
        let entry;
        (entry, block) = postcard::take_from_bytes(block).map_err(|error| error.to_string())?;
        match entry {
            Entry::Session(id, owner, session) => state.restore_session(&id, &owner, session),
            Entry::Profile(id, profile) => state.restore_profile(id, profile),
        }
    }
    Ok(())
}

/// Reads a snapshot to its end, handing its blocks on; its header, or what is wrong.
fn walk(mut file: &File, mut take: Option<&mut dyn FnMut(Vec<u8>)>) -> Result<Header, String> {
    file.rewind().map_err(|error| error.to_string())?;
    let mut from = BufReader::with_capacity(1 << 20, file);
    let mut magic = [0; 8];
    from.read_exact(&mut magic).map_err(|error| error.to_string())?;
    if magic != MAGIC {
        return Err(format!("it begins with {magic:?}, not {MAGIC:?}"));
    }
    let (mut block, mut blocks) = (Vec::new(), 0u64);
    next(&mut from, &mut block)?;
    let header: Header = postcard::from_bytes(&block).map_err(|error| error.to_string())?;
    loop {
        next(&mut from, &mut block)?;
        if let Some(count) = block.strip_prefix(END) {
            let whole = count == blocks.to_le_bytes();
            return if whole { Ok(header) } else { Err("blocks are missing".into()) };
        }
        blocks += 1;
        if let Some(take) = take.as_mut() {
            take(std::mem::take(&mut block));
        }
    }
}

/// Reads the next block into `block`.
fn next(from: &mut impl Read, block: &mut Vec<u8>) -> Result<(), String> {
    let [mut length, mut sum] = [[0; 4]; 2];
    from.read_exact(&mut length).and_then(|()| from.read_exact(&mut sum)).map_err(|error| error.to_string())?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_BLOCK {
        return Err(format!("a block of {length} bytes"));
    }
    block.resize(length, 0);
    from.read_exact(block).map_err(|error| error.to_string())?;
    if crc32fast::hash(block) == u32::from_le_bytes(sum) {
        Ok(())
    } else {
        Err("a block's checksum does not fit".into())
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
