//! `segue simulate`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};

use super::common::ConfigArgs;
use super::progress::Progress;
use crate::bundle::Bundle;
use crate::domain::Request;
use crate::inference::Runtime;
use crate::simulate::{self, Plan, Policy, SimulationReport, day_chart, summarise, text_table};
use crate::world::WorldConfig;

/// Lets listeners of the synthetic world be served for weeks, by one policy or several, and shows what becomes of them
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  segue simulate --bundle models/demo --listeners 2000 --days 28 --out out/loop
  segue simulate --bundle models/demo --policy default --policy \"greedy: exploration.positions=[]; exploration.more_positions=[]\"
  segue simulate --bundle models/demo --policy default --policy \"familiar: request.discovery=0\" --seeds 10 --json")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// A bundle of the world
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// A name, and what it changes: \"NAME: KEY=VALUE; KEY=VALUE\"; a key of the configuration, request.discovery or
    /// request.diversity. May be given again; the others are compared with the first
    #[arg(long = "policy", value_name = "POLICY", default_value = "default")]
    policies: Vec<String>,
    /// Listeners, 1..=5000000; none of them is known to the bundle
    #[arg(long, default_value_t = 1_000)]
    listeners: u32,
    /// Days served, 1..=730
    #[arg(long, default_value_t = 28, value_parser = clap::value_parser!(u32).range(1..=730))]
    days: u32,
    /// Days before them in which listeners choose for themselves, 0..=730
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(0..=730))]
    warm_days: u32,
    /// Plays of an answer after which a client asks again, 1..=20
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=20))]
    refresh: u8,
    /// Share of plays that listeners choose for themselves, 0..=1
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    own_choice: f64,
    /// First seed
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Crowds, each with a seed of its own, 1..=1000
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: u32,
    /// Runs at a time; absent: as many as cores
    #[arg(long)]
    threads: Option<usize>,
    /// Tracks of the bundle's world
    #[arg(long, default_value_t = WorldConfig::default().tracks)]
    tracks: u32,
    /// Days of the bundle's world
    #[arg(long, default_value_t = WorldConfig::default().days)]
    world_days: u32,
    /// Last day of the bundle's world, exclusive: the first simulated one
    #[arg(long, default_value_t = WorldConfig::default().end_day)]
    end_day: i32,
    /// Seed of the bundle's world
    #[arg(long, default_value_t = WorldConfig::default().seed)]
    world_seed: u64,
    /// Print the report as JSON instead of the table
    #[arg(long)]
    json: bool,
    /// Directory for report.json, report.txt and days.svg; absent: only the table is printed
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let policies = args.policies.iter().map(|text| policy(args, text)).collect::<anyhow::Result<Vec<_>>>()?;
    let names: Vec<String> = policies.iter().map(|policy| policy.name.clone()).collect();
    if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        bail!("--policy {}: two policies have this name", twice.1);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let plan = Plan {
        world: WorldConfig {
            tracks: args.tracks,
            days: args.world_days,
            end_day: args.end_day,
            seed: args.world_seed,
            ..WorldConfig::default()
        },
        listeners: args.listeners,
        warm_days: args.warm_days,
        days: args.days,
        refresh: usize::from(args.refresh),
        own_choice: args.own_choice,
        seed: args.seed,
        seeds: args.seeds,
        threads: args.threads.unwrap_or(cores),
    };
    let progress = std::sync::Mutex::new(Progress::new("days"));
    let runs = simulate::run(&plan, &policies, &|done, of| {
        if let Ok(shown) = progress.lock() {
            shown.set(done, of);
        }
    })?;
    drop(progress);
    let (policies, comparisons) = summarise(&names, runs);
    let seeds = (args.seed, args.seeds);
    let report = SimulationReport { listeners: args.listeners, days: args.days, seeds, policies, comparisons };
    let json = serde_json::to_string_pretty(&report)?;
    let table = text_table(&report);
    print!("{}", if args.json { &json } else { &table });
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
        for (name, text) in [("report.json", json), ("report.txt", table), ("days.svg", day_chart(&report))] {
            std::fs::write(out.join(name), text)
                .with_context(|| format!("cannot write {name} to {}", out.display()))?;
        }
        eprintln!("written to {}", out.display());
    }
    Ok(())
}

/// Reads a policy and loads its bundle under its configuration.
fn policy(args: &Args, text: &str) -> anyhow::Result<Policy> {
    let (name, changes) = text.split_once(':').unwrap_or((text, ""));
    let name = name.trim();
    if name.is_empty() {
        bail!("--policy {text}: expected NAME or \"NAME: KEY=VALUE; KEY=VALUE\"");
    }
    let (mut discovery, mut diversity, mut more) = (Request::DISCOVERY, Request::DIVERSITY, Vec::new());
    for change in changes.split(';').map(str::trim).filter(|change| !change.is_empty()) {
        let Some((key, value)) = change.split_once('=') else {
            bail!("--policy {name}: {change}: expected KEY=VALUE, e.g. knobs.skip_penalty=0");
        };
        let (key, value) = (key.trim(), value.trim());
        let dial = || share(value).map_err(|why| anyhow::anyhow!("--policy {name}: {key}={value}: {why}"));
        match key {
            "request.discovery" => discovery = dial()? as f32,
            "request.diversity" => diversity = dial()? as f32,
            _ => more.push((key, value.to_owned())),
        }
    }
    let config = args.config.load(&more).with_context(|| format!("--policy {name}"))?;
    let runtime = Runtime::open(&config.inference)?;
    let bundle = Arc::new(Bundle::load(&args.bundle, &config, &runtime)?);
    Ok(Policy { name: name.to_owned(), config, bundle, discovery, diversity })
}

fn share(given: &str) -> Result<f64, String> {
    let value = given.parse::<f64>().map_err(|error| error.to_string())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("must be in 0..=1".into()) }
}
