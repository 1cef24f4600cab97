//! `segue world`.

use std::path::{Path, PathBuf};

use super::progress::Progress;
use crate::tables::{EventWriter, read_events};
use crate::world::{WorldConfig, generate};

const DAY_MS: i64 = 86_400_000;

/// Generates a synthetic catalogue and its listeners as canonical Parquet
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  segue world --tracks 5000 --listeners 2000 --days 60 --seed 7 --out data/world")]
pub(super) struct Args {
    /// Tracks, 10..=50000000
    #[arg(long, default_value_t = WorldConfig::default().tracks)]
    tracks: u32,
    /// Listeners, 1..=5000000
    #[arg(long, default_value_t = WorldConfig::default().listeners)]
    listeners: u32,
    /// Days of listening, 1..=730
    #[arg(long, default_value_t = WorldConfig::default().days)]
    days: u32,
    /// Last day, exclusive, in days since 1970-01-01
    #[arg(long, default_value_t = WorldConfig::default().end_day)]
    end_day: i32,
    /// Seed; the same one gives the same files
    #[arg(long, default_value_t = WorldConfig::default().seed)]
    seed: u64,
    /// Directory for tracks.parquet and events.parquet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Also write listeners.parquet: the last 14 days of the first N listeners, for `segue demo`
    #[arg(long, value_name = "N", default_value_t = 0)]
    sample_listeners: u32,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let config = WorldConfig {
        tracks: args.tracks,
        listeners: args.listeners,
        days: args.days,
        end_day: args.end_day,
        seed: args.seed,
    };
    let progress = Progress::new("days");
    let summary = generate(&config, &args.out, &|done, total| progress.set(done, total))?;
    drop(progress);
    if args.sample_listeners > 0 {
        sample(&args.out, args.sample_listeners, i64::from(config.end_day - 14) * DAY_MS)?;
    }
    println!(
        "{}: {} tracks by {} artists; {} plays in {} sessions, {:.1} % skipped, {} likes (seed {})",
        args.out.display(),
        summary.tracks,
        summary.artists,
        summary.plays,
        summary.sessions,
        100.0 * summary.skips as f64 / summary.plays.max(1) as f64,
        summary.likes,
        config.seed
    );
    Ok(())
}

fn sample(dir: &Path, listeners: u32, from_ms: i64) -> anyhow::Result<()> {
    let mut writer = EventWriter::create(&dir.join("listeners.parquet"))?;
    for event in read_events(&dir.join("events.parquet"))? {
        let event = event?;
        let number: Option<u32> = event.user_id.as_str().strip_prefix('u').and_then(|n| n.parse().ok());
        if event.ts_ms >= from_ms && number.is_some_and(|n| n < listeners) {
            writer.write(&event)?;
        }
    }
    writer.finish()?;
    Ok(())
}
