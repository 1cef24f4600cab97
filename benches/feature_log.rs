//! What the feature log costs: candidates a second of one core into Parquet, and bytes a candidate, by compression and row
//! group; and what logging costs a lane.
//!
//! `cargo bench --bench feature_log -- [BUNDLE EVENTS [ANSWERS]]` (default: the demo bundle, its listeners, 3,000). The answers are
//! the bundle's own, to its listeners before plays of theirs, 20 tracks each, with 5 % of the candidates not served.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use cpu_time::ThreadTime;
use segue::app::Wiring;
use segue::bundle::Bundle;
use segue::config::Config;
use segue::domain::{EventType, Knobs, Request};
use segue::feature_log::{Part, Served};
use segue::features::{LoggedAnswer, StateStore};
use segue::inference::Runtime;
use segue::metrics::Metrics;
use segue::pipeline::{Deadline, Width};
use segue::stages::observe::{FeatureSink, TraceStore};
use segue::tables::{Hour, Packing, read_events};

/// Events before the first answer.
const PAST: usize = 4_000;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let at = |at: usize, else_: &str| args.get(at).map_or_else(|| root.join(else_), PathBuf::from);
    let (bundle, events) = (at(0, "models/demo"), at(1, "models/demo-listeners.parquet"));
    let count = args.get(2).and_then(|arg| arg.parse().ok()).unwrap_or(3_000);
    println!("{}", support::hardware());
    let dir = std::env::temp_dir().join(format!("segue-feature-log-{}", std::process::id()));
    let store = segue::store::open(&dir)?;
    let (answers, served) = answers(&bundle, &events, count)?;
    let rows: usize = answers.iter().map(|answer| answer.rows.len()).sum();
    println!("{} answers, {rows} candidates", answers.len());
    println!(
        "| compression | row group | candidates/s of CPU | bytes/candidate | candidates | answers | items |\n|---|---|---|---|---|---|---|"
    );
    let kinds = [Packing::Plain, Packing::Snappy, Packing::Zstd(1), Packing::Zstd(3), Packing::Zstd(9)];
    let one = kinds.into_iter().map(|packing| (packing, 1 << 18));
    for (packing, group_rows) in one.chain([(Packing::Zstd(1), 1 << 15), (Packing::Zstd(1), 1 << 20)]) {
        let mut times = Vec::new();
        let mut bytes = [0; 4];
        for round in 0..3 {
            let start = ThreadTime::now();
            let mut part =
                Part::packed(&store, Hour::of(0), &format!("{packing:?}-{group_rows}-{round}"), packing, group_rows)?;
            answers.iter().try_for_each(|answer| part.log(answer, &served))?;
            let done = part.finish()?;
            times.push(start.elapsed().as_secs_f64());
            bytes[0] = done.bytes;
            for (at, table) in ["candidates", "answers", "items"].into_iter().enumerate() {
                let name = format!("{packing:?}-{group_rows}-{round}.parquet");
                bytes[at + 1] = dir.join(Hour::of(0).key(table, &name)).metadata()?.len();
            }
        }
        let [all, candidates, own, items] = bytes.map(|bytes| bytes as f64 / rows as f64);
        println!(
            "| {packing:?} | {group_rows} | {:.0} | {all:.1} | {candidates:.1} | {own:.1} | {items:.1} |",
            rows as f64 / support::quantile(&mut times, 0.5)
        );
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

/// The rows that real requests leave, and what they were computed from. Prints what the lane spent on it.
fn answers(directory: &Path, events: &Path, count: usize) -> Result<(Vec<LoggedAnswer>, Served)> {
    let config = Config::default();
    let runtime = Runtime::open(&config.inference)?;
    let bundle = Arc::new(Bundle::load(directory, &config, &runtime)?);
    let state = Arc::new(StateStore::new(&config.state, &config.signals));
    let mut wiring = Wiring::new(&config, Arc::clone(&bundle), Arc::clone(&state));
    let metrics = Arc::new(Metrics::new()?);
    let traces = TraceStore::new(&config.trace);
    let mut without = wiring.serving(&metrics, &traces)?.build();
    let (to, from) = crossbeam_channel::bounded(1);
    wiring.log_features(FeatureSink { to, unserved_share: 0.05, shed: metrics.feature_log.shed_queue.clone() });
    let mut with = wiring.serving(&metrics, &traces)?.build();
    let (mut answers, mut spent) = (Vec::new(), [Vec::new(), Vec::new()]);
    for (number, event) in read_events(events)?.enumerate() {
        let event = event?;
        // The listeners get a past first.
        if number >= PAST && event.kind == EventType::PlayStart {
            let request =
                Request { limit: 20, seed: answers.len() as u64, ..Request::before(&event, &bundle.catalogue) };
            let request = Arc::new(request);
            for (pipeline, spent) in [&mut without, &mut with].into_iter().zip(&mut spent) {
                let start = Instant::now();
                pipeline.execute(Arc::clone(&request), Knobs::default(), &Deadline::never(), Width::Full);
                spent.push(start.elapsed().as_secs_f64() * 1e6);
            }
            answers.push(from.try_recv().context("an answer was not logged")?);
        }
        // An event of a track that the bundle lacks is no part of the bench.
        let _ = state.apply(&event, &bundle.catalogue, &bundle.vectors);
        if answers.len() >= count {
            break;
        }
    }
    let [without, with] = spent.map(|mut micros| support::quantile(&mut micros, 0.5));
    println!("a request, median: {without:.0} us without the log, {with:.0} us with it");
    let served =
        Served { bundle: bundle.version.to_string(), changes: String::new(), catalogue: Arc::clone(&bundle.catalogue) };
    Ok((answers, served))
}
