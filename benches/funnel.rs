//! What a whole request costs over its two kernels alone: the index search and the ranker's `Session::run`.
//!
//! `cargo bench --bench funnel -- [BUNDLE EVENTS]...` (default: the demo bundle and its listeners). EVENTS is an
//! `events.parquet` that gives the listeners a past. One thread; CPU time of that thread, medians over all requests and
//! rounds; kernels and funnel take turns, so that a busy machine slows both alike.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use cpu_time::ThreadTime;
use segue::app::Wiring;
use segue::bundle::Bundle;
use segue::config::{Config, Engine, TraceConfig};
use segue::domain::{Knobs, Request, Retrieved, TrackIx, UnitVector};
use segue::features::{History, StateStore};
use segue::index::{VectorIndex, build};
use segue::inference::{OrtRanker, OrtUserTower, RankerModel, Runtime, UserTower};
use segue::metrics::Metrics;
use segue::pipeline::{Deadline, Pipeline, StageReport, Width};
use segue::stages::observe::TraceStore;
use segue::tables::read_events;

const REQUESTS: usize = 60;
const ROUNDS: usize = 7;
const EVENTS: usize = 300_000;

fn main() -> Result<()> {
    let args: Vec<PathBuf> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).map(PathBuf::from).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let demo = vec![root.join("models/demo"), root.join("models/demo-listeners.parquet")];
    println!("{}", support::hardware());
    for pair in if args.is_empty() { demo } else { args }.chunks(2) {
        ensure!(pair.len() == 2, "give BUNDLE EVENTS pairs");
        measure(&pair[0], &pair[1])?;
    }
    Ok(())
}

/// One request with what its kernels are given.
struct Case {
    request: Arc<Request>,
    user_vector: UnitVector,
    history: History,
    columns: Vec<f32>,
    user: Vec<f32>,
    items: Vec<f32>,
    cross: Vec<f32>,
    rows: usize,
}

fn measure(directory: &Path, events: &Path) -> Result<()> {
    // Wide enough that about 1,000 distinct candidates are ranked, whatever the retrievers have in common.
    let mut config = Config::default();
    config.retrieval.two_tower = 900;
    let runtime = Runtime::open(&config.inference)?;
    let bundle = Arc::new(Bundle::load(directory, &config, &runtime)?);
    let state = Arc::new(StateStore::new(&config.state, &config.signals));
    let requests = requests(&bundle, &state, events)?;
    let wiring = Wiring::new(&config, Arc::clone(&bundle), state);
    let traces = TraceStore::new(&config.trace);
    let mut pipeline = wiring.serving(&Arc::new(Metrics::new()?), &traces)?.build();
    let off = TraceConfig { recent_mib: 0, sample_every: 0, ..TraceConfig::default() };
    let mut untraced = wiring.serving(&Arc::new(Metrics::new()?), &TraceStore::new(&off))?.build();
    let cases =
        requests.into_iter().map(|request| case(request, &mut pipeline, &wiring)).collect::<Result<Vec<_>>>()?;
    let mut kernels = Kernels {
        index: bundle.index.searcher(),
        tower: OrtUserTower::new(&bundle.user_tower)?,
        ranker: OrtRanker::new(bundle.ranker.as_ref().context("the bundle has no ranker")?)?,
        quota: config.retrieval.two_tower,
        hits: Vec::new(),
        out: Vec::new(),
    };
    let mut times = Times::default();
    for round in 0..=ROUNDS {
        for case in &cases {
            let [search, tower, rank] = kernels.run(case)?;
            let (without, _) = serve(&mut untraced, &case.request)?;
            let (funnel, reports) = serve(&mut pipeline, &case.request)?;
            if round > 0 {
                times.add(search, tower, rank, funnel, &reports);
                times.untraced.push(without);
            }
        }
    }
    let rows = cases.iter().map(|case| case.rows).sum::<usize>() / cases.len();
    let recall = kernels.recall(&bundle, &cases)?;
    println!(
        "\n{} tracks, {} index (recall@{} {recall:.4}), {rows} candidates ranked, 20 returned, {} requests x {ROUNDS}",
        bundle.catalogue.len(),
        bundle.index.engine().name(),
        kernels.quota,
        cases.len(),
    );
    times.print();
    Ok(())
}

/// Requests of listeners with a past, without a session id: serving them again and again must not change their state.
fn requests(bundle: &Bundle, state: &StateStore, events: &Path) -> Result<Vec<Arc<Request>>> {
    let mut last = std::collections::BTreeMap::new();
    for event in read_events(events)?.take(EVENTS) {
        let event = event?;
        // Events of tracks that the bundle lacks give nobody a past.
        if state.apply(&event, &bundle.catalogue, &bundle.vectors).is_ok() {
            last.insert(event.user_id.to_string(), event);
        }
    }
    let request = |event| Request {
        limit: 20,
        discovery: 0.3,
        diversity: 0.5,
        session_id: None,
        ..Request::before(event, &bundle.catalogue)
    };
    Ok(last.values().take(REQUESTS).map(|event| Arc::new(request(event))).collect())
}

