//! `segue load`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use serde_json::{Map, Value};

use crate::load::{
    self, Arrivals, Bound, CapacityReport, Cost, Crowd, Memory, MixPlan, Moment, Panel, Phase, PhaseReport, Plan,
    Target, capacity_table, charts, overload_table, phase_report, run_table, soak_table,
};

/// Puts load on a server, as listeners would: an open loop whose latencies count from when each request was due
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  segue load run --rate 100 --seconds 30 --pid $(pgrep -x segue)
  segue load capacity --bound 200 --bound 50
  segue load overload --capacity 120 --json
  segue load soak --rate 80 --seconds 1800 --out out/soak")]
pub(super) enum Command {
    /// One rate: latencies, rungs, what a request takes
    Run(RateArgs),
    /// The highest rate at which P99 and quality hold
    Capacity(CapacityArgs),
    /// 1, 2, 4 and 10 times the capacity, and what comes after
    Overload(OverloadArgs),
    /// One rate for long: slope of memory, drift of latency
    Soak(RateArgs),
}

#[derive(Debug, clap::Args)]
struct Common {
    /// The server, HOST:PORT
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    target: Target,
    /// Canonical events (docs/formats.md): whose listeners ask, and how they listen
    #[arg(long, value_name = "FILE", default_value = "models/demo-listeners.parquet")]
    listeners: PathBuf,
    /// The server knows these listeners already: their events are not sent first
    #[arg(long)]
    no_recall: bool,
    /// When requests are due: independent of each other, or at equal gaps
    #[arg(long, value_enum, default_value_t = ArrivalsArg::Poisson)]
    arrivals: ArrivalsArg,
    /// Seed of moments and requests
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads that send
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Most connections at once
    #[arg(long, default_value_t = 512)]
    connections: usize,
    /// How long a client waits, ms
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=120_000))]
    patience_ms: u64,
    /// An answer within this is good, ms
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=120_000))]
    objective_ms: u64,
    /// Share of sessions of new listeners, 0..=1
    #[arg(long, default_value_t = MixPlan::default().new_share)]
    new_share: f64,
    /// Share of sessions that start from a track, 0..=1
    #[arg(long, default_value_t = MixPlan::default().radio_share)]
    radio_share: f64,
    /// Mean time between requests of a session, s
    #[arg(long, default_value_t = MixPlan::default().think_s)]
    think_s: f64,
    /// Mean requests of a session
    #[arg(long, default_value_t = MixPlan::default().asks)]
    asks: f64,
    /// Most plays of an answer before the next request
    #[arg(long, default_value_t = MixPlan::default().plays)]
    plays: usize,
    /// Tracks asked for
    #[arg(long, default_value_t = MixPlan::default().limit)]
    limit: usize,
    /// Fields that every recommendation request has beside its own, as a JSON object, e.g. {"diversity":0}
    #[arg(long, value_name = "JSON", value_parser = object, default_value = "{}")]
    fields: Map<String, Value>,
    /// A process of the server on this machine, for CPU time and memory; may be given again, children count
    #[arg(long = "pid", value_name = "PID")]
    pids: Vec<u32>,
    /// Print the report as JSON instead of the table
    #[arg(long)]
    json: bool,
    /// Directory for report.json, report.txt and chart.svg; absent: only the report is printed
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ArrivalsArg {
    Poisson,
    Uniform,
}

#[derive(Debug, clap::Args)]
pub(super) struct RateArgs {
    #[command(flatten)]
    common: Common,
    /// Recommendations a second
    #[arg(long)]
    rate: f64,
    /// How long, s
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
    /// Warm-up at the same rate before, not measured, s
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
}

