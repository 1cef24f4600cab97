//! `segue experiment`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail};

use super::common::{ConfigArgs, KeptArgs};
use super::progress::Progress;
use crate::domain::Catalogue;
use crate::experiment::{MEASURES, Settings, change_chart, exposed, html_page, lived, report, text_table};
use crate::store;
use crate::tables::read_tracks;

/// Works on the experiments of the configuration
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Compares the arms of an experiment: who was exposed, by the feature log, and what they did, by the archive of events
    #[command(after_help = "Example:
  segue events export --data-dir segue-data --out archive
  segue experiment report --config segue.toml --name bolder --log segue-features --archive archive \\
      --tracks models/demo/tracks.parquet --out out/bolder")]
    Report(ReportArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The experiment, as `[[experiments]]` of the configuration names it
    #[arg(long)]
    name: String,
    #[command(flatten)]
    kept: KeptArgs,
    /// Leave out what happened from then on, RFC 3339; absent: all that is archived counts
    #[arg(long, value_name = "MOMENT")]
    until: Option<String>,
    /// Intervals of one look at a time that was fixed beforehand: narrower, and wrong where one looks more often
    #[arg(long)]
    fixed_horizon: bool,
    /// Listeners at which the other intervals are tightest, chosen beforehand
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(2..))]
    planned: u64,
    /// A measure that may not get worse by more than a part of the first arm's figure: NAME=PART; may be given again
    #[arg(long = "guardrail", value_name = "NAME=PART", default_values = ["early_skip_rate=0.05", "daily_active_minutes=0.02"])]
    guardrails: Vec<String>,
    /// P value of the test of the arms' sizes below which there is no report, 0..=1
    #[arg(long, default_value_t = 0.01)]
    mismatch: f64,
    /// Report all the same where the arms are not as large as they should be
    #[arg(long)]
    despite_mismatch: bool,
    /// Print the report as JSON instead of the table
    #[arg(long)]
    json: bool,
    /// Directory for report.json, report.txt, report.html and changes.svg; absent: only the table is printed
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Report(args) => run_report(&args),
    }
}

fn run_report(args: &ReportArgs) -> anyhow::Result<()> {
    let config = args.config.load(&[])?;
    let Some(experiment) = config.experiments.iter().find(|experiment| experiment.name == args.name) else {
        let names: Vec<&str> = config.experiments.iter().map(|experiment| experiment.name.as_str()).collect();
        bail!("--name {}: the configuration has no such experiment; it has: {}", args.name, names.join(", "));
    };
    let settings = Settings {
        fixed_horizon: args.fixed_horizon,
        planned: usize::try_from(args.planned).unwrap_or(usize::MAX),
        mismatch: args.mismatch,
        despite_mismatch: args.despite_mismatch,
        guardrails: guardrails(&args.guardrails)?,
    };
    let until = args.until.as_deref().map(str::parse::<jiff::Timestamp>).transpose().context("--until")?;
    let catalogue = Catalogue::new(read_tracks(&args.kept.tracks)?)?;
    let found = exposed(&store::open(&args.kept.log)?, experiment)?;
    let progress = Progress::new("events");
    let until_ms = until.map(|until| until.as_millisecond());
    let archive = store::open(&args.kept.archive)?;
    let (lives, end) = lived(&archive, &found, &catalogue, &config, until_ms, &mut |done| progress.set(done, 0))?;
    drop(progress);
    let report = report(experiment, &found, &lives, end, catalogue.len(), &settings)?;
    let (json, table) = (serde_json::to_string_pretty(&report)?, text_table(&report));
    print!("{}", if args.json { &json } else { &table });
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
        let (page, chart) = (html_page(&report), change_chart(&report));
        for (name, text) in
            [("report.json", json), ("report.txt", table), ("report.html", page), ("changes.svg", chart)]
        {
            std::fs::write(out.join(name), text)
                .with_context(|| format!("cannot write {name} to {}", out.display()))?;
        }
        eprintln!("written to {}", out.display());
    }
    Ok(())
}

fn guardrails(given: &[String]) -> anyhow::Result<BTreeMap<String, f64>> {
    let mut guardrails = BTreeMap::new();
    for text in given {
        let Some((name, margin)) = text.split_once('=') else {
            bail!("--guardrail {text}: expected NAME=PART, e.g. early_skip_rate=0.05");
        };
        if !MEASURES.iter().any(|measure| measure.name == name) {
            let names: Vec<&str> = MEASURES.iter().map(|measure| measure.name).collect();
            bail!("--guardrail {text}: there is no such measure; there are: {}", names.join(", "));
        }
        let margin: f64 = margin.parse().with_context(|| format!("--guardrail {text}"))?;
        if !(0.0..1.0).contains(&margin) {
            bail!("--guardrail {text}: the part must be at least 0 and below 1");
        }
        guardrails.insert(name.to_owned(), margin);
    }
    Ok(guardrails)
}
