//! `segue feature-log`.

use std::path::PathBuf;

use super::common::{ConfigArgs, KeptArgs};
use super::progress::Steps;
use crate::archive::read_erasures;
use crate::backfill::{JoinPlan, join};
use crate::feature_log::compact;
use crate::store;

/// Works on what `feature_log.dir` keeps of every answer
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Joins logged rows with what became of them: training rows, as `backfill ranker` writes them
    #[command(
        after_help = "Example:\n  segue events export --data-dir segue-data --out archive\n  segue feature-log join --log segue-features --archive archive \\\n      --tracks models/demo/tracks.parquet --out out/rows"
    )]
    Join(JoinArgs),
    /// Makes one file of an hour's and drops the rows of erased listeners
    #[command(after_help = "Example:\n  segue feature-log compact --log segue-features --archive archive")]
    Compact(CompactArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct JoinArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    kept: KeptArgs,
    /// The rows directory; made if absent
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Also close hours whose wait is not over when the events end
    #[arg(long)]
    to_the_end: bool,
    /// Also write answers of which nothing was played
    #[arg(long)]
    untouched: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct CompactArgs {
    /// The feature log: a directory or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR")]
    log: PathBuf,
    /// The archive that knows who was erased: a directory or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR")]
    archive: PathBuf,
}

pub(super) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Join(args) => run_join(args),
        Command::Compact(args) => run_compact(&args),
    }
}

fn run_join(args: JoinArgs) -> anyhow::Result<()> {
    let config = args.config.load(&[])?;
    let (kept, to_the_end, untouched) = (args.kept, args.to_the_end, args.untouched);
    let plan =
        JoinPlan { log: kept.log, archive: kept.archive, tracks: kept.tracks, out: args.out, to_the_end, untouched };
    let mut steps = Steps::default();
    let done = join(&plan, &config, &mut |at| steps.set(at.step, at.done, at.total))?;
    println!(
        "{}: {} rows of {} answers, {} played ({} of them censored)\n\
         {} answers of which nothing was played, {} wait for their outcome\n\
         {} plays ended too late, {} belong to no logged answer, {} events were refused",
        plan.out.display(),
        done.rows,
        done.groups,
        done.played,
        done.censored,
        done.untouched,
        done.waiting,
        done.late,
        done.unmatched,
        done.refused,
    );
    Ok(())
}

fn run_compact(args: &CompactArgs) -> anyhow::Result<()> {
    let erasures = read_erasures(&store::open(&args.archive)?)?;
    let done =
        compact(&store::open(&args.log)?, erasures.through(), |user, ts_ms| erasures.covers_moment(user, ts_ms))?;
    println!(
        "{}: {} of {} hours written anew, {} files removed, {} answers to {} erased listeners dropped",
        args.log.display(),
        done.rewritten,
        done.hours,
        done.removed,
        done.dropped,
        erasures.len(),
    );
    Ok(())
}
