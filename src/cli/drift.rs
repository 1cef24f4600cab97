//! `segue drift`.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};

use super::common::ConfigArgs;
use super::progress::Steps;
use crate::backfill::Logs;
use crate::bundle::{Bundle, Manifest, read_ranker, read_reference};
use crate::config::Config;
use crate::drift::{self, DriftReport, Range, Settings, Told, Trigger};
use crate::features::schema::TASKS;
use crate::inference::Runtime;

/// Resamples of listeners an interval.
const RESAMPLES: usize = 200;
/// Seed of the resampling.
const SEED: u64 = 1;

/// Tells whether a bundle's ranker still fits what happens, and asks for a new one when it does not
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// AUC over time, calibration, and how candidates differ from training
    #[command(after_help = "Example:
  segue drift report --bundle models/demo --log segue-features --archive segue-archive --out out/drift")]
    Report(ReportArgs),
    /// Looks every so often; a file, a request or a command when `[retrain]` says so
    #[command(after_help = "Example:
  segue drift watch --config segue.toml --bundle models/demo --log segue-features --archive segue-archive \\
      --state segue-data/retrain-state.json")]
    Watch(WatchArgs),
    /// Two rankers on the rows that training kept back; fails where the new one is worse by more than a margin
    #[command(after_help = "Example:
  segue drift compare --rows out/rows --bundle out/next --against models/demo")]
    Compare(CompareArgs),
}

/// Two rankers.
#[derive(Debug, clap::Args)]
pub(super) struct CompareArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// A rows directory with ranker.parquet, whose valid rows are scored
    #[arg(long, value_name = "DIR")]
    rows: PathBuf,
    /// The bundle with the new ranker
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// The bundle with the old one
    #[arg(long, value_name = "DIR")]
    against: PathBuf,
    /// What `complete` may lose in AUC, over what was played and against what was not, 0..=1
    #[arg(long, default_value_t = 0.005)]
    margin: f64,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
}

/// What is looked at.
#[derive(Debug, clap::Args)]
pub(super) struct LookArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The bundle in force: its own answers count, and its reference is what they are compared with
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// The feature log: a directory or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR")]
    log: PathBuf,
    /// The archive that `segue events export` writes: a directory or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR")]
    archive: PathBuf,
    /// Also close hours whose wait is not over when the events end
    #[arg(long)]
    to_the_end: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    look: LookArgs,
    /// Begin of what is reported on, RFC 3339 or Unix ms; absent: drift.window_min before its end
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    from: Option<i64>,
    /// Its end, RFC 3339 or Unix ms; absent: the end of the log
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    until: Option<i64>,
    /// Minutes between two rolling figures
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_080))]
    step_min: u32,
    /// Print the report as JSON instead of the table
    #[arg(long)]
    json: bool,
    /// Directory for report.json, report.txt and drift.svg; absent: only the table is printed
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    look: LookArgs,
    /// Where the state of the trigger is kept between looks; what it told last is kept beside it
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// Minutes between two looks
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=10_080))]
    every_min: u32,
    /// Look once: for a timer of the system
    #[arg(long)]
    once: bool,
}

pub(super) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Report(args) => run_report(&args),
        Command::Watch(args) => run_watch(&args),
        Command::Compare(args) => run_compare(&args),
    }
}

fn run_report(args: &ReportArgs) -> anyhow::Result<()> {
    let config = args.look.config.load(&[])?;
    let report = look(&args.look, &config, (args.from, args.until), i64::from(args.step_min) * 60_000)?;
    let (json, table) = (serde_json::to_string_pretty(&report)?, drift::text_table(&report));
    print!("{}", if args.json { &json } else { &table });
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
        for (name, text) in [("report.json", json), ("report.txt", table), ("drift.svg", drift::drift_chart(&report))] {
            std::fs::write(out.join(name), text)
                .with_context(|| format!("cannot write {name} to {}", out.display()))?;
        }
        eprintln!("written to {}", out.display());
    }
    Ok(())
}

fn run_watch(args: &WatchArgs) -> anyhow::Result<()> {
    loop {
        let looked = watch_once(args);
        if args.once {
            return looked;
        }
        // A store that is away, a log that is still empty: the next look may find more.
        if let Err(error) = looked {
            eprintln!("segue: {error:#}");
        }
        let every = Duration::from_secs(u64::from(args.every_min) * 60);
        // Nothing ever comes: it is the wait.
        let _ = crossbeam_channel::never::<()>().recv_timeout(every);
    }
}