fn case(request: Arc<Request>, pipeline: &mut Pipeline, wiring: &Wiring) -> Result<Case> {
    let (context, candidates) = pipeline.candidates(Arc::clone(&request), Knobs::default(), &Deadline::never());
    let user_vector = context.user_vector.clone().context("no user vector")?;
    let tracks: Vec<TrackIx> = candidates.tracks.clone();
    let (mut history, mut items, mut cross) = (History::default(), Vec::new(), Vec::new());
    let assembler = wiring.assembler();
    assembler.history(&context, &mut history);
    assembler.candidates(&context, &tracks, user_vector.as_slice(), &mut items, &mut cross);
    let columns = context.user_features.clone();
    let user = columns.iter().chain(user_vector.as_slice()).copied().collect();
    Ok(Case { request, user_vector, history, columns, user, items, cross, rows: tracks.len() })
}

struct Kernels {
    index: Box<dyn VectorIndex>,
    tower: OrtUserTower,
    ranker: OrtRanker,
    quota: usize,
    hits: Vec<Retrieved>,
    out: Vec<f32>,
}

impl Kernels {
    /// CPU ms of the search, the user tower and the ranker alone.
    fn run(&mut self, case: &Case) -> Result<[f64; 3]> {
        let search = cpu_ms(|| {
            self.hits.clear();
            Ok(self.index.search(&case.user_vector, self.quota, &Deadline::never(), &mut self.hits)?)
        })?;
        let History { vectors, signals, .. } = &case.history;
        let tower = cpu_ms(|| Ok(self.tower.embed(vectors, signals, &case.columns, &mut self.out)?))?;
        let rank = cpu_ms(|| Ok(self.ranker.score(&case.user, &case.items, &case.cross, case.rows, &mut self.out)?))?;
        Ok([search, tower, rank])
    }

    /// Recall of the served index against the exact scan, over all cases.
    fn recall(&mut self, bundle: &Bundle, cases: &[Case]) -> Result<f64> {
        let exact = build(Engine::Exact, &Config::default().index, Arc::clone(&bundle.vectors), &mut |_| {})?;
        let mut oracle = exact.searcher();
        let (mut found, mut wanted) = (0, 0);
        for case in cases {
            let mut truth = Vec::new();
            oracle.search(&case.user_vector, self.quota, &Deadline::never(), &mut truth)?;
            self.hits.clear();
            self.index.search(&case.user_vector, self.quota, &Deadline::never(), &mut self.hits)?;
            wanted += truth.len();
            found += truth.iter().filter(|hit| self.hits.iter().any(|other| other.track == hit.track)).count();
        }
        Ok(found as f64 / wanted as f64)
    }
}

fn serve(pipeline: &mut Pipeline, request: &Arc<Request>) -> Result<(f64, Vec<StageReport>)> {
    let mut reports = Vec::new();
    let ms = cpu_ms(|| {
        let answer = pipeline.execute(Arc::clone(request), Knobs::default(), &Deadline::never(), Width::Full);
        ensure!(answer.tracks.len() == 20 && answer.degraded.is_empty(), "{:?}", answer.degraded);
        reports = answer.reports;
        Ok(())
    })?;
    Ok((ms, reports))
}

fn cpu_ms(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = ThreadTime::now();
    work()?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

#[derive(Default)]
struct Times {
    search: Vec<f64>,
    tower: Vec<f64>,
    rank: Vec<f64>,
    funnel: Vec<f64>,
    untraced: Vec<f64>,
    stages: Vec<(&'static str, Vec<f64>)>,
}

impl Times {
    fn add(&mut self, search: f64, tower: f64, rank: f64, funnel: f64, reports: &[StageReport]) {
        self.search.push(search);
        self.tower.push(tower);
        self.rank.push(rank);
        self.funnel.push(funnel);
        for report in reports {
            let at = self.stages.iter().position(|(name, _)| *name == report.stage).unwrap_or_else(|| {
                self.stages.push((report.stage, Vec::new()));
                self.stages.len() - 1
            });
            self.stages[at].1.push(report.micros as f64);
        }
    }

    fn print(mut self) {
        let median = |values: &mut Vec<f64>| support::quantile(values, 0.5);
        let (search, tower, rank) = (median(&mut self.search), median(&mut self.tower), median(&mut self.rank));
        let funnel = median(&mut self.funnel);
        println!("| index search | ranker run | user tower run | whole request | over search + ranker | with tower |");
        println!("|---|---|---|---|---|---|");
        println!(
            "| {search:.3} ms | {rank:.3} ms | {tower:.3} ms | {funnel:.3} ms | {:.2} x | {:.2} x |",
            funnel / (search + rank),
            funnel / (search + rank + tower),
        );
        let untraced = median(&mut self.untraced);
        println!("without the trace {untraced:.3} ms: it costs {:.1} %", (funnel / untraced - 1.0) * 100.0);
        let stages =
            self.stages.iter_mut().map(|(name, micros)| format!("{name} {:.0}", support::quantile(micros, 0.5)));
        println!("stages, wall us: {}", stages.collect::<Vec<_>>().join(", "));
    }
}
