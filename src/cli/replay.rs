//! `segue replay`.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};

use super::common::ConfigArgs;
use super::progress::Progress;
use crate::app::Wiring;
use crate::bundle::Bundle;
use crate::domain::Knobs;
use crate::features::StateStore;
use crate::inference::Runtime;
use crate::pipeline::{Deadline, Pipeline, Rehearsal};
use crate::replay::{Capture, CaptureError, CapturedAnswer, MadeWith, Tally, text_table};
use crate::stages::observe::CatalogueMoment;

/// Asks captured requests again, on this bundle and under this configuration, and shows how the answers change
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  curl -s localhost:8080/admin/captures > day.ndjson\n  segue replay day.ndjson --bundle out/next --out out/replay.json"
)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Captured requests, one a line: what GET /admin/captures gives
    #[arg(value_name = "FILE")]
    captures: PathBuf,
    /// The bundle
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Weigh by the configuration's knobs, not by those that were in force
    #[arg(long)]
    with_knobs: bool,
    /// Fail unless every answer comes out bit for bit
    #[arg(long)]
    exact: bool,
    /// Where the report goes as JSON; absent: only the table is printed
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let config = args.config.load(&[])?;
    let runtime = Runtime::open(&config.inference)?;
    let bundle = Arc::new(Bundle::load(&args.bundle, &config, &runtime)?);
    let now = MadeWith::of(&bundle, &config, CatalogueMoment::default());
    let state = Arc::new(StateStore::new(&config.state, &config.signals));
    let mut pipeline = Wiring::new(&config, bundle, state).rehearsing()?.build();
    let file = std::fs::File::open(&args.captures);
    let file = file.with_context(|| format!("cannot open {}", args.captures.display()))?;
    let knobs = args.with_knobs.then_some(config.knobs);
    let (mut tally, progress) = (Tally::default(), Progress::new("requests"));
    for (at, line) in BufReader::new(file).lines().enumerate() {
        let line = line.with_context(|| format!("{}: line {}", args.captures.display(), at + 1))?;
        match Capture::parse(&line).and_then(|capture| ask(&mut pipeline, capture, &now, knobs)) {
            Ok((capture, answer)) => {
                let mut changed = capture.made_with.changes(&now);
                if knobs.is_some_and(|knobs| knobs != capture.knobs) {
                    changed.push("configuration: [knobs]".into());
                }
                tally.add(&capture.answer, &answer, changed);
            }
            // What a parser says of one line is of that line alone.
            Err(CaptureError::Malformed(_)) => tally.skip("the line is not a captured request".into()),
            Err(error) => tally.skip(error.to_string()),
        }
        progress.set(at as u64 + 1, at as u64 + 1);
    }
    let report = tally.report();
    print!("{}", text_table(&report));
    if let Some(out) = &args.out {
        std::fs::write(out, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("cannot write {}", out.display()))?;
    }
    if report.requests == 0 {
        bail!("no request of {} could be asked again", args.captures.display());
    }
    if args.exact && (report.equal < report.requests || !report.skipped.is_empty()) {
        let skipped: usize = report.skipped.values().sum();
        let names: Vec<&str> = report.changed.keys().map(String::as_str).collect();
        let why = if names.is_empty() { "nothing that is known of changed".to_owned() } else { names.join("; ") };
        bail!(
            "{} of {} answers differ, {skipped} requests were left out: {why}",
            report.requests - report.equal,
            report.requests
        );
    }
    Ok(())
}

/// Asks one request with the state of then, and the weights of then unless others are given.
fn ask(
    pipeline: &mut Pipeline,
    capture: Capture,
    now: &MadeWith,
    knobs: Option<Knobs>,
) -> Result<(Capture, CapturedAnswer), CaptureError> {
    let recorded = Some(Arc::new(capture.recorded(now)?));
    let rehearsal = Rehearsal { recorded, watch: Vec::new() };
    let request = Arc::new(capture.request.clone());
    let knobs = knobs.unwrap_or(capture.knobs);
    let (_, answer) = pipeline.rehearse(request, knobs, &Deadline::never(), capture.width, rehearsal);
    Ok((capture, CapturedAnswer::of(&answer)))
}
