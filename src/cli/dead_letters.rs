//! `segue events dead-letters`.

use std::io::{self, BufWriter, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::events::Place;
use crate::events::{DeadLetters, KeptLetter};

/// Environment variable with the API key, where the server asks for one.
const API_KEY: &str = "SEGUE_API_KEY";
/// Letters sent at once.
const BATCH: usize = 100;
/// Longest wait for an answer of the server.
const PATIENCE: Duration = Duration::from_secs(30);

/// Events that were refused
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Prints refused events, oldest first: when, where, why, and what was sent
    #[command(
        after_help = "Examples:\n  segue events dead-letters list\n  segue events dead-letters list --json | jq .reason"
    )]
    List(ListArgs),
    /// Sends refused events to a running server again and marks those that it takes; SEGUE_API_KEY is the key to show
    #[command(
        after_help = "Example, after the track that was missing has been added:\n  segue events dead-letters replay --to 127.0.0.1:8080"
    )]
    Replay(ReplayArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    place: Place,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    place: Place,
    /// Address and port of the server; absent: server.listen of the configuration
    #[arg(long, value_name = "HOST:PORT")]
    to: Option<SocketAddr>,
}

pub(super) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::List(args) => list(args),
        Command::Replay(args) => replay(args),
    }
}

fn list(args: &ListArgs) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for kept in DeadLetters::look(&args.place.dir()?)?.list()? {
        let line = if args.json { fields(&kept).to_string() } else { text(&kept) };
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}

fn fields(kept: &KeptLetter) -> Value {
    let letter = &kept.letter;
    json!({
        "id": kept.id, "origin": letter.origin.as_str(), "place": letter.place, "user_id": letter.listener,
        "reason": letter.reason, "body": letter.body, "bytes": kept.bytes, "shift_ms": letter.shift_ms,
        "first_ms": kept.first_ms, "last_ms": kept.last_ms, "times": kept.times, "replayed_ms": kept.replayed_ms,
    })
}

fn text(kept: &KeptLetter) -> String {
    let when = jiff::Timestamp::from_millisecond(kept.last_ms).map_or_else(|_| "?".into(), |at| at.to_string());
    let done = if kept.replayed_ms.is_some() { "  (replayed)" } else { "" };
    let letter = &kept.letter;
    let (origin, place) = (letter.origin.as_str(), letter.place);
    format!("{}  {when}  {} x  {origin} {place}  {}{done}\n    {}", kept.id, kept.times, letter.reason, letter.body)
}

fn replay(args: &ReplayArgs) -> anyhow::Result<()> {
    let letters = DeadLetters::look(&args.place.dir()?)?;
    let to = match args.to {
        Some(to) => to,
        None => args.place.config.load(&[])?.server.listen,
    };
    let mut open: Vec<_> = letters.list()?.into_iter().filter(|kept| kept.replayed_ms.is_none()).collect();
    let all = open.len();
    open.retain(|kept| kept.letter.body.len() as u64 == kept.bytes);
    let cut = all - open.len();
    // A batch has one clock; within it events keep their order.
    open.sort_by_key(|kept| (kept.letter.shift_ms, kept.id));
    let (mut taken, mut refused) = (0, 0);
    for same in open.chunk_by(|a, b| a.letter.shift_ms == b.letter.shift_ms) {
        for batch in same.chunks(BATCH) {
            for (kept, is_in) in batch.iter().zip(send(to, batch)?) {
                if is_in {
                    letters.replayed(kept.id, now_ms())?;
                    taken += 1;
                } else {
                    refused += 1;
                }
            }
        }
    }
    println!("{taken} taken, {refused} refused again, {cut} too long to be kept whole");
    Ok(())
}

/// Sends letters to a server; which of them it has now.
fn send(to: SocketAddr, batch: &[KeptLetter]) -> anyhow::Result<Vec<bool>> {
    let shift_ms = batch.first().map_or(0, |kept| kept.letter.shift_ms);
    let clock = if shift_ms == 0 { String::new() } else { format!("X-Sent-At-Ms: {}\r\n", now_ms() - shift_ms) };
    let key = std::env::var(API_KEY).map_or_else(|_| String::new(), |key| format!("Authorization: Bearer {key}\r\n"));
    let body: String = batch.iter().map(|kept| format!("{}\n", kept.letter.body)).collect();
    let head = format!(
        "POST /v1/events HTTP/1.0\r\nHost: {to}\r\nContent-Type: application/x-ndjson\r\n{clock}{key}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)
        .with_context(|| format!("no server at {to}; --to names another, `segue serve` starts one"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("the answer of {to}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("{to} does not speak HTTP"))?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("202") {
        bail!("{to} answered {status}: {body}");
    }
    let answer: Value = serde_json::from_str(body).with_context(|| format!("the answer of {to}"))?;
    let results = answer["events"].as_array().map_or(&[][..], Vec::as_slice);
    ensure!(results.len() == batch.len(), "{to} answered {} of {} events", results.len(), batch.len());
    Ok(results.iter().map(|result| result["status"] != "rejected").collect())
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
