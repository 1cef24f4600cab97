//! `segue events`.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::bail;
use serde_json::{Map, Value, json};

use super::archive::{self, CompactArgs, ExportArgs};
use super::common::ConfigArgs;
use super::dead_letters;
use crate::domain::Event;
use crate::events::{Entry, EventLogError, look, scan};

/// Looks into the event log, also while a server writes it
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Prints entries, one JSON object a line, oldest first
    #[command(
        after_help = "Examples:\n  segue events tail --last 5\n  segue events tail --data-dir /var/lib/segue --from 120000 | jq .event_id"
    )]
    Tail(TailArgs),
    /// Reads the whole log and says what it holds; fails when a file is damaged
    #[command(after_help = "Example:\n  segue events stats --config config/segue.toml")]
    Stats(StatsArgs),
    /// Writes what came since the last export to Parquet by the hour, each event exactly once
    #[command(after_help = "Example:\n  segue events export --data-dir segue-data --out archive")]
    Export(ExportArgs),
    /// Makes one file of an hour's in an archive and drops the events of erased listeners
    #[command(after_help = "Example:\n  segue events compact --archive archive")]
    Compact(CompactArgs),
    /// Events that were refused: why, and again
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
}

#[derive(Debug, clap::Args)]
pub(super) struct TailArgs {
    #[command(flatten)]
    place: Place,
    /// The newest so many entries
    #[arg(long, value_name = "N", default_value_t = 20)]
    last: u64,
    /// Everything from this offset on, instead of the newest
    #[arg(long, value_name = "OFFSET")]
    from: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(super) struct StatsArgs {
    #[command(flatten)]
    place: Place,
}

/// Where the log lies.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Directory of the log; absent: events.data_dir of the configuration
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Place {
    pub(super) fn dir(&self) -> anyhow::Result<PathBuf> {
        match &self.data_dir {
            Some(dir) => Ok(dir.clone()),
            None => Ok(self.config.load(&[])?.events.data_dir),
        }
    }
}

pub(super) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Tail(args) => tail(args),
        Command::Stats(args) => stats(args),
        Command::Export(args) => archive::run_export(args),
        Command::Compact(args) => archive::run_compact(args),
        Command::DeadLetters(command) => dead_letters::run(command),
    }
}

fn tail(args: &TailArgs) -> anyhow::Result<()> {
    let dir = args.place.dir()?;
    let from = args.from.unwrap_or(look(&dir)?.next.saturating_sub(args.last));
    let mut out = BufWriter::new(io::stdout().lock());
    let damage = scan(&dir, from, &mut |at, entry| {
        writeln!(out, "{}", line(at, &entry)).map_err(|error| EventLogError(format!("standard output: {error}")))
    })?;
    out.flush()?;
    healthy(&damage)
}

fn stats(args: &StatsArgs) -> anyhow::Result<()> {
    let dir = args.place.dir()?;
    let seen = look(&dir)?;
    let (mut events, mut erased, mut erasures) = (0u64, 0u64, 0u64);
    let damage = scan(&dir, 0, &mut |_, entry| {
        match entry {
            Entry::Event(_) => events += 1,
            Entry::Erased => erased += 1,
            Entry::Erase(_) => erasures += 1,
        }
        Ok(())
    })?;
    println!(
        "{}: offsets {} to {}, {} files, {} bytes\n{events} events, {erased} erased, {erasures} erasures, {} lost",
        dir.display(),
        seen.first,
        seen.next,
        seen.segments,
        seen.bytes,
        (seen.next - seen.first).saturating_sub(events + erased + erasures),
    );
    healthy(&damage)
}

fn healthy(damage: &[String]) -> anyhow::Result<()> {
    if !damage.is_empty() {
        bail!("damaged; the next start of the server cuts back to the last good entry:\n{}", damage.join("\n"));
    }
    Ok(())
}

fn line(at: u64, entry: &Entry) -> Value {
    match entry {
        Entry::Event(event) => fields(at, event),
        Entry::Erase(user) => json!({"at": at, "type": "erase", "user_id": user}),
        Entry::Erased => json!({"at": at, "type": "erased"}),
    }
}

/// The fields that an event has, named as on the wire.
fn fields(at: u64, event: &Event) -> Value {
    let all = json!({
        "at": at, "type": event.kind, "event_id": event.event_id, "user_id": event.user_id,
        "session_id": event.session_id, "ts_ms": event.ts_ms, "track_id": event.track_id,
        "position_ms": event.position_ms, "duration_ms": event.duration_ms, "played_ms": event.played_ms,
        "reason_start": event.reason_start, "reason_end": event.reason_end,
        "recommendation_id": event.recommendation_id, "market": event.market, "device": event.device,
        "local_hour": event.local_hour,
    });
    let Value::Object(all) = all else { return all };
    Value::Object(all.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EventType, UserId};
    use crate::features::testing::event;

    #[test]
    fn lines_hold_what_is_known() {
        let event = event("e1", "u", "s", EventType::Skip, Some("t1"), 5);
        let expected =
            r#"{"at":7,"event_id":"e1","session_id":"s","track_id":"t1","ts_ms":5,"type":"skip","user_id":"u"}"#;
        assert_eq!(line(7, &Entry::Event(event)).to_string(), expected);
        let user = UserId::new("u").unwrap();
        assert_eq!(line(8, &Entry::Erase(user)).to_string(), r#"{"at":8,"type":"erase","user_id":"u"}"#);
    }
}
