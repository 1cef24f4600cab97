//! `segue eval`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};

use super::common::ConfigArgs;
use super::progress::Progress;
use crate::app::{AppError, Repeats, Wiring};
use crate::bundle::Bundle;
use crate::config::Config;
use crate::domain::Event;
use crate::evaluate::{
    self, EvalConfig, EvalReport, GlobalPopular, LabelledPlay, MarketPopular, RecentArtists, System,
};
use crate::features::StateStore;
use crate::inference::Runtime;
use crate::pipeline::Pipeline;
use crate::tables::read_events;

/// Candidates a baseline may propose.
const BASELINE_QUOTA: usize = 1_000;

/// Evaluates a bundle on held-out days through the serving code, beside baselines
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  segue eval --data data/world --bundle out/test-bundle --out out/eval")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Canonical tables: events.parquet
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The bundle
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Begin of the test period, Unix ms, not before the bundle's date; absent: the bundle's date
    #[arg(long, value_name = "MS")]
    test_from: Option<i64>,
    /// Most moments evaluated
    #[arg(long, default_value_t = EvalConfig::default().max_moments)]
    max_moments: usize,
    /// Seed of sampling and resampling
    #[arg(long, default_value_t = EvalConfig::default().seed)]
    seed: u64,
    /// Never propose what was played in the session (as serving does); histories repeat, so the default lets them
    #[arg(long)]
    no_repeats: bool,
    /// Directory for report.json, report.txt and report.svg; absent: only the table is printed
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let config = args.config.load(&[])?;
    let runtime = Runtime::open(&config.inference)?;
    let bundle = Arc::new(Bundle::load(&args.bundle, &config, &runtime)?);
    let plan = EvalConfig {
        test_from_ms: test_from_ms(args.test_from, bundle.manifest.as_of_ms)?,
        max_moments: args.max_moments,
        seed: args.seed,
        knobs: config.knobs,
        ..EvalConfig::default()
    };
    let repeats = if args.no_repeats { Repeats::AsConfigured } else { Repeats::Allowed };
    let report = evaluate(&config, &plan, &args, bundle, repeats)?;
    if report.moments == 0 {
        bail!("no play starts at or after {} ms in {}", plan.test_from_ms, args.data.display());
    }
    let table = evaluate::text_table(&report);
    print!("{table}");
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
        std::fs::write(out.join("report.json"), serde_json::to_string_pretty(&report)?)?;
        std::fs::write(out.join("report.txt"), &table)?;
        std::fs::write(out.join("report.svg"), evaluate::bar_chart(&report))?;
        println!("written to {}", out.display());
    }
    Ok(())
}

/// Where the test period begins. A bundle knows everything before its date: tested on that, it would tell what it has seen.
fn test_from_ms(asked: Option<i64>, as_of_ms: i64) -> anyhow::Result<i64> {
    match asked {
        Some(from_ms) if from_ms < as_of_ms => bail!(
            "--test-from {from_ms} lies before the bundle's date, {as_of_ms}: it has seen the plays between them; \
             build one with --as-of {from_ms}"
        ),
        Some(from_ms) => Ok(from_ms),
        None => Ok(as_of_ms),
    }
}

/// Replays the events and asks every system at the sampled moments.
fn evaluate(
    config: &Config,
    plan: &EvalConfig,
    args: &Args,
    bundle: Arc<Bundle>,
    repeats: Repeats,
) -> anyhow::Result<EvalReport> {
    let state = Arc::new(StateStore::new(&config.state, &config.signals));
    let wiring = Wiring::new(config, Arc::clone(&bundle), Arc::clone(&state));
    let mut pipelines = systems(&wiring, repeats)?;
    let mut systems: Vec<System<'_>> = pipelines
        .iter_mut()
        .map(|(name, pipeline)| System { name: (*name).to_owned(), pipeline, heads: *name == "segue" })
        .collect();
    let events = args.data.join("events.parquet");
    let progress = Progress::new("moments");
    let apply = |event: &Event, ended: &mut Vec<LabelledPlay>| {
        // A track that the bundle does not know changes nothing, as when it is served.
        if let Ok(applied) = state.apply(event, &bundle.catalogue, &bundle.vectors) {
            let plays = [applied.displaced, applied.ended].into_iter().flatten();
            ended.extend(plays.map(|ended| LabelledPlay { track: ended.play.track, labels: ended.labels() }));
        }
    };
    let shown = |at: evaluate::Progress| progress.set(at.moments, at.of);
    Ok(evaluate::run(plan, &bundle.catalogue, || read_events(&events), apply, &mut systems, shown)?)
}

fn systems(wiring: &Wiring, repeats: Repeats) -> Result<Vec<(&'static str, Pipeline)>, AppError> {
    let bundle = wiring.bundle();
    let popularity = || Arc::clone(&bundle.popularity);
    let recent = RecentArtists::new(Arc::clone(&bundle.catalogue), &bundle.popularity);
    Ok(vec![
        ("segue", wiring.offline(repeats)?.build()),
        ("popular", wiring.baseline(GlobalPopular::new(popularity()), BASELINE_QUOTA).build()),
        ("popular in market", wiring.baseline(MarketPopular::new(popularity()), BASELINE_QUOTA).build()),
        ("recent artists", wiring.baseline(recent, BASELINE_QUOTA).build()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_not_tested_on_what_it_has_seen() {
        assert_eq!([test_from_ms(None, 50).unwrap(), test_from_ms(Some(50), 50).unwrap()], [50, 50]);
        assert_eq!(test_from_ms(Some(51), 50).unwrap(), 51);
        let refused = test_from_ms(Some(49), 50).unwrap_err().to_string();
        assert!(refused.contains("--as-of 49"), "{refused}");
    }
}
