//! What a stream between nodes needs of the event log, whichever engine it is: how far it has been sent, and where what
//! came out of it stood.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{EmbeddedLog, Entry, EventLogError};
use crate::domain::{Event, UserId};

/// Name of this node, for as long as its directory lives.
const NODE: &str = "node";
/// How far the log has been sent.
const SENT: &str = "outbox.json";

/// A place in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Which stream: a topic's name.
    pub stream: String,
    /// Which part of it.
    pub partition: u32,
    /// The offset to go on from.
    pub next: u64,
}

/// A record that came out of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Foreign {
    /// An event that another node logged.
    Event(Event),
    /// An erasure that another node logged.
    Erase(UserId),
    /// What this node sent itself.
    Own,
    /// Something that cannot be read.
    Poison {
        /// As it came.
        body: String,
        /// What is wrong.
        reason: String,
    },
}

/// What became of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Absorbed {
    /// Events that are in the log now.
    pub events: u64,
    /// Events that were known.
    pub repeated: u64,
}

/// Entries that are to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Unsent {
    /// This node's own, in order, with their offsets.
    pub entries: Vec<(u64, Entry)>,
    /// The offset behind all that was looked at.
    pub next: u64,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Sent {
    stream: String,
    sent: u64,
}

/// How far a log has been sent to a stream. On disk beside the log, so that a restart goes on there.
#[derive(Debug, Clone)]
pub struct Outbox {
    dir: PathBuf,
    stream: String,
    node: String,
    sent: u64,
}

impl Outbox {
    /// Reads how far the log has been sent. To a stream that it was never sent to, all of it is. From here on the log
    /// keeps what has not been sent, whatever its bounds.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(log: &EmbeddedLog, stream: &str) -> Result<Self, EventLogError> {
        let dir = log.dir().to_owned();
        let node = node(&dir)?;
        let path = dir.join(SENT);
        let known = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Sent>(&bytes)
                .inspect_err(|error| tracing::error!(path = %path.display(), %error, "all of the log is sent again"))
                .ok(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(fault(&path, &error)),
        };
        let sent = known.filter(|known| known.stream == stream).map_or(0, |known| known.sent.min(log.end()));
        log.release(sent);
        Ok(Self { dir, stream: stream.to_owned(), node, sent })
    }

    /// Names this node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Everything below this offset is in the stream.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Notes that everything below `next` is in the stream; on the disk when it returns.
    ///
    /// # Errors
    /// The disk's: after a restart some entries are sent twice, which the other nodes drop.
    pub fn reached(mut self, log: &EmbeddedLog, next: u64) -> Result<Self, EventLogError> {
        self.sent = next;
        let known = Sent { stream: self.stream.clone(), sent: next };
        put(&self.dir.join(SENT), &serde_json::to_vec(&known).unwrap_or_default())?;
        log.release(next);
        Ok(self)
    }
}

/// The node's name, made once.
fn node(dir: &Path) -> Result<String, EventLogError> {
    let path = dir.join(NODE);
    match fs::read_to_string(&path) {
        Ok(name) if !name.is_empty() => return Ok(name),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fault(&path, &error)),
        Ok(_) | Err(_) => {}
    }
    let name = ulid::Ulid::generate().to_string();
    put(&path, name.as_bytes())?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| fault(dir, &error))?;
    Ok(name)
}

/// Puts a file in the place of the one before it, whole.
fn put(path: &Path, content: &[u8]) -> Result<(), EventLogError> {
    let making = path.with_extension("making");
    let written = File::create(&making).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_data()?;
        fs::rename(&making, path)
    });
    written.map_err(|error| fault(path, &error))
}

fn fault(path: &Path, error: &std::io::Error) -> EventLogError {
    EventLogError(format!("{}: {error}", path.display()))
}
