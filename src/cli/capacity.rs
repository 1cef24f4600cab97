//! `segue capacity`.

use anyhow::bail;

use crate::capacity::{ASSUMPTIONS, Node, Service, plan, text_table};

/// Says how many nodes a service needs, from the costs that docs/performance.md measured
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  segue capacity --tracks 100e6 --users 500e6 --qps 50e3
  segue capacity --tracks 1e6 --users 2e6 --qps 800 --cores 8 --memory-gb 32 --bundles 1 --json")]
pub(super) struct Args {
    /// Tracks of the catalogue
    #[arg(long, value_parser = positive)]
    tracks: f64,
    /// Listeners with a profile
    #[arg(long, value_parser = positive)]
    users: f64,
    /// Recommendation requests a second at the busiest moment
    #[arg(long, value_parser = positive)]
    qps: f64,
    /// Share of the listeners that are in a session at the busiest moment
    #[arg(long, value_parser = share, default_value = "0.02")]
    active: f64,
    /// Candidates that the ranker scores
    #[arg(long, value_parser = positive, default_value = "1000")]
    candidates: f64,
    /// Cores of a node
    #[arg(long, value_parser = positive, default_value = "32")]
    cores: f64,
    /// Memory of a node, GB
    #[arg(long, value_parser = positive, default_value = "256")]
    memory_gb: f64,
    /// Share of a node's CPU time that is planned to be used
    #[arg(long, value_parser = share, default_value = "0.6")]
    busy: f64,
    /// Bundles in memory at once: 2 where the next one is loaded beside the one that serves
    #[arg(long, value_parser = positive, default_value = "2")]
    bundles: f64,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (tracks, users, active) = (args.tracks, args.users, args.active);
    let service = Service { tracks, users, active, qps: args.qps, candidates: args.candidates };
    let node = Node { cores: args.cores, memory: args.memory_gb * 1e9, busy: args.busy, bundles: args.bundles };
    let found = plan(&service, &node);
    match args.json {
        true => {
            let report = serde_json::json!({
                "service": service, "node": node, "plan": found, "request_ms": found.request.total(), "nodes": found.nodes(),
                "assumed": ASSUMPTIONS,
            });
            println!("{}", serde_json::to_string_pretty(&report)?);
        }
        false => print!("{}", text_table(&service, &node, &found)),
    }
    if !found.nodes().is_finite() {
        bail!(
            "{:.0} GB of catalogue do not fit into a node of {} GB: give --memory-gb more, or --bundles 1",
            found.catalogue / 1e9,
            args.memory_gb
        );
    }
    Ok(())
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "a number such as 5000 or 100e6".to_owned())?;
    (number > 0.0 && number <= 1e15).then_some(number).ok_or_else(|| "more than 0, at most 1e15".into())
}

fn share(text: &str) -> Result<f64, String> {
    positive(text).ok().filter(|share| *share <= 1.0).ok_or_else(|| "a share, more than 0 and at most 1".into())
}
