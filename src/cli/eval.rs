//! `segue eval`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};

use super::common::ConfigArgs;
use super::progress::Progress;
use crate::app::{AppError, Repeats, Wiring};
use crate::bundle::Bundle;
use crate::config::Config;
use crate::domain::Event;
use crate::evaluate::{
    self, Dials, EvalConfig, EvalReport, GlobalPopular, LabelledPlay, ListMeasures, MarketPopular, Moments,
    RecentArtists, System,
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
#[command(after_help = "Examples:
  segue eval --data data/world --bundle out/test-bundle --out out/eval
  segue eval --data data/world --bundle out/new --against out/old --json
  segue eval --data data/world --bundle out/test-bundle --discovery 0,0.25,0.5,0.75,1 --out out/dial")]
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
    #[arg(long, group = "moments")]
    in_session: bool,
    /// Only plays of tracks that were played fewer than ten times before the test period, by how often
    #[arg(long, group = "moments")]
    cold_tracks: bool,
    /// Only the first ten plays of listeners, by how many they had
    #[arg(long, group = "moments")]
    cold_users: bool,
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
    /// Discovery dials to evaluate, 0..1, with commas between; the first is the system called `segue`
    #[arg(long, value_name = "DIALS", value_delimiter = ',', default_value = "0", value_parser = dial)]
    discovery: Vec<f32>,
    /// Another bundle of the same tracks, compared at the same moments
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Directory for report.json, report.txt, report.html and the drawings; absent: only the table is printed
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Args {
    fn moments(&self) -> Moments {
        match (self.in_session, self.cold_tracks, self.cold_users) {
            (true, _, _) => Moments::InSession,
            (_, true, _) => Moments::ColdTracks,
            (_, _, true) => Moments::ColdListeners,
            _ => Moments::Every,
        }
    }
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let config = args.config.load(&[])?;
    let runtime = Runtime::open(&config.inference)?;
    let bundle = Arc::new(Bundle::load(&args.bundle, &config, &runtime)?);
    let plan = EvalConfig {
        test_from_ms: test_from_ms(args.test_from, bundle.manifest.as_of_ms)?,
        moments: args.moments(),
        max_moments: args.max_moments,
        seed: args.seed,
        knobs: config.knobs,
        ..EvalConfig::default()
    };
    let repeats = if args.no_repeats { Repeats::AsConfigured } else { Repeats::Allowed };
    let mut report = evaluate(&config, &plan, &args, bundle, repeats)?;
    if report.moments == 0 {
        bail!("no play starts at or after {} ms in {}", plan.test_from_ms, args.data.display());
    }
    if let Some(other) = &args.against {
        let bundle = Arc::new(Bundle::load(other, &config, &runtime)?);
        test_from_ms(Some(plan.test_from_ms), bundle.manifest.as_of_ms)?;
        let others = evaluate(&config, &plan, &args, bundle, repeats)?;
        report.compare(others, &other.display().to_string(), plan.resamples)?;
    }
    let table = evaluate::text_table(&report);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&evaluate::flat_json(&report))?);
    } else {
        print!("{table}");
    }
    if let Some(out) = &args.out {
        let title = format!("{} on {}", args.bundle.display(), args.data.display());
        write(out, &report, &table, &title)?;
        eprintln!("written to {}", out.display());
    }
    Ok(())
}

/// Everything that people and programs read.
fn write(out: &Path, report: &EvalReport, table: &str, title: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let drawn = evaluate::DIALS
        .iter()
        .filter_map(|dial| Some((format!("{}.svg", dial.name), evaluate::dial_chart(report, dial)?)));
    let files = [
        ("report.json".to_owned(), serde_json::to_string_pretty(report)?),
        ("report.txt".to_owned(), table.to_owned()),
        ("report.svg".to_owned(), evaluate::bar_chart(report)),
        ("report.html".to_owned(), evaluate::html_page(report, title)),
    ];
    for (name, text) in files.into_iter().chain(drawn) {
        std::fs::write(out.join(&name), text).with_context(|| format!("cannot write {name} to {}", out.display()))?;
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
    let mut pipelines = systems(&wiring, repeats, args)?;
    let mut systems: Vec<System<'_>> = pipelines
        .iter_mut()
        .map(|(name, dials, pipeline)| System { heads: *name == "segue", name: name.clone(), pipeline, dials: *dials })
        .collect();
    let likeness = Likeness::new(Arc::clone(&bundle.catalogue), Arc::clone(&bundle.vectors), config.rerank.audio_share);
    let lists = ListMeasures::new(likeness, &bundle.popularity);
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
    Ok(evaluate::run(plan, &bundle.catalogue, lists, || read_events(&events), apply, &mut systems, shown)?)
}

/// Name, dials and pipeline of each system.
fn systems(wiring: &Wiring, repeats: Repeats, args: &Args) -> Result<Vec<(String, Dials, Pipeline)>, AppError> {
    let bundle = wiring.bundle();
    let popularity = || Arc::clone(&bundle.popularity);
    let recent = RecentArtists::new(Arc::clone(&bundle.catalogue), &bundle.popularity);
    let first = |dials: &[f32]| dials.first().copied().unwrap_or(0.0);
    let base = Dials { diversity: first(&args.diversity), discovery: first(&args.discovery) };
    let others = |dials: &'_ [f32]| dials.iter().skip(1).copied().collect::<Vec<_>>();
    let diversity = others(&args.diversity)
        .into_iter()
        .map(|to| (format!("segue, diversity {to}"), Dials { diversity: to, ..base }));
    let discovery = others(&args.discovery)
        .into_iter()
        .map(|to| (format!("segue, discovery {to}"), Dials { discovery: to, ..base }));
    let mut systems = Vec::new();
    for (name, dials) in [("segue".to_owned(), base)].into_iter().chain(diversity).chain(discovery) {
        systems.push((name, dials, wiring.offline(repeats)?.build()));
    }
    let baselines = [
        ("sequential rules", wiring.baseline(Successors::new(Arc::clone(&bundle.rules)), BASELINE_QUOTA)),
        ("own tracks", wiring.baseline(OwnTracks::default(), BASELINE_QUOTA)),
        ("popular", wiring.baseline(GlobalPopular::new(popularity()), BASELINE_QUOTA)),
        ("popular in market", wiring.baseline(MarketPopular::new(popularity()), BASELINE_QUOTA)),
        ("recent artists", wiring.baseline(recent, BASELINE_QUOTA)),
    ];
    systems.extend(baselines.map(|(name, builder)| (name.to_owned(), Dials::default(), builder.build())));
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
