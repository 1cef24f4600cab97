//! `segue events export` and `segue events compact`.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::bail;

use super::events::Place;
use crate::archive::{compact, export};
use crate::store;

/// Entries of one step of an export: some hundred bytes of memory each.
const STEP: usize = 250_000;

#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    place: Place,
    /// The archive: a directory, made if absent, or s3://BUCKET/PREFIX. Each log needs one of its own
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct CompactArgs {
    /// The archive: a directory or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR")]
    archive: PathBuf,
}

pub(super) fn run_export(args: &ExportArgs) -> anyhow::Result<()> {
    let dir = args.place.dir()?;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let done = export(&dir, &store::open(&args.out)?, STEP, now_ms, &mut |_| true)?;
    println!(
        "{}: offsets {} to {}, {} events, {} erasures; {} events were erased before, {} are missing from the log",
        args.out.display(),
        done.from,
        done.next,
        done.events,
        done.erasures,
        done.erased,
        done.missing,
    );
    if !done.damage.is_empty() {
        bail!(
            "the log is damaged; what lies behind is exported, what is missing is counted:\n{}",
            done.damage.join("\n")
        );
    }
    Ok(())
}

pub(super) fn run_compact(args: &CompactArgs) -> anyhow::Result<()> {
    let done = compact(&store::open(&args.archive)?)?;
    println!(
        "{}: {} of {} hours written anew, {} files removed, {} events of erased listeners dropped",
        args.archive.display(),
        done.rewritten,
        done.hours,
        done.removed,
        done.dropped,
    );
    Ok(())
}