#[derive(Debug, clap::Args)]
struct SearchArgs {
    /// The first rate that is tried, recommendations a second
    #[arg(long, default_value_t = 64.0)]
    from: f64,
    /// How long each rate is tried, s
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// How near to the rate that fails the result may lie, part
    #[arg(long, default_value_t = 0.05)]
    precision: f64,
    /// Share of the recommendations that must come from the rung `full`, 0..=1
    #[arg(long, default_value_t = 0.99)]
    full_share: f64,
}

#[derive(Debug, clap::Args)]
pub(super) struct CapacityArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    search: SearchArgs,
    /// P99 that must hold, ms; may be given again
    #[arg(long = "bound", value_name = "MS", default_values_t = [200.0, 50.0])]
    bounds: Vec<f64>,
}

#[derive(Debug, clap::Args)]
pub(super) struct OverloadArgs {
    #[command(flatten)]
    common: Common,
    /// What 1 x is, recommendations a second; absent: measured first, P99 under the objective
    #[arg(long)]
    capacity: Option<f64>,
    #[command(flatten)]
    search: SearchArgs,
}

pub(super) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Run(args) => run_rate(args),
        Command::Capacity(args) => capacity(args),
        Command::Overload(args) => overload(args),
        Command::Soak(args) => soak(args),
    }
}

impl Common {
    /// Reads the listeners and makes the server know them.
    fn crowd(&self) -> anyhow::Result<Crowd> {
        let crowd = Crowd::read(&self.listeners).context("--listeners")?;
        if !self.no_recall {
            let sent = load::recall(&self.target, &crowd, Duration::from_secs(30))?;
            eprintln!("{} listeners, {sent} events of their past sent", crowd.listeners.len());
        }
        Ok(crowd)
    }

    fn plan(&self, phases: Vec<Phase>) -> Plan {
        Plan {
            phases,
            arrivals: match self.arrivals {
                ArrivalsArg::Poisson => Arrivals::Poisson,
                ArrivalsArg::Uniform => Arrivals::Uniform,
            },
            mix: MixPlan {
                new_share: self.new_share,
                radio_share: self.radio_share,
                think_s: self.think_s,
                asks: self.asks,
                plays: self.plays,
                limit: self.limit,
            },
            fields: self.fields.clone(),
            seed: self.seed,
            threads: self.threads,
            connections: self.connections,
            patience: Duration::from_millis(self.patience_ms),
            objective: Duration::from_millis(self.objective_ms),
            pids: self.pids.clone(),
        }
    }

    fn show(&self, report: &impl serde::Serialize, table: &str, panels: &[Panel]) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(report)?;
        if self.json {
            println!("{json}");
        } else {
            print!("{table}");
        }
        let Some(out) = &self.out else { return Ok(()) };
        std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
        let files = [("report.json", json.as_str()), ("report.txt", table), ("chart.svg", &charts(panels))];
        for (name, text) in files {
            write(out, name, text)?;
        }
        eprintln!("written to {}", out.display());
        Ok(())
    }
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("no JSON object: {error}"))
}

fn write(out: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    std::fs::write(out.join(name), text).with_context(|| format!("cannot write {name} to {}", out.display()))
}

/// What `segue load run` writes.
#[derive(serde::Serialize)]
struct RunReport {
    phase: PhaseReport,
    cost: Cost,
    timeline: Vec<Moment>,
}

fn run_rate(args: &RateArgs) -> anyhow::Result<()> {
    let common = &args.common;
    let crowd = common.crowd()?;
    warm_up(args, &crowd)?;
    let phase = Phase { rate: args.rate, seconds: args.seconds };
    let plan = common.plan(vec![phase]);
    let observed = load::run(&plan, &common.target, &crowd)?;
    let report = RunReport {
        phase: phase_report(phase, &observed.records[0]),
        cost: Cost::of(&observed),
        timeline: load::timeline(&plan.phases, &observed.records),
    };
    common.show(&report, &run_table(&report.phase, &report.cost), &over_time(&report.timeline))
}

