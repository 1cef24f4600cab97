//! `segue backfill`.

use std::path::PathBuf;

use anyhow::bail;

use super::common::ConfigArgs;
use super::progress::Progress;
use crate::backfill::{self, AggregatePlan, RankerPlan, TowersPlan, UserPart};
use crate::bundle::AsOf;
use crate::inference::Runtime;

/// Turns old events into training rows and aggregates through the serving feature code
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Rows for the towers: items.parquet, towers.parquet
    #[command(
        after_help = "Example:\n  segue backfill towers --data data/world --out out/rows --rank-days 10 --test-days 5"
    )]
    Towers(TowersArgs),
    /// Rows for the ranker: ranker.parquet
    #[command(
        after_help = "Example:\n  segue backfill ranker --data data/world --bundle out/tower-bundle \\\n      --rows out/rows --out out/rows"
    )]
    Ranker(RankerArgs),
    /// Popularity by market and listeners' tastes as of one moment: popularity.parquet, tastes.parquet
    #[command(
        after_help = "Example:\n  segue backfill aggregate --data archive --out out/daily --as-of 2026-01-31T00:00:00Z"
    )]
    Aggregate(AggregateArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct TowersArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Canonical tables: tracks.parquet, events.parquet (or an archive of events); a directory or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The rows directory; made if absent
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Days before the test period that the ranker learns from; the towers learn from all days before them
    #[arg(long, value_name = "DAYS", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=3650))]
    rank_days: u32,
    /// Last days, which nothing learns from
    #[arg(long, value_name = "DAYS", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=3650))]
    test_days: u32,
    /// Only the I-th of N parts of the listeners, into files of its own; the first part writes what all need
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    partition: UserPart,
}

#[derive(Debug, clap::Args)]
pub(super) struct RankerArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Canonical tables: tracks.parquet, events.parquet (or an archive of events); a directory or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// A bundle of the towers, built with --as-of rank
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// The towers' rows directory; its schema.json says where time was cut
    #[arg(long, value_name = "DIR")]
    rows: PathBuf,
    /// The rows directory; may be the same
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Tracks a moment that retrieval offered and that were not played
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=1000))]
    negatives: u16,
    /// Most moments, drawn by seeded hash
    #[arg(long, default_value_t = 40_000)]
    max_groups: usize,
    /// Seed of the draws
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the I-th of N parts of the listeners, into a file of its own
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    partition: UserPart,
}

#[derive(Debug, clap::Args)]
pub(super) struct AggregateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Canonical tables: tracks.parquet, events.parquet (or an archive of events); a directory or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where the tables go; made if absent
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Up to when events count: end, Unix ms or an RFC 3339 instant
    #[arg(long, default_value = "end")]
    as_of: AsOf,
}

pub(super) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Aggregate(args) => aggregate(args),
        Command::Towers(args) => towers(args),
        Command::Ranker(args) => ranker(args),
    }
}

fn towers(args: TowersArgs) -> anyhow::Result<()> {
    let config = args.config.load(&[])?;
    let plan = TowersPlan {
        data: args.data,
        out: args.out,
        rank_days: args.rank_days,
        test_days: args.test_days,
        part: args.partition,
    };
    let done = backfill::towers(&plan, &config, &mut shown())?;
    println!(
        "{}: {} rows, {} tracks; {} positive plays had no history, {} events were refused\n\
         towers learn before {}, the ranker before {}, the test is the rest",
        plan.out.display(),
        done.rows,
        done.tracks,
        done.without_history,
        done.refused,
        instant(done.rank_from_ms),
        instant(done.test_from_ms),
    );
    Ok(())
}

fn ranker(args: RankerArgs) -> anyhow::Result<()> {
    let config = args.config.load(&[])?;
    let runtime = Runtime::open(&config.inference)?;
    let plan = RankerPlan {
        data: args.data,
        bundle: args.bundle,
        rows: args.rows,
        out: args.out,
        negatives: usize::from(args.negatives),
        max_groups: args.max_groups,
        seed: args.seed,
        part: args.partition,
    };
    let done = backfill::ranker(&plan, &config, &runtime, &mut shown())?;
    println!(
        "{}: {} rows in {} moments (seed {}); retrieval offered what was played in {:.1} %; {} plays did not end",
        plan.out.display(),
        done.rows,
        done.groups,
        plan.seed,
        100.0 * done.retrieved as f64 / (done.groups + done.unended).max(1) as f64,
        done.unended,
    );
    Ok(())
}

fn aggregate(args: AggregateArgs) -> anyhow::Result<()> {
    let config = args.config.load(&[])?;
    let as_of_ms = match args.as_of {
        AsOf::End => None,
        AsOf::Ms(ms) => Some(ms),
        AsOf::RankFrom | AsOf::TestFrom => bail!("--as-of: a history is not split; give end, Unix ms or an instant"),
    };
    let plan = AggregatePlan { data: args.data, out: args.out, as_of_ms };
    let done = backfill::aggregate(&plan, &config, &mut shown())?;
    println!(
        "{}: {} rows of popularity, {} tastes of {} listeners as of {} ({} ms), {} events were refused",
        plan.out.display(),
        done.popularity,
        done.tastes,
        done.listeners,
        instant(done.as_of_ms),
        done.as_of_ms,
        done.refused,
    );
    Ok(())
}

/// Shows each step in turn.
fn shown() -> impl FnMut(backfill::Progress) {
    let mut bar: Option<(&'static str, Progress)> = None;
    move |at| {
        if bar.as_ref().is_none_or(|(step, _)| *step != at.step) {
            bar = Some((at.step, Progress::new(at.step)));
        }
        if let Some((_, bar)) = &bar {
            bar.set(at.done, at.total);
        }
    }
}

fn instant(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| at.strftime("%F %H:%M").to_string())
}