fn run_compare(args: &CompareArgs) -> anyhow::Result<()> {
    let config = args.config.load(&[])?;
    let runtime = Runtime::open(&config.inference)?;
    let ranker =
        |bundle: &Path| read_ranker(bundle, &runtime)?.with_context(|| format!("{} has no ranker", bundle.display()));
    let heads = drift::compare(&args.rows, &ranker(&args.bundle)?, &ranker(&args.against)?, RESAMPLES, SEED)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&heads)?);
    } else {
        println!("{:<10}{:<10}{:>8}{:>9}{:>9}  difference of AUC", "head", "against", "rows", "new", "old");
        for of in &heads {
            let drift::HeadComparison { task, against, rows, new, old, difference } = of;
            let (value, low, high) = (difference.value, difference.low, difference.high);
            println!("{task:<10}{against:<10}{rows:>8}{new:>9.4}{old:>9.4}  {value:+.4} [{low:+.4}, {high:+.4}]");
        }
    }
    let judged: Vec<_> = heads.iter().filter(|of| of.task == TASKS[0]).collect();
    if judged.is_empty() {
        bail!("{}: no valid rows of which it is known whether they were completed", args.rows.display());
    }
    match judged.iter().find(|of| of.difference.value < -args.margin) {
        Some(of) => {
            let (bundle, against, by) = (args.bundle.display(), of.against, of.difference.value);
            bail!("{bundle} is worse: AUC of {} against {against} {by:+.4}", of.task)
        }
        None => Ok(()),
    }
}

fn watch_once(args: &WatchArgs) -> anyhow::Result<()> {
    // Read at each look: thresholds can be changed while it runs.
    let config = args.look.config.load(&[])?;
    let mut trigger = read_state(&args.state)?;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let window_ms = window_ms(&config);
    let report = look(&args.look, &config, (Some(now_ms - window_ms), Some(now_ms)), window_ms)?;
    let reading = report.reading();
    let fired = trigger.check(&config.retrain, &report.bundle, &reading, now_ms);
    let figure = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.4}"));
    println!(
        "{}: {} answers, AUC of complete {}, PSI of the heads {}: {}",
        report.bundle,
        report.answers,
        figure(reading.auc.map(|auc| auc.value)),
        figure(reading.psi),
        if fired.is_some() { "asks for a new ranker" } else { "nothing to do" },
    );
    // Before anything is done: a command that is killed is not run again at once.
    write_state(&args.state, &trigger)?;
    let Some(fired) = fired else { return Ok(()) };
    let told = Told { at_ms: now_ms, fired, bundle: report.bundle, auc: reading.auc, psi: reading.psi };
    let failed = drift::act(&config.retrain, &told, &args.state.with_extension("fired.json"));
    if !failed.is_empty() {
        let failed: Vec<String> = failed.iter().map(ToString::to_string).collect();
        bail!("{}", failed.join("; "));
    }
    Ok(())
}

fn read_state(path: &Path) -> anyhow::Result<Trigger> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .with_context(|| format!("{}: no state of a trigger; remove it to begin anew", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Trigger::default()),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

fn write_state(path: &Path, trigger: &Trigger) -> anyhow::Result<()> {
    drift::write(path, &(serde_json::to_string_pretty(trigger)? + "\n"))?;
    Ok(())
}

fn window_ms(config: &Config) -> i64 {
    i64::try_from(config.drift.window_min).unwrap_or(i64::MAX / 60_000).saturating_mul(60_000)
}

/// Reads the logs and makes the report; without a begin or an end, the window at the end of the log.
fn look(
    args: &LookArgs,
    config: &Config,
    (from_ms, until_ms): (Option<i64>, Option<i64>),
    step_ms: i64,
) -> anyhow::Result<DriftReport> {
    let manifest = Manifest::read(&args.bundle)?;
    let reference = read_reference(&args.bundle, &manifest)?;
    let catalogue = Bundle::read_catalogue(&args.bundle)?;
    let logs = Logs { log: args.log.clone(), archive: args.archive.clone(), to_the_end: args.to_the_end };
    let range = |(_, end): (i64, i64)| {
        let until_ms = until_ms.unwrap_or(end);
        Range { from_ms: from_ms.unwrap_or_else(|| until_ms.saturating_sub(window_ms(config))), until_ms }
    };
    let mut steps = Steps::default();
    let of = (manifest.version.as_str(), reference.as_ref());
    let found = drift::collect(&logs, &catalogue, config, of, range, &mut |at| steps.set(at.step, at.done, at.total))?;
    let range = range(found.window);
    if range.from_ms >= range.until_ms {
        bail!("--from {} is not before --until {}", range.from_ms, range.until_ms);
    }
    let settings = Settings { range, step_ms, resamples: RESAMPLES, seed: SEED };
    Ok(drift::report(&manifest.version, &found, reference.as_ref(), &settings))
}

/// Unix ms or an RFC 3339 instant.
fn moment(text: &str) -> Result<i64, String> {
    let instant = text.parse().ok().or_else(|| Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond()));
    instant.ok_or_else(|| "expected Unix milliseconds or an instant like 2026-01-31T00:00:00Z".into())
}