/// Load that is not measured, in a run of its own.
fn warm_up(args: &RateArgs, crowd: &Crowd) -> anyhow::Result<()> {
    let plan = args.common.plan(vec![Phase { rate: args.rate, seconds: args.warm_up }]);
    load::run(&plan, &args.common.target, crowd)?;
    Ok(())
}

fn capacities(
    common: &Common,
    search: &SearchArgs,
    bounds: &[f64],
    crowd: &Crowd,
) -> anyhow::Result<Vec<CapacityReport>> {
    let stage = Phase { rate: search.from, seconds: search.seconds };
    let measure = |bound: &f64| {
        let bound = Bound { p99_ms: *bound, full_share: search.full_share };
        load::measure(&common.plan(Vec::new()), &common.target, crowd, bound, stage, search.precision)
    };
    Ok(bounds.iter().map(measure).collect::<Result<Vec<_>, _>>()?)
}

fn capacity(args: &CapacityArgs) -> anyhow::Result<()> {
    let common = &args.common;
    let crowd = common.crowd()?;
    let reports = capacities(common, &args.search, &args.bounds, &crowd)?;
    let mut tried: Vec<(f64, f64, f64)> = reports
        .iter()
        .flat_map(|report| &report.probes)
        .map(|probe| (probe.phase.rate, probe.phase.latency.p50, probe.phase.latency.p99))
        .collect();
    tried.sort_by(|a, b| a.0.total_cmp(&b.0));
    let p50 = tried.iter().map(|one| (one.0, one.1)).collect();
    let p99 = tried.iter().map(|one| (one.0, one.2)).collect();
    let panel = Panel { title: "latency, ms".into(), across: "requests/s", lines: vec![("P50", p50), ("P99", p99)] };
    common.show(&reports, &capacity_table(&reports), &[panel])
}

fn overload(args: &OverloadArgs) -> anyhow::Result<()> {
    let common = &args.common;
    let crowd = common.crowd()?;
    let capacity = match args.capacity {
        Some(capacity) => capacity,
        None => {
            let found = capacities(common, &args.search, &[common.objective_ms as f64], &crowd)?;
            let capacity = found.first().map_or(0.0, |report| report.capacity_per_s);
            anyhow::ensure!(capacity > 0.0, "{}: no rate holds P99 < {} ms", common.target, common.objective_ms);
            capacity
        }
    };
    let plan = common.plan(Vec::new());
    let report = load::overload(&plan, &common.target, &crowd, capacity, args.search.seconds)?;
    common.show(&report, &overload_table(&report), &over_time(&report.timeline))
}

fn soak(args: &RateArgs) -> anyhow::Result<()> {
    let common = &args.common;
    let crowd = common.crowd()?;
    warm_up(args, &crowd)?;
    let phase = Phase { rate: args.rate, seconds: args.seconds };
    let report = load::soak(&common.plan(Vec::new()), &common.target, &crowd, phase)?;
    let megabytes = |one: &Memory| (one.at_s, one.resident_bytes as f64 / 1e6);
    let memory = report.memory.iter().map(megabytes).collect();
    let mut panels = over_time(&report.timeline);
    panels.push(Panel { title: "resident memory, MB".into(), across: "s", lines: vec![("resident", memory)] });
    common.show(&report, &soak_table(&report), &panels)
}

/// Rates and latencies of a run.
fn over_time(timeline: &[Moment]) -> Vec<Panel> {
    let line = |of: fn(&Moment) -> f64| timeline.iter().map(|moment| (moment.at_s, of(moment))).collect();
    let rates = vec![("due", line(|moment| moment.asked_per_s)), ("good", line(|moment| moment.good_per_s))];
    let latencies = vec![("P50", line(|moment| moment.p50_ms)), ("P99", line(|moment| moment.p99_ms))];
    vec![
        Panel { title: "recommendations/s".into(), across: "s", lines: rates },
        Panel { title: "latency from due, ms".into(), across: "s", lines: latencies },
    ]
}
