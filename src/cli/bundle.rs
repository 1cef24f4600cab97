//! `segue bundle`.

use std::path::PathBuf;

use anyhow::bail;

use super::common::ConfigArgs;
use super::progress::Steps;
use super::swap;
use crate::bundle::{self, AsOf, BuildConfig, Folded, Manifest, UpdateConfig};
use crate::inference::Runtime;

/// Builds and looks at bundles, the unit of deployment
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Builds a bundle from canonical tables and models
    #[command(
        after_help = "Example:\n  segue bundle build --data data/world --rows out/rows --models out/models \\\n      --as-of test --out out/bundle\n  segue bundle build --data data --rows out/rows --models out/models --out out/next \\\n      \
            --changes segue-data/catalogue.ndjson"
    )]
    Build(BuildArgs),
    /// Makes a bundle of another one with a new ranker: nothing is embedded, counted or indexed again
    #[command(
        after_help = "Example:\n  segue bundle update --from models/demo --models out/models --rows out/rows --out out/next"
    )]
    Update(UpdateArgs),
    /// Checks every file of a bundle and reports every fault
    #[command(after_help = "Example:\n  segue bundle verify models/demo")]
    Verify(VerifyArgs),
    /// Shows what a bundle says of itself
    #[command(after_help = "Example:\n  segue bundle inspect models/demo")]
    Inspect(InspectArgs),
    /// Serves another bundle on a running server, in place of the one that it serves
    #[command(
        after_help = "Example:\n  segue bundle activate 2026-11-20.3 --to 127.0.0.1:8081\n  segue bundle activate 2026-11-20.3 --override-reason 'new towers, judged by hand'"
    )]
    Activate(swap::ActivateArgs),
    /// Serves the bundle again that a running server served before
    #[command(after_help = "Example:\n  segue bundle rollback --to 127.0.0.1:8081")]
    Rollback(swap::RollbackArgs),
    /// Shows the bundles that a running server can serve
    #[command(after_help = "Example:\n  segue bundle list --to 127.0.0.1:8081")]
    List(swap::ListArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct BuildArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Canonical tables: tracks.parquet, events.parquet
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Changes of the catalogue that a server has stored: put and taken down tracks go into the bundle
    #[arg(long, value_name = "FILE")]
    changes: Option<PathBuf>,
    /// The training rows' directory; its schema.json says where time was cut
    #[arg(long, value_name = "DIR")]
    rows: PathBuf,
    /// The models; without ranker.onnx the bundle has no ranker
    #[arg(long, value_name = "DIR")]
    models: PathBuf,
    /// Rules that name intents, as in a bundle's intents.json; absent: the default ones
    #[arg(long, value_name = "FILE")]
    intents: Option<PathBuf>,
    /// Where the bundle goes; must not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Up to when events count: rank, test, end, Unix ms or an RFC 3339 instant
    #[arg(long, default_value = "end")]
    as_of: AsOf,
    /// The bundle's version; absent: made from its date and content
    #[arg(long, value_name = "TEXT")]
    bundle_version: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The bundle that all but the ranker is taken from
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The models directory with the new ranker.onnx
    #[arg(long, value_name = "DIR")]
    models: PathBuf,
    /// The rows that it was trained on
    #[arg(long, value_name = "DIR")]
    rows: PathBuf,
    /// Where the bundle goes; must not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The bundle's version; absent: made from its date and content
    #[arg(long, value_name = "TEXT")]
    bundle_version: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The bundle
    bundle: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct InspectArgs {
    /// The bundle
    bundle: PathBuf,
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Build(args) => build(args),
        Command::Update(args) => update(args),
        Command::Verify(args) => verify(&args),
        Command::Inspect(args) => inspect(&args),
        Command::Activate(args) => swap::activate(&args),
        Command::Rollback(args) => swap::roll_back(&args),
        Command::List(args) => swap::list(&args),
    }
}

fn build(args: BuildArgs) -> anyhow::Result<()> {
    let config = args.config.load(&[])?;
    let runtime = Runtime::open(&config.inference)?;
    let mut plan = BuildConfig::new(args.data, args.models, args.rows, &args.out);
    plan.as_of = args.as_of;
    plan.version = args.bundle_version;
    plan.changes = args.changes;
    plan.intents = args.intents;
    plan.index = config.index;
    plan.signals = config.signals;
    let mut steps = Steps::default();
    let (manifest, folded) = bundle::build(&plan, &runtime, &mut |at| steps.set(at.step, at.done, at.total))?;
    drop(steps);
    println!("{}", args.out.display());
    print!("{}", manifest.table());
    if let Some(changes) = &plan.changes {
        let Folded { added, replaced, kept_artist, closed, unknown } = folded;
        println!(
            "{}: {added} tracks added, {replaced} changed ({kept_artist} keep artist and genre until models are trained \
             again), {closed} taken down, {unknown} unknown",
            changes.display()
        );
    }
    Ok(())
}

fn update(args: UpdateArgs) -> anyhow::Result<()> {
    let config = args.config.load(&[])?;
    let runtime = Runtime::open(&config.inference)?;
    let UpdateArgs { from, models, rows, out, bundle_version: version, .. } = args;
    let manifest = bundle::update(&UpdateConfig { from, models, rows, out: out.clone(), version }, &runtime)?;
    println!("{}", out.display());
    print!("{}", manifest.table());
    Ok(())
}

fn verify(args: &VerifyArgs) -> anyhow::Result<()> {
    let config = args.config.load(&[])?;
    let runtime = Runtime::open(&config.inference)?;
    let report = bundle::verify(&args.bundle, &config, &runtime);
    for (kind, difference) in &report.parity {
        println!("{}: differs from PyTorch by at most {difference:.1e}", kind.file());
    }
    for fault in &report.faults {
        eprintln!("{fault}");
    }
    if !report.is_sound() {
        bail!("{} is not sound: {} faults", args.bundle.display(), report.faults.len());
    }
    println!("{} is sound", args.bundle.display());
    Ok(())
}

fn inspect(args: &InspectArgs) -> anyhow::Result<()> {
    let manifest = Manifest::read(&args.bundle)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&manifest)?);
    } else {
        print!("{}", manifest.table());
        if let Some(intents) = bundle::intents_table(&args.bundle, &manifest)? {
            print!("\n{intents}");
        }
        if let Some(card) = bundle::model_card(&args.bundle, &manifest)? {
            print!("\n{card}");
        }
    }
    Ok(())
}
