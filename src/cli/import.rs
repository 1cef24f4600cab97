//! `segue import`.

use std::cell::RefCell;
use std::path::PathBuf;

use anyhow::bail;
use jiff::Timestamp;

use super::progress::Progress;
use crate::import::{Format, Phase, Plan, REPORT_FILE, Report, run as import};

/// Turns real listening histories into canonical Parquet
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Formats:
  30music       Parquet of the 30Music sample
  spotify       Extended streaming history, JSON
  listenbrainz  Listens, JSON lines
  lastfm        Scrobbles: the 1K-users TSV, or a CSV export
  csv, parquet  Anything else, by --mapping FILE.toml (docs/import.md)

Examples:
  segue import --format spotify --input my_spotify_data --user me --out data/me
  segue import --format csv --mapping plays.toml --input plays.csv --out data/plays")]
pub(super) struct Args {
    /// Format of the inputs
    #[arg(long, value_name = "NAME", value_parser = format_named)]
    format: Format,
    /// File, or directory of files (may be given again)
    #[arg(long, value_name = "PATH", required = true)]
    input: Vec<PathBuf>,
    /// Directory for tracks.parquet, events.parquet and import-report.json
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Which column holds what, for --format csv and parquet
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Listener of rows that name none; absent: the name of the directory or file given
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Minutes without a play that end a session where the source has none, 1..=1440
    #[arg(long, value_name = "MIN", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1_440))]
    session_gap_min: u32,
    /// Share of rows that may be bad, 0..1
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    max_bad_share: f64,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    if !(0.0..=1.0).contains(&args.max_bad_share) {
        bail!("--max-bad-share {}: expected 0..1", args.max_bad_share);
    }
    let plan = Plan {
        format: args.format,
        inputs: args.input,
        mapping: args.mapping,
        out: args.out,
        user: args.user,
        session_gap_min: args.session_gap_min,
        max_bad_share: args.max_bad_share,
        now_ms: Timestamp::now().as_millisecond(),
    };
    let shown: RefCell<Option<(Phase, Progress)>> = RefCell::new(None);
    let report = import(&plan, &|phase, done, total| {
        let mut shown = shown.borrow_mut();
        if shown.as_ref().is_none_or(|(before, _)| *before != phase) {
            // The bar before goes first, so that one is on the screen.
            *shown = None;
            *shown = Some((phase, Progress::new(name_of(phase))));
        }
        if let Some((_, progress)) = shown.as_ref() {
            progress.set(done, total);
        }
    })?;
    drop(shown);
    print!("{}", table(&report));
    println!("{}: tracks.parquet, events.parquet, {REPORT_FILE}", plan.out.display());
    Ok(())
}

fn format_named(name: &str) -> Result<Format, String> {
    let all: Vec<&str> = Format::ALL.iter().map(|format| format.as_str()).collect();
    Format::parse(name).ok_or_else(|| format!("expected one of {}", all.join(", ")))
}

fn name_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Read => "bytes read",
        Phase::Write => "events",
    }
}

/// The summary: one line a count, with its share where it is a part of something.
fn table(report: &Report) -> String {
    let mut lines = vec![("rows read".to_owned(), report.rows, None)];
    for (reason, left) in &report.left_out {
        lines.push((format!("  left out: {reason}"), left.count, Some(report.rows)));
    }
    lines.push(("plays written".into(), report.plays, Some(report.rows)));
    for (ending, count) in &report.endings {
        lines.push((format!("  ended: {ending}"), *count, Some(report.plays)));
    }
    let counts = [
        ("events", report.events),
        ("listeners", report.users),
        ("tracks", report.tracks),
        ("sessions", report.sessions),
    ];
    lines.extend(counts.into_iter().map(|(name, count)| (name.to_owned(), count, None)));
    for (what, count) in &report.ignored_values {
        lines.push((format!("passed over: {what}"), *count, None));
    }
    let mut text = String::new();
    for (name, count, of) in lines {
        let share = of.map_or_else(String::new, |of| format!("{:7.2} %", 100.0 * count as f64 / of.max(1) as f64));
        text += format!("{name:<44}{count:>12}{share}\n").as_str();
    }
    text + &format!("{:<44}{:>12} .. {}\n", "first and last play", day(report.first_ms), day(report.last_ms))
}

fn day(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |stamp| stamp.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_counts_and_shares() {
        let mut report = Report { rows: 200, plays: 150, ..Report::default() };
        report.endings.insert("done", 75);
        let text = table(&report);
        assert!(text.contains("plays written") && text.contains("75.00 %") && text.contains("50.00 %"), "{text}");
        assert!(text.contains("1970-01-01 .. 1970-01-01"), "{text}");
        assert!(format_named("mp3").is_err_and(|fault| fault.contains("listenbrainz")));
    }
}
