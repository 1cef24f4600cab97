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
    self, EvalConfig, EvalReport, GlobalPopular, LabelledPlay, MarketPopular, Moments, RecentArtists, System,
};
use crate::features::StateStore;
use crate::inference::Runtime;
use crate::pipeline::Pipeline;
use crate::stages::rerank::Likeness;
use crate::stages::retrieve::{OwnTracks, Successors};
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
    /// Next-track prediction as it is published: only plays after the first of sessions that begin in the test period, of
    /// tracks that were played before it
    #[arg(long)]
    in_session: bool,
    /// Most moments evaluated
    #[arg(long, default_value_t = EvalConfig::default().max_moments)]
    max_moments: usize,
    /// Seed of sampling and resampling
    #[arg(long, default_value_t = EvalConfig::default().seed)]
    seed: u64,
    /// Never propose what was played in the session (as serving does); histories repeat, so the default lets them
    #[arg(long)]
    no_repeats: bool,
    /// Diversity dials to evaluate, 0..1, with commas between; the first is the system called `segue`
    #[arg(long, value_name = "DIALS", value_delimiter = ',', default_value = "0", value_parser = dial)]
    diversity: Vec<f32>,
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
        moments: if args.in_session { Moments::InSession } else { Moments::Every },
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

/// A dial of a request.
fn dial(given: &str) -> Result<f32, String> {
    let value = given.parse::<f32>().map_err(|error| error.to_string())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("must be in 0..=1".into()) }
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
    let mut pipelines = systems(&wiring, repeats, &args.diversity)?;
    let mut systems: Vec<System<'_>> = pipelines
        .iter_mut()
        .map(|(name, diversity, pipeline)| System {
            heads: *name == "segue",
            name: name.clone(),
            pipeline,
            diversity: *diversity,
        })
        .collect();
    let likeness = Likeness::new(Arc::clone(&bundle.catalogue), Arc::clone(&bundle.vectors), config.rerank.audio_share);
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
    Ok(evaluate::run(plan, &bundle.catalogue, likeness, || read_events(&events), apply, &mut systems, shown)?)
}

/// Name, diversity dial and pipeline of each system.
fn systems(wiring: &Wiring, repeats: Repeats, dials: &[f32]) -> Result<Vec<(String, f32, Pipeline)>, AppError> {
    let bundle = wiring.bundle();
    let popularity = || Arc::clone(&bundle.popularity);
    let recent = RecentArtists::new(Arc::clone(&bundle.catalogue), &bundle.popularity);
    let mut systems = Vec::new();
    for (at, dial) in dials.iter().enumerate() {
        let name = if at == 0 { "segue".to_owned() } else { format!("segue, diversity {dial}") };
        systems.push((name, *dial, wiring.offline(repeats)?.build()));
    }
    let baselines = [
        ("sequential rules", wiring.baseline(Successors::new(Arc::clone(&bundle.rules)), BASELINE_QUOTA)),
        ("own tracks", wiring.baseline(OwnTracks::default(), BASELINE_QUOTA)),
        ("popular", wiring.baseline(GlobalPopular::new(popularity()), BASELINE_QUOTA)),
        ("popular in market", wiring.baseline(MarketPopular::new(popularity()), BASELINE_QUOTA)),
        ("recent artists", wiring.baseline(recent, BASELINE_QUOTA)),
    ];
    systems.extend(baselines.map(|(name, builder)| (name.to_owned(), 0.0, builder.build())));
    Ok(systems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dials_lie_between_0_and_1() {
        assert_eq!([dial("0"), dial("0.25"), dial("1")], [Ok(0.0), Ok(0.25), Ok(1.0)]);
        assert!(["1.1", "-0.1", "NaN", "much"].iter().all(|wrong| dial(wrong).is_err()));
    }

    #[test]
    fn a_bundle_is_not_tested_on_what_it_has_seen() {
        assert_eq!([test_from_ms(None, 50).unwrap(), test_from_ms(Some(50), 50).unwrap()], [50, 50]);
        assert_eq!(test_from_ms(Some(51), 50).unwrap(), 51);
        let refused = test_from_ms(Some(49), 50).unwrap_err().to_string();
        assert!(refused.contains("--as-of 49"), "{refused}");
    }
}
